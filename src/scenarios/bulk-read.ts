/** `bulk-read`: as `cold-read`, but all objects of an operation are loaded by one call. */

import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { auditColdReads, type Reading, readInPasses } from './read-passes.ts'
import { defineScenario } from './scenario.ts'

const reading: Reading = {
  async arrange(context, { connection }) {
    connection.minimizeCache()
    await context.database.storage.cache?.clear()
  },
  read: (set, group) => set.connection.activateMany(set.groupItems(group)),
}

export default defineScenario<ItemSet>({
  name: 'bulk-read',
  summary: 'load N objects by one call, every cache of the client empty',
  title: ({ objectsPerTransaction: n }) => `load ${counted(n, 'cold object')} at once`,
  description:
    'Timed: one call that loads N objects into the connection, within a snapshot that is already open. Not timed: ' +
    'emptying the caches before each pass over the set, as in `cold-read`, and everything else that is not timed there. ' +
    'Proven by the counters: N loads per operation, none of them answered by the storage’s cache; every byte is checked ' +
    'after each pass. Sensitive to: whether a storage asks its backend once for all of them.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('bulk-read', context.parameters)),
  prepare: (context) => ItemSet.open(context, itemSetPlan('bulk-read', context.parameters)),
  run: (context, set) => readInPasses(context, set, reading),

  audit: auditColdReads,

  dispose: (_context, set) => set.close(),
})
