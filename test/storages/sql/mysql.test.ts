/** What the conformance suite cannot know of MySQL and MariaDB: races, locks, round trips, other people's databases. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../../src/storages/open.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import { asModule } from './cache-model.ts'
import { createAccounts, toText } from './race-model.ts'
import { mysqlControl } from './server-control.ts'
import { TestStores, testServerStorage } from './server-model.ts'
import { startTestServer } from './servers.ts'

const server = await startTestServer(mysql, { durability: 'os' })

describe.skipIf(server === undefined)('mysql', () => {
  const stores = new TestStores(asModule(mysql), server as never, 'database', mysqlControl)

  beforeAll(() => stores.start())
  afterAll(() => stores.stop())

  testServerStorage(stores)

  test('a session that the server ended for being idle is replaced unnoticed', async () => {
    const others = new Set(await stores.control.idle())
    await stores.control.session.query('SET GLOBAL wait_timeout = 1')
    const [storage] = await stores.open(1)
    const [oid] = await createAccounts(storage!, 1)
    const instance = await storage!.newInstance()
    await instance.pollInvalidations()
    await instance.afterCompletion()
    await stores.control.session.query('SET GLOBAL wait_timeout = 28800')
    const left = async () => (await stores.control.idle()).filter((id) => !others.has(id))
    await expect.poll(left).toEqual([])
    await instance.pollInvalidations()
    expect(toText((await instance.load(oid!)).data)).toBe('1000')
  })

  test('a database that holds something else is refused and left alone', async () => {
    await stores.control.session.query('CREATE DATABASE theirs')
    await stores.control.session.query('CREATE TABLE theirs.things (a int)')
    await expect(
      openStorage(mysql, server!.options({ url: stores.url, database: 'theirs' })),
    ).rejects.toMatchObject({
      code: 'foreign-database',
    })
    const tables = await stores.control.session.query('SHOW TABLES FROM theirs')
    expect(tables).toEqual([{ Tables_in_theirs: 'things' }])
  })

  test.each(['a; DROP TABLE x', 'Upper', '"q"', '', 'ä'])(
    'the database name %j is refused',
    async (database) => {
      await expect(openStorage(mysql, server!.options({ url: stores.url, database }))).rejects.toMatchObject({
        code: 'bad-schema-name',
      })
    },
  )

  test('connecting to nowhere names server, reason and next step, and no password', async () => {
    const nowhere = 'mysql://me:secret@127.0.0.1:1/'
    const failure = await openStorage(mysql, server!.options({ url: nowhere })).catch((error: Error) => error)
    expect(failure).toMatchObject({ code: 'cannot-connect' })
    expect(String(failure)).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED.*start the server/)
    expect(String(failure)).not.toMatch(/secret/)
  })

  test('durability is read back from the live server', async () => {
    expect(server!.provision.durability).toBe('os')
    expect(server!.provision.facts).toMatchObject({ innodb_flush_log_at_trx_commit: '2' })
  })
})
