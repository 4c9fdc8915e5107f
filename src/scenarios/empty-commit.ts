/** `empty-commit`: a transaction of the object layer that reads and changes nothing. */

import { isPromise } from '../core/awaitable.ts'
import type { Connection } from '../database/connection.ts'
import { mustEqual } from './prove.ts'
import { defineScenario } from './scenario.ts'

export default defineScenario<Connection>({
  name: 'empty-commit',
  summary: 'begin and commit of a transaction that reads and changes nothing',
  title: () => 'transaction of nothing',
  description:
    'Timed: begin a transaction and commit it; the object count does not matter. It is the price of a transaction ' +
    'boundary: a new snapshot and the list of what changed since the last one. Not timed: nothing besides. ' +
    'Proven by the counters: no loads, no stores, no commit in the storage. ' +
    'Sensitive to: round trips of asking for changes.',
  requires: {},

  prepare: (context) => context.database.openConnection(),

  async run(context, connection) {
    await context.time(context.operations, async () => {
      const begun = connection.begin()
      if (isPromise(begun)) await begun
      await connection.commit()
    })
  },

  audit({ counters, transfers }) {
    mustEqual('objects that connections loaded', transfers.loads, 0)
    mustEqual('objects that connections stored', transfers.stores, 0)
    mustEqual('commits of the storage', counters.commits, 0)
  },

  async dispose(_context, connection) {
    await connection.abort()
    await connection.close()
  },
})
