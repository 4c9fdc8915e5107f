/** What the conformance suite cannot know of PostgreSQL: races, locks, round trips, other people's databases. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isTransient } from '../../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { loadDriver, type PgSession } from '../../../src/storages/sql/postgres/driver.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import { openControl } from '../../../src/storages/sql/postgres/provision.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { asModule, testCache } from './cache-model.ts'
import { createAccounts, runClient, toBytes, toText } from './race-model.ts'
import { startTestServer } from './servers.ts'

const server = await startTestServer(postgres, { durability: 'os' })

describe.skipIf(server === undefined)('postgres', () => {
  const storages: Storage[] = []
  let control: PgSession
  let url: string
  let count = 0

  beforeAll(async () => {
    const store = await server!.provision.newStore('control')
    url = store.options.url
    control = await openControl(await loadDriver(), url, 'test')
  })

  afterAll(async () => {
    for (const storage of storages) await storage.close()
    await control.close()
    await server!.stop()
  })

  async function open(copies: number, given: Record<string, unknown> = {}): Promise<readonly Storage[]> {
    const store = await server!.provision.newStore(`test_${count++}`)
    const opened: Storage[] = []
    for (let copy = 0; copy < copies; copy++) {
      opened.push(
        await openStorage(postgres, {
          ...store.options,
          ...server!.options({ ...given, url, schema: store.options.schema }),
        }),
      )
    }
    storages.push(...opened)
    return opened
  }

  async function voteOn(instance: StorageInstance, oid: Oid, serial: Tid, text: string) {
    const transaction = instance.begin()
    await transaction.store(oid, serial, toBytes(text))
    return transaction.vote()
  }

  async function polled(storage: Storage): Promise<StorageInstance> {
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    return instance
  }

  describe.each([{ history: false }, { history: true }])('with %o', ({ history }) => {
    test.each([1, 3])('clients of %i storages never see a broken total or a stale cache', async (copies) => {
      const seed = `race/${history}/${copies}/${Date.now()}`
      const random = new Random(seed)
      const opened = await open(copies, { history })
      const oids = await createAccounts(opened[0]!, 5)
      const outcomes = await Promise.all(
        Array.from({ length: 9 }, (_, client) =>
          runClient(opened[client % copies]!, { oids, rounds: 60, random: random.split(client) }),
        ),
      )
      const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
      expect(commits, `seed ${seed}`).toBeGreaterThan(30)
    })

    describe('the cache', () => {
      testCache(asModule(postgres), async (given) => {
        const { options } = await server!.provision.newStore(`test_${count++}`)
        return { ...options, ...server!.options({ ...given, history, url, schema: options.schema }) }
      })
    })

    test('commits of different objects are voted at the same time', async () => {
      const [storage] = await open(1, { history })
      const [one, two] = await createAccounts(storage!, 2)
      const a = await polled(storage!)
      const b = await polled(storage!)
      const serial = a.snapshotTid
      const first = await voteOn(a, one!, serial, 'a')
      const second = await voteOn(b, two!, serial, 'b')
      await second.finish()
      await first.finish()
      await a.pollInvalidations()
      expect(toText((await a.load(one!)).data) + toText((await a.load(two!)).data)).toBe('ab')
    })

    test('new objects of different instances are voted at the same time', async () => {
      const [storage] = await open(1, { history })
      const a = await polled(storage!)
      const b = await polled(storage!)
      const [one] = await a.newOids(1)
      const [two] = await b.newOids(1)
      const first = await voteOn(a, one!, noTid, 'a')
      const second = await voteOn(b, two!, noTid, 'b')
      await second.finish()
      await first.finish()
    })

    test('of two that make the same new object, the second waits and conflicts', async () => {
      const [storage, other] = await open(2, { history })
      const a = await polled(storage!)
      const b = await polled(other!)
      const first = await voteOn(a, 0 as Oid, noTid, 'a')
      const second = voteOn(b, 0 as Oid, noTid, 'b')
      let hasAnswered = false
      const outcome = Promise.resolve(second).then(
        () => 'voted',
        (error: { readonly code: string }) => {
          hasAnswered = true
          return error.code
        },
      )
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
      expect(hasAnswered).toBe(false)
      await first.finish()
      expect(await outcome).toBe('conflict')
    })

    test('reading what another is about to change is refused without waiting', async () => {
      const [storage] = await open(1, { history })
      const [one, two] = await createAccounts(storage!, 2)
      const a = await polled(storage!)
      const b = await polled(storage!)
      const first = await voteOn(a, one!, a.snapshotTid, 'a')
      const transaction = b.begin()
      await transaction.store(two!, b.snapshotTid, toBytes('b'))
      await transaction.readCurrent(one!, b.snapshotTid)
      await expect(async () => transaction.vote()).rejects.toMatchObject({
        code: 'read-conflict',
        details: { oid: one },
      })
      await transaction.abort()
      await first.finish()
    })

    test('crossing votes never deadlock', async () => {
      const seed = `crossing/${history}/${Date.now()}`
      const random = new Random(seed)
      const opened = await open(2, { history })
      const oids = await createAccounts(opened[0]!, 8)
      const failures: unknown[] = []
      await Promise.all(
        Array.from({ length: 10 }, async (_, client) => {
          const instance = await opened[client % 2]!.newInstance()
          const own = random.split(client)
          for (let round = 0; round < 30; round++) {
            await instance.pollInvalidations()
            const chosen = own.shuffled(oids).slice(0, 5)
            const revisions = await instance.loadMany(chosen)
            const transaction = instance.begin()
            try {
              for (const [index, oid] of chosen.entries()) {
                const { serial } = revisions[index]!
                if (index < 3) await transaction.store(oid, serial, toBytes(`${round}`))
                else await transaction.readCurrent(oid, serial)
              }
              await (await transaction.vote()).finish()
            } catch (error) {
              await transaction.abort()
              if (!isTransient(error) || (error as { code: string }).code === 'deadlock') failures.push(error)
            }
          }
        }),
      )
      expect(failures, `seed ${seed}`).toEqual([])
    })

    test.each([1, 20, 300])('a commit of %i objects is two round trips', async (objects) => {
      const [storage] = await open(1, { history })
      const instance = await polled(storage!)
      const commit = async (): Promise<number> => {
        await instance.pollInvalidations()
        const oids = await instance.newOids(objects)
        const before = storage!.counters().roundTrips
        const transaction = instance.begin()
        for (const oid of oids) await transaction.store(oid, noTid, toBytes('x'))
        await (await transaction.vote()).finish()
        return storage!.counters().roundTrips - before
      }
      expect(await commit()).toBe(2)
      expect(await commit()).toBe(2)
    })

    test('many may open a fresh store at once', async () => {
      const store = await server!.provision.newStore(`test_${count++}`)
      const options = server!.options({ history, url, schema: store.options.schema })
      const opened = await Promise.all(Array.from({ length: 6 }, () => openStorage(postgres, options)))
      storages.push(...opened)
      const [oid] = await createAccounts(opened[0]!, 1)
      const instance = await polled(opened[5]!)
      expect(toText((await instance.load(oid!)).data)).toBe('1000')
    })

    test('a commit of many and of large objects is one transaction', async () => {
      const [storage] = await open(1, { history })
      const writer = await polled(storage!)
      const reader = await polled(storage!)
      const oids = await writer.newOids(2503)
      const transaction = writer.begin()
      for (const oid of oids.slice(0, 2500)) await transaction.store(oid, noTid, toBytes(`object ${oid}`))
      for (const oid of oids.slice(2500)) await transaction.store(oid, noTid, new Uint8Array(12e6).fill(oid))
      await transaction.readCurrent(0 as Oid, noTid)
      const tid = await (await transaction.vote()).finish()
      const changed = await reader.pollInvalidations()
      expect(changed).toEqual(new Set(oids))
      const revisions = await reader.loadMany(oids)
      expect(new Set(revisions.map((revision) => revision?.serial))).toEqual(new Set([tid]))
      expect(toText(revisions[2499]!.data)).toBe(`object ${oids[2499]}`)
      const last = revisions[2502]!.data
      expect([last.length, last[0], last.at(-1)]).toEqual([12e6, oids[2502]! % 256, oids[2502]! % 256])
      expect(await reader.loadMany([0 as Oid])).toEqual([undefined])
    })

    test('loads of one tick are one round trip', async () => {
      const [storage] = await open(1, { history })
      const oids = await createAccounts(storage!, 30)
      await storage!.cache!.clear()
      const instance = await polled(storage!)
      const before = storage!.counters().roundTrips
      const revisions = await Promise.all(oids.map((oid) => instance.load(oid)))
      expect(storage!.counters().roundTrips - before).toBe(1)
      expect(revisions.map(({ data }) => toText(data))).toEqual(oids.map(() => '1000'))
    })

    test('a session that was lost while idle is replaced unnoticed', async () => {
      const [storage] = await open(1, { history })
      const [oid] = await createAccounts(storage!, 1)
      const instance = await polled(storage!)
      await instance.afterCompletion()
      await control.rows({
        text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shootout' AND pid <> pg_backend_pid()
          AND query LIKE '%COMMIT%'`,
      })
      await instance.pollInvalidations()
      expect(toText((await instance.load(oid!)).data)).toBe('1000')
    })
  })

  test('a connection lost in the vote is a transient error, and nothing is committed', async () => {
    const [storage, other] = await open(2)
    const [oid] = await createAccounts(storage!, 1)
    const a = await polled(storage!)
    const b = await polled(other!)
    const serial = a.snapshotTid
    const holder = await voteOn(b, oid!, serial, 'b')
    const waiting = Promise.resolve(voteOn(a, oid!, serial, 'a'))
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'disconnected', transient: true })
    await expect
      .poll(async () => {
        const killed = await control.rows({
          text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM vote%'`,
        })
        return killed.length
      })
      .toBeGreaterThan(0)
    await outcome
    await holder.finish()
    await b.pollInvalidations()
    expect(toText((await b.load(oid!)).data)).toBe('b')
  })

  test('a connection lost before finish is not transient: nobody can know', async () => {
    const [storage] = await open(1)
    const [oid] = await createAccounts(storage!, 1)
    const instance = await polled(storage!)
    const voted = await voteOn(instance, oid!, instance.snapshotTid, 'a')
    await control.rows({
      text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%FROM vote%'`,
    })
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
    const options = server!.options({ url, schema: `test_${count++}`, replicaUrl: replicaOf(url) })
    const storage = await openStorage(postgres, options, { log: (line) => said.push(line) })
    storages.push(storage)
    const [oid] = await createAccounts(storage, 1)
    const instances = await Promise.all([polled(storage), polled(storage)])
    for (const instance of instances) expect(toText((await instance.load(oid!)).data)).toBe('1000')
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(reason)
  })

  test('a schema that holds something else is refused and left alone', async () => {
    await control.rows({ text: 'CREATE SCHEMA theirs; CREATE TABLE theirs.things (a int)' })
    await expect(openStorage(postgres, server!.options({ url, schema: 'theirs' }))).rejects.toMatchObject({
      code: 'foreign-database',
    })
    const tables = await control.rows({
      text: "SELECT relname::text FROM pg_class WHERE relnamespace = 'theirs'::regnamespace",
    })
    expect(tables).toEqual([['things']])
  })

  test.each(['a; DROP TABLE x', 'Upper', '"q"', '', 'ä'])('the schema name %j is refused', async (schema) => {
    await expect(openStorage(postgres, server!.options({ url, schema }))).rejects.toMatchObject({
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

  test('by url, runs remove their own schemas, and those of runs that died', async () => {
    const given = server!.options({ url })
    const alive = await postgres.provision!(given, { folder: '/nowhere', log: () => {} })
    const dead = await postgres.provision!(given, { folder: '/nowhere', log: () => {} })
    if (!alive.available || !dead.available) throw new Error('not available')
    const kept = await alive.newStore('kept')
    const orphan = await dead.newStore('orphan')
    const schemas = async () =>
      (await control.rows({ text: 'SELECT nspname::text FROM pg_namespace' })).map(([name]) => name)
    expect(await schemas()).toEqual(expect.arrayContaining([kept.options.schema, orphan.options.schema]))
    // Its sessions end, its schema stays: as when it dies.
    await dead.dispose()
    const next = await postgres.provision!(given, { folder: '/nowhere', log: () => {} })
    if (!next.available) throw new Error('not available')
    expect(await schemas()).not.toContain(orphan.options.schema)
    expect(await schemas()).toContain(kept.options.schema)
    await kept.dispose()
    expect(await schemas()).not.toContain(kept.options.schema)
    await next.dispose()
    await alive.dispose()
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
      const rounds = [...asked, ...asked].map((steps) => control.request(...steps))
      for (const [index, results] of (await Promise.all(rounds)).entries()) {
        const number = 1 + (index % 6)
        expect(results).toEqual([[[number, number * 2]], [[1]], [[-number, -number * 2]]])
      }
    })

    test('a failure ends its request and nothing else', async () => {
      const ok = { statement: twice, values: [4] }
      const failing = { statement: divided, values: [0] }
      const results = await Promise.allSettled([
        control.request(ok, failing, ok),
        control.request({ statement: bad }),
        control.request(ok, { statement: divided, values: [1] }),
        control.request({ statement: bad }),
      ])
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled', 'rejected'])
      expect(results[0]).toMatchObject({ reason: { code: 'postgres', details: { sqlState: '22012' } } })
      expect(results[1]).toMatchObject({ reason: { details: { sqlState: '42P01' } } })
      expect(results[2]).toMatchObject({ value: [[[4, 8]], [[1]]] })
      expect(control.isBroken).toBe(false)
    })

    test('what comes after a failed step is not done', async () => {
      await control.rows({ text: 'CREATE TEMPORARY TABLE done (number int)' })
      const insert = { name: 'insert', text: 'INSERT INTO done VALUES ($1)' }
      await control.request({ statement: insert, values: [1] })
      await expect(
        control.request(
          { statement: divided, values: [0] },
          { statement: insert, values: [2] },
          { statement: { text: 'COMMIT' } },
        ),
      ).rejects.toMatchObject({ details: { sqlState: '22012' } })
      expect(await control.rows({ text: 'SELECT number FROM done' })).toEqual([[1]])
    })

    test('a column of a type that is not read here is an error, and the session goes on', async () => {
      await expect(control.rows({ name: 'odd', text: 'SELECT 1.5' })).rejects.toThrow('type 1700')
      expect(await control.rows(twice, 3)).toEqual([[3, 6]])
    })
  })
})
