/** `live-read`: reads objects that are live in the connection. What it measures is the object layer, and the harness. */

import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { mustEqual } from './prove.ts'
import { defineScenario } from './scenario.ts'

export default defineScenario<ItemSet>({
  name: 'live-read',
  summary: 'read N objects that are live in the connection',
  title: ({ objectsPerTransaction: n }) => `read ${counted(n, 'live object')}`,
  description:
    'Timed: ask the connection for N objects that it has loaded, and look into each; no transaction boundary. Not timed: ' +
    'loading them, opening the snapshot. Proven by the counters: nothing was loaded, and the storage did nothing at all. ' +
    'It is the floor of all reading, the same for every storage: where contenders differ here, the machine is not quiet. ' +
    'Sensitive to: the object layer, and the cost of measuring itself.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('live-read', context.parameters)),
  prepare: (context) => ItemSet.open(context, itemSetPlan('live-read', context.parameters)),

  // Nothing has to be arranged between passes, so a batch is one section, over and over the set.
  async run(context, set) {
    const { connection, groups } = set
    await connection.begin()
    await set.loadAll()
    await context.time(context.operations, (operation) => set.readGroup(operation % groups))
    set.check(groups, () => 0)
    await connection.commit()
  },

  audit({ transfers, counters }) {
    mustEqual('objects that connections loaded', transfers.loads, 0)
    mustEqual('objects that connections stored', transfers.stores, 0)
    mustEqual('objects that the storage handed out', counters.loads, 0)
    mustEqual('round trips', counters.roundTrips, 0)
    mustEqual('statements', counters.statements, 0)
  },

  dispose: (_context, set) => set.close(),
})
