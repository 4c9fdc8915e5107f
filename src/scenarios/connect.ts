/** `connect`: opens a new connection, reads the root object, and closes it. */

import { isPromise } from '../core/awaitable.ts'
import { Database } from '../database/database.ts'
import { PersistentMap } from '../database/persistent-map.ts'
import { mustEqual } from './prove.ts'
import { defineScenario } from './scenario.ts'

export default defineScenario<Database>({
  name: 'connect',
  summary: 'open a new connection, read the root object, close it',
  title: () => 'open, read the root, close',
  description:
    'Timed: open a connection that is not from a pool, begin, load the root object, commit, close; the object count does ' +
    'not matter. Not timed: opening the storage, which was done before. Proven by the counters: one load per operation ' +
    'and no stores. Sensitive to: what a storage does for each connection: whether it opens a session of its backend.',
  requires: {},

  async prepare(context) {
    // A database of its own over the same storage, since pooled connections would not be new.
    const database = new Database(context.database.storage, { poolSize: 0 })
    await (await database.openConnection()).close()
    return database
  },

  async run(context, database) {
    await context.time(context.operations, async () => {
      const connection = await database.openConnection()
      const begun = connection.begin()
      if (isPromise(begun)) await begun
      const root = connection.root
      if (isPromise(root)) await root
      await connection.commit()
      await connection.close()
    })
  },

  async verify(_context, database) {
    const connection = await database.openConnection()
    await connection.begin()
    mustEqual('root objects that are maps', Number((await connection.root) instanceof PersistentMap), 1)
    await connection.close()
  },

  audit({ operations, counters }) {
    mustEqual('objects that the storage handed out', counters.loads, operations)
    mustEqual('records that the storage committed', counters.stores, 0)
  },

  dispose: (_context, database) => database.close(),
})
