/** Who waits for a vote can change his mind: abort ends the wait at the server, not the lock time-out of half a minute. */

import { afterAll, describe, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { openStorage } from '../../../src/storages/open.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import type { Storage } from '../../../src/storages/storage.ts'
import { asModule } from './cache-model.ts'
import { toBytes } from './race-model.ts'
import { mysqlControl, postgresControl } from './server-control.ts'
import { startTestServer } from './servers.ts'

const servers = {
  postgres: await startTestServer(postgres, { durability: 'os' }),
  mysql: await startTestServer(mysql, { durability: 'os' }),
}

afterAll(async () => {
  for (const server of Object.values(servers)) await server?.stop()
})

async function begun(storage: Storage, oid: Oid) {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.store(oid, noTid, toBytes('x'))
  return transaction
}

describe.each([
  ['postgres', asModule(postgres), postgresControl],
  ['mysql', asModule(mysql), mysqlControl],
] as const)('%s', (name, module, connect) => {
  const server = servers[name]

  test.skipIf(server === undefined).each(['vote', 'commit'] as const)(
    'an abort ends a %s that waits, again and again',
    async (way) => {
      const store = await server!.provision.newStore(`waiting_${way}`)
      const options = { ...store.options, lockTimeout: 60e9 }
      const [one, two] = [await openStorage(module, options), await openStorage(module, options)]
      const control = await connect(String(store.options['url']))
      const holder = await (await begun(one, 1 as Oid)).vote()
      for (let round = 0; round < 5; round++) {
        const waiting = await begun(two, 1 as Oid)
        const vote = Promise.resolve<unknown>(waiting[way]!())
        const outcome = vote.then(
          () => 'voted',
          (error: { readonly code: string }) => error.code,
        )
        // At once, or when the server waits.
        if (round > 0) await expect.poll(() => control.waitingVotes()).toHaveLength(1)
        await waiting.abort()
        expect(await outcome).toBe('transaction-state')
      }
      // The lock is where it was, and whoever comes next is not hit by a late signal.
      // PostgreSQL locks the numbers of new objects in groups, so this one is far away.
      const last = await begun(two, 1000 as Oid)
      await (await last.vote()).finish()
      await holder.finish()
      await one.close()
      await two.close()
      await control.close()
    },
  )
})
