/** `cached-read`: reads objects that the connection does not have, but the storage's own cache has. */

import { counted } from '../core/units.ts'
import { type DatasetPlan, fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { mustEqual } from './prove.ts'
import { type Reading, readInPasses } from './read-passes.ts'
import { defineScenario, type ScenarioParameters } from './scenario.ts'

/** More than a cache of a megabyte holds of records of the usual size: one that is too small shall be seen to be. */
const objectsOfOne = 4000

/** One by one over the set, until the cache has it all; one that is too small will never have. */
const passesMax = 2

function planFor(parameters: ScenarioParameters): DatasetPlan {
  return itemSetPlan('cached-read', parameters, parameters.workers === 1 ? objectsOfOne : undefined)
}

const reading: Reading = {
  arrange: (_context, { connection }) => connection.minimizeCache(),
  read: (set, group) => set.readGroup(group),
}

export default defineScenario<ItemSet>({
  name: 'cached-read',
  summary: 'read N objects one after the other, the object cache empty, the storage’s cache full',
  title: ({ objectsPerTransaction: n }) => `read ${counted(n, 'cached object')}`,
  description:
    'Timed: load N objects one after the other within a snapshot that is already open, and look into each. Before the ' +
    'first batch the worker has read its whole set, where the storage has a cache of its own until that has it all; before each pass its ' +
    'object cache is emptied, the cache of the storage is not. Not timed: that, opening the snapshot, finding the objects. Proven by the counters: N loads per ' +
    'operation, and none that reached the backend. A storage without a cache of its own answers every load from its ' +
    'backend here; for it this is what `cold-read` is. Every byte is checked after each pass. ' +
    'Sensitive to: the cost of a cache hit, and of turning a record into an object.',
  requires: {},

  populate: (context) => fillDataset(context, planFor(context.parameters)),

  async prepare(context) {
    const set = await ItemSet.open(context, planFor(context.parameters))
    const { connection } = set
    const { storage } = context.database
    // Without a cache of the storage's own, only what lies below it can be warmed: buffers of a server, pages.
    await connection.begin()
    await set.loadAll()
    await connection.commit()
    // A cache may admit only what is asked for again, and only what is asked for singly.
    for (let pass = 0; storage.cache !== undefined && pass < passesMax; pass++) {
      const { backendLoads } = storage.counters()
      connection.minimizeCache()
      await connection.begin()
      for (let group = 0; group < set.groups; group++) await set.readGroup(group)
      await connection.commit()
      if (storage.counters().backendLoads === backendLoads) break
    }
    return set
  },

  run: (context, set) => readInPasses(context, set, reading),

  audit({ parameters, operations, hasStorageCache, transfers, counters }) {
    const expected = operations * parameters.objectsPerTransaction
    mustEqual('objects that connections loaded', transfers.loads, expected)
    mustEqual('objects that the storage handed out', counters.loads, expected)
    if (hasStorageCache) mustEqual('objects that came from the backend', counters.backendLoads, 0)
    mustEqual('objects stored', transfers.stores, 0)
  },

  dispose: (_context, set) => set.close(),
})
