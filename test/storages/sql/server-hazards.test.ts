/** What others do to a server, and how it is set up, must not make a commit wrong: races, interruptions, settings. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { loadDriver as loadMysqlDriver, type MySession } from '../../../src/storages/sql/mysql/driver.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import { loadDriver, type PgSession } from '../../../src/storages/sql/postgres/driver.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import { PostgresPackSession } from '../../../src/storages/sql/postgres/pack-session.ts'
import { type Awaitable, type StorageInstance, zeroCounters } from '../../../src/storages/storage.ts'
import { asModule, polled } from './cache-model.ts'
import { createAccounts, toBytes, toText } from './race-model.ts'
import { mysqlControl, postgresControl, type ServerControl } from './server-control.ts'
import { TestStores, voteOn } from './server-model.ts'
import { startTestServer } from './servers.ts'

const servers = {
  postgres: await startTestServer(postgres, { durability: 'os' }),
  mysql: await startTestServer(mysql, { durability: 'os' }),
}

const schemas = [{ history: false }, { history: true }]

function testHazards(stores: TestStores<unknown>): void {
  beforeAll(() => stores.start())
  afterAll(() => stores.stop())

  describe.each(schemas)('with %o', ({ history }) => {
    test('who relies on a deleted object to stay away is refused while it is brought back', async () => {
      const [storage] = await stores.open(1, { history })
      const [gone, other] = (await createAccounts(storage!, 2)) as [Oid, Oid]
      const a = await polled(storage!)
      await deleteAll(a, [gone])
      const b = await polled(storage!)
      const first = await voteOn(a, gone, noTid, 'anew')
      const second = b.begin()
      await second.store(other, (await b.load(other)).serial, toBytes('because it is gone'))
      await second.readCurrent(gone, noTid)
      let hasAnswered = false
      const outcome = codeOf(() => second.vote()).finally(() => {
        hasAnswered = true
      })
      // PostgreSQL refuses it at once, the others let it wait.
      await expect
        .poll(async () => hasAnswered || (await stores.control.waitingVotes()).length === 1)
        .toBe(true)
      await first.finish()
      expect(await outcome).toBe('read-conflict')
      await second.abort()
      await b.pollInvalidations()
      expect((await b.loadMany([gone, other])).map((revision) => toText(revision!.data))).toEqual([
        'anew',
        '1000',
      ])
    })
  })

  test('a commit that the server was told to end is repeated only where it cannot have been made', async () => {
    const { instance, oid, transaction, release } = await stores.heldCommit()
    // MariaDB and MySQL may hear of it between the commit and the answer, and say the same.
    const error = stores.module.name === 'postgres' ? 'interrupted' : 'commit-unknown'
    const outcome = expect(transaction.commit!()).rejects.toMatchObject({
      code: error,
      transient: error === 'interrupted',
    })
    await expect.poll(() => stores.control.waitingCommits()).toHaveLength(1)
    await stores.control.interrupt(await stores.control.waitingCommits())
    await outcome
    await release()
    await transaction.abort()
    await instance.pollInvalidations()
    expect(toText((await instance.load(oid)).data)).toBe('1000')
    await (await voteOn(instance, oid, instance.snapshotTid, 'b')).finish()
  })
}

/** Undefined: there is no error. */
function codeOf(run: () => Awaitable<unknown>): Promise<string | undefined> {
  return Promise.resolve()
    .then(run)
    .then(
      () => undefined,
      (error: { readonly code: string }) => error.code,
    )
}

async function deleteAll(instance: StorageInstance, oids: readonly Oid[]): Promise<void> {
  const transaction = instance.begin()
  for (const oid of oids) await transaction.delete!(oid, instance.snapshotTid)
  await transaction.commit!()
  await instance.pollInvalidations()
}

describe.skipIf(servers.postgres === undefined)('postgres', () => {
  const stores: TestStores<PgSession> = new TestStores(
    asModule(postgres),
    servers.postgres as never,
    'schema',
    postgresControl,
  )
  testHazards(stores)

  test.each(['repeatable read', 'serializable'])(
    'a server that isolates by %s delays nobody',
    async (level) => {
      const { session } = stores.control
      await session.rows({ text: `ALTER DATABASE postgres SET default_transaction_isolation = '${level}'` })
      try {
        const options = await stores.newOptions()
        const storage = await stores.openAt(options)
        const instances = await Promise.all([polled(storage), polled(storage), polled(storage)])
        const oids = await Promise.all(instances.map(async (instance) => (await instance.newOids(1))[0]!))
        const release = await stores.control.holdCommits(String(options['schema']))
        const commits = instances.map(async (instance, index) => {
          const transaction = instance.begin()
          await transaction.store(oids[index]!, noTid, toBytes('x'))
          return transaction.commit!()
        })
        await expect.poll(() => stores.control.waitingCommits()).toHaveLength(3)
        await release()
        expect(new Set((await Promise.all(commits)).map(({ tid }) => tid)).size).toBe(3)
      } finally {
        await session.rows({ text: 'ALTER DATABASE postgres RESET default_transaction_isolation' })
      }
    },
  )

  test.each(schemas)('a pack and who makes an object anew never deadlock, with %o', async ({ history }) => {
    const options = await stores.newOptions({ history })
    const storage = await stores.openAt(options)
    const schema = String(options['schema'])
    const [oid] = (await createAccounts(storage, 1)) as [Oid]
    const instance = await polled(storage)
    await deleteAll(instance, [oid])
    const driver = await loadDriver()
    const session = await driver.connect(stores.url, {
      title: 'test',
      counters: zeroCounters(),
      parameters: { search_path: schema },
    })
    const pack = new PostgresPackSession(session, history)
    const before = instance.snapshotTid
    const release = await stores.control.holdCommits(schema)
    const transaction = instance.begin()
    await transaction.store(oid, noTid, toBytes('anew'))
    const committed = transaction.commit!()
    await expect.poll(() => stores.control.waitingCommits()).toHaveLength(1)
    const removed = pack.remove([oid], [], before)
    await expect.poll(() => waitingFor(stores.control)).toBe(2)
    await release()
    const [{ tid }] = await Promise.all([committed, removed])
    await pack.close()
    await instance.pollInvalidations()
    expect(await instance.load(oid)).toEqual({ data: toBytes('anew'), serial: tid })
  })

  test.each(['vote', 'commit'] as const)(
    'a %s of more than a message holds is refused as such',
    async (way) => {
      const [storage] = await stores.open(1)
      const instance = await polled(storage!)
      const transaction = instance.begin()
      const data = new Uint8Array(64 * 1024 ** 2)
      for (const oid of await instance.newOids(16)) await transaction.store(oid, noTid, data)
      expect(await codeOf(() => transaction[way]!())).toBe('too-large')
      await transaction.abort()
      await createAccounts(storage!, 1)
    },
  )

  // What a server says before it ends a session that was idle, or in one transaction, for too long.
  test.each(['57P05', '25P03', '25P04'])('the state %s is a lost connection', async (state) => {
    const { session, close } = await postgresControl(stores.url)
    const raise = `DO $$ BEGIN RAISE EXCEPTION 'it ends' USING ERRCODE = '${state}'; END $$`
    await expect(session.rows({ text: raise })).rejects.toMatchObject({ code: 'disconnected' })
    await close()
  })
})

async function waitingFor({ session }: ServerControl<PgSession>): Promise<number> {
  await session.rows({ text: 'SELECT pg_stat_clear_snapshot()' })
  const text = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
  const [row] = await session.rows({ text })
  return row![0] as number
}

describe.skipIf(servers.mysql === undefined)('mysql', () => {
  const stores: TestStores<MySession> = new TestStores(
    asModule(mysql),
    servers.mysql as never,
    'database',
    mysqlControl,
  )
  testHazards(stores)

  test('a server where nothing is committed unasked leases no object id twice', async () => {
    const { session } = stores.control
    const options = await stores.newOptions({ lockTimeout: '1s' })
    await session.query("SET GLOBAL autocommit = 0, GLOBAL completion_type = 'CHAIN'")
    try {
      const oids: Oid[] = []
      const first = await stores.openAt(options)
      oids.push(...(await (await polled(first)).newOids(1)))
      oids.push(...(await (await polled(await stores.openAt(options))).newOids(1)))
      await first.close()
      oids.push(...(await (await polled(await stores.openAt(options))).newOids(1)))
      expect(new Set(oids).size).toBe(3)
    } finally {
      await session.query("SET GLOBAL autocommit = 1, GLOBAL completion_type = 'NO_CHAIN'")
    }
  })

  test.each(['vote', 'commit'] as const)(
    'a %s of an object that no message holds is refused as such',
    async (way) => {
      const { session } = stores.control
      const [row] = await session.query('SELECT @@GLOBAL.max_allowed_packet AS bytes')
      await session.query('SET GLOBAL max_allowed_packet = 1048576')
      try {
        const [storage] = await stores.open(1)
        const instance = await polled(storage!)
        const [oid] = (await instance.newOids(1)) as [Oid]
        const commitOf = async (bytes: number) => {
          const transaction = instance.begin()
          await transaction.store(oid, noTid, new Uint8Array(bytes))
          const code = await codeOf(() => transaction[way]!())
          await transaction.abort()
          return code
        }
        expect(await commitOf(1024 ** 2)).toBe('too-large')
        expect(await commitOf(1023 * 1024)).toBe(undefined)
      } finally {
        await session.query(`SET GLOBAL max_allowed_packet = ${row!['bytes']}`)
      }
    },
  )

  test('a session that is ended while it is set up is a lost connection', async () => {
    const { session } = stores.control
    const wait = 'DO SLEEP(20)'
    const prepare = [wait, 'SELECT 1']
    const driver = await loadMysqlDriver()
    const connecting = driver.connect(stores.url, { title: 'test', counters: zeroCounters(), prepare })
    const outcome = expect(connecting).rejects.toMatchObject({ code: 'disconnected', transient: true })
    const waiting = async () =>
      (await session.query(`SELECT id AS id FROM information_schema.processlist WHERE info = '${wait}'`)).map(
        ({ id }) => Number(id),
      )
    await expect.poll(waiting).toHaveLength(1)
    await stores.control.end(await waiting())
    await outcome
  })

  // MariaDB has numbers for these for which its driver has no names.
  test.each([
    [1969, 'interrupted'],
    [3024, 'interrupted'],
    [1317, 'interrupted'],
    [1927, 'disconnected'],
  ])('the error %i is told as %s', async (number, code) => {
    const { session, close } = await mysqlControl(stores.url)
    const signal = `SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = ${number}, MESSAGE_TEXT = 'it ends'`
    await expect(session.query(signal)).rejects.toMatchObject({ code, transient: true })
    await close()
  })
})
