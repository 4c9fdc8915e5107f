/** `cold-read`: reads objects that neither the connection nor the storage's own cache has. */

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
  read: (set, group) => set.readGroup(group),
}

export default defineScenario<ItemSet>({
  name: 'cold-read',
  summary: 'read N objects one after the other, every cache of the client empty',
  title: ({ objectsPerTransaction: n }) => `read ${counted(n, 'cold object')}`,
  description:
    'Timed: load N objects one after the other, in random order of storage, within a snapshot that is already open, and ' +
    'look into each. Each object is read once per pass over the worker’s set; before each pass the object cache of every ' +
    'connection and the cache of the storage are emptied. Not timed: that, opening the snapshot, finding the objects ' +
    '(no container is loaded on the clock). What is not emptied: the caches of a server, of the database engine and of ' +
    'the operating system. Proven by the counters: N loads per operation, none of them answered by the storage’s cache; ' +
    'and every byte of every object is checked after each pass. Sensitive to: the latency of one request to the backend.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('cold-read', context.parameters)),
  prepare: (context) => ItemSet.open(context, itemSetPlan('cold-read', context.parameters)),
  run: (context, set) => readInPasses(context, set, reading),

  audit: auditColdReads,

  dispose: (_context, set) => set.close(),
})
