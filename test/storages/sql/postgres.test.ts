/** What the conformance suite cannot know of PostgreSQL: races, locks, round trips, other people's databases. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../../src/storages/open.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import { asModule, polled } from './cache-model.ts'
import { createAccounts, toText } from './race-model.ts'
import { postgresControl } from './server-control.ts'
import { TestStores, testServerStorage, voteOn } from './server-model.ts'
import { startTestServer } from './servers.ts'

const server = await startTestServer(postgres, { durability: 'os' })

describe.skipIf(server === undefined)('postgres', () => {
  const stores = new TestStores(asModule(postgres), server as never, 'schema', postgresControl)

  beforeAll(() => stores.start())
  afterAll(() => stores.stop())

  testServerStorage(stores)

  test('a connection lost before finish is not transient: nobody can know', async () => {
    const [storage] = await stores.open(1)
    const [oid] = await createAccounts(storage!, 1)
    const instance = await polled(storage!)
    const voted = await voteOn(instance, oid!, instance.snapshotTid, 'a')
    const ended = await stores.control.session.rows({
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%FROM vote%'`,
    })
    expect(ended).toHaveLength(1)
    await expect(async () => voted.finish()).rejects.toMatchObject({
      code: 'commit-unknown',
      transient: false,
    })
    await voted.abort()
    await instance.pollInvalidations()
    expect(toText((await instance.load(oid!)).data)).toBe('1000')
    await (await voteOn(instance, oid!, instance.snapshotTid, 'b')).finish()
  })

  // What real replicas do is tested by `npm run test:cluster`.
  test.each([
    ['is no replica', (primary: string) => primary, /it is no replica any more/],
    ['is not there', (primary: string) => primary.replace(/port=\d+/, 'port=1'), /cannot connect/],
  ])('a replica that %s is done without, and the log says so once', async (_, replicaOf, reason) => {
    const said: string[] = []
    const options = await stores.newOptions({ replicaUrl: replicaOf(stores.url) })
    const storage = await stores.openAt(options, { log: (line) => said.push(line) })
    const [oid] = await createAccounts(storage, 1)
    const instances = await Promise.all([polled(storage), polled(storage)])
    for (const instance of instances) expect(toText((await instance.load(oid!)).data)).toBe('1000')
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(reason)
  })

  test('a schema that holds something else is refused and left alone', async () => {
    await stores.control.session.rows({ text: 'CREATE SCHEMA theirs; CREATE TABLE theirs.things (a int)' })
    await expect(
      openStorage(postgres, server!.options({ url: stores.url, schema: 'theirs' })),
    ).rejects.toMatchObject({
      code: 'foreign-database',
    })
    const tables = await stores.control.session.rows({
      text: "SELECT relname::text FROM pg_class WHERE relnamespace = 'theirs'::regnamespace",
    })
    expect(tables).toEqual([['things']])
  })

  test.each(['a; DROP TABLE x', 'Upper', '"q"', '', 'ä'])('the schema name %j is refused', async (schema) => {
    await expect(openStorage(postgres, server!.options({ url: stores.url, schema }))).rejects.toMatchObject({
      code: 'bad-schema-name',
    })
  })

  test('connecting to nowhere names server, reason and next step, and no password', async () => {
    const nowhere = 'postgresql://me:secret@127.0.0.1:1/none'
    const failure = await openStorage(postgres, server!.options({ url: nowhere })).catch(
      (error: Error) => error,
    )
    expect(failure).toMatchObject({ code: 'cannot-connect' })
    expect(String(failure)).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED.*start the server/)
    expect(String(failure)).not.toMatch(/secret/)
  })

  test('durability is read back from the live server', async () => {
    expect(server!.provision.durability).toBe('os')
    expect(server!.provision.facts).toMatchObject({ fsync: 'off', synchronous_commit: 'on' })
  })

  describe('a session', () => {
    const twice = { name: 'twice', text: 'SELECT $1::bigint, $1::bigint * 2' }
    const divided = { name: 'divided', text: 'SELECT 1 / $1::int' }
    const bad = { name: 'bad', text: 'SELECT nothing FROM nowhere' }

    test('requests that are sent while a statement is being prepared get their own rows', async () => {
      const asked = [1, 2, 3, 4, 5, 6].map((index) => [
        { statement: twice, values: [index] },
        { statement: divided, values: [1] },
        { statement: twice, values: [-index] },
      ])
      const rounds = [...asked, ...asked].map((steps) => stores.control.session.request(...steps))
      for (const [index, results] of (await Promise.all(rounds)).entries()) {
        const number = 1 + (index % 6)
        expect(results).toEqual([[[number, number * 2]], [[1]], [[-number, -number * 2]]])
      }
    })

    test('a failure ends its request and nothing else', async () => {
      const ok = { statement: twice, values: [4] }
      const failing = { statement: divided, values: [0] }
      const results = await Promise.allSettled([
        stores.control.session.request(ok, failing, ok),
        stores.control.session.request({ statement: bad }),
        stores.control.session.request(ok, { statement: divided, values: [1] }),
        stores.control.session.request({ statement: bad }),
      ])
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled', 'rejected'])
      expect(results[0]).toMatchObject({ reason: { code: 'postgres', details: { sqlState: '22012' } } })
      expect(results[1]).toMatchObject({ reason: { details: { sqlState: '42P01' } } })
      expect(results[2]).toMatchObject({ value: [[[4, 8]], [[1]]] })
      expect(stores.control.session.isBroken).toBe(false)
    })

    test('what comes after a failed step is not done', async () => {
      await stores.control.session.rows({ text: 'CREATE TEMPORARY TABLE done (number int)' })
      const insert = { name: 'insert', text: 'INSERT INTO done VALUES ($1)' }
      await stores.control.session.request({ statement: insert, values: [1] })
      await expect(
        stores.control.session.request(
          { statement: divided, values: [0] },
          { statement: insert, values: [2] },
          { statement: { text: 'COMMIT' } },
        ),
      ).rejects.toMatchObject({ details: { sqlState: '22012' } })
      expect(await stores.control.session.rows({ text: 'SELECT number FROM done' })).toEqual([[1]])
    })

    test('a column of a type that is not read here is an error, and the session goes on', async () => {
      await expect(stores.control.session.rows({ name: 'odd', text: 'SELECT 1.5' })).rejects.toThrow(
        'type 1700',
      )
      expect(await stores.control.session.rows(twice, 3)).toEqual([[3, 6]])
    })
  })
})
