/** `prefetch-read`: as `cold-read`, but the objects are asked for in one request before they are read one by one. */

import { isPromise } from '../core/awaitable.ts'
import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { mustBeAtMost, mustEqual } from './prove.ts'
import { type Reading, readInPasses } from './read-passes.ts'
import { defineScenario } from './scenario.ts'

/** A storage may split a large request; it may not make one of each object. */
const objectsPerRequestMin = 100

const reading: Reading = {
  async arrange(context, { connection }) {
    connection.minimizeCache()
    await context.database.storage.cache?.clear()
  },
  read(set, group) {
    const prefetched = set.connection.prefetch(set.groupItems(group))
    if (isPromise(prefetched)) return prefetched.then(() => set.readGroup(group))
    return set.readGroup(group)
  },
}

export default defineScenario<ItemSet>({
  name: 'prefetch-read',
  summary: 'read N objects after one prefetch of all of them, every cache of the client empty',
  title: ({ objectsPerTransaction: n }) => `prefetch and read ${counted(n, 'cold object')}`,
  description:
    'Timed: one prefetch of N objects, then loading them one after the other, within a snapshot that is already open. ' +
    'Not timed: emptying the caches before each pass over the set, as in `cold-read`, and everything else that is not ' +
    'timed there. Proven by the counters: N loads per operation, no more from the backend, and not a request for each of ' +
    'them; every byte is checked after each pass. Where storages cannot prefetch, there is no number. ' +
    'Sensitive to: the latency of one request, and the cost per object in it.',
  requires: { capabilities: ['prefetch'] },

  populate: (context) => fillDataset(context, itemSetPlan('prefetch-read', context.parameters)),
  prepare: (context) => ItemSet.open(context, itemSetPlan('prefetch-read', context.parameters)),
  run: (context, set) => readInPasses(context, set, reading),

  audit({ parameters, operations, transfers, counters }) {
    const each = parameters.objectsPerTransaction
    mustEqual('objects that connections loaded', transfers.loads, operations * each)
    mustEqual('objects that the storage handed out', counters.loads, operations * each)
    mustBeAtMost('objects that came from the backend', counters.backendLoads, operations * each)
    const requestsMax = operations * (1 + Math.floor(each / objectsPerRequestMin))
    mustBeAtMost('round trips', counters.roundTrips, requestsMax)
    mustBeAtMost('statements', counters.statements, requestsMax)
    mustEqual('objects stored', transfers.stores, 0)
  },

  dispose: (_context, set) => set.close(),
})
