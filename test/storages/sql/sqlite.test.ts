/** What the conformance suite cannot know of SQLite: files, locks, other programs' databases. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { openStorage } from '../../../src/storages/open.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import type { OpenContext, Storage } from '../../../src/storages/storage.ts'
import { coded } from '../../coded.ts'
import { freshRandom } from '../../fresh-random.ts'
import { asModule, optionsFor, testCache } from './cache-model.ts'
import { createAccounts, runClient, toBytes, toText } from './race-model.ts'

let folder: string
let path: string
const opened: Storage[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-sqlite-'))
  path = join(folder, 'store.sqlite')
})

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
  rmSync(folder, { recursive: true, force: true })
})

async function open(
  given: Record<string, unknown> = {},
  context: Partial<OpenContext> = {},
): Promise<Storage> {
  const storage = await openStorage(
    sqlite,
    parseOptions('sqlite', sqlite.options, { path, ...given }),
    context,
  )
  opened.push(storage)
  return storage
}

async function put(storage: Storage, oid: Oid, text: string) {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([oid])
  const transaction = instance.begin()
  await transaction.store(oid, current?.serial ?? noTid, toBytes(text))
  const voted = await transaction.vote()
  const tid = await voted.finish()
  await instance.release()
  return tid
}

async function get(storage: Storage, oid: Oid): Promise<string> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const { data } = await instance.load(oid)
  await instance.release()
  return toText(data)
}

describe.each([{ history: false }, { history: true }])('with %o', ({ history }) => {
  test.each([1, 2])(
    'clients of %i storages on one file never see a broken total or a stale cache',
    async (count) => {
      const random = freshRandom()
      const storages = await Promise.all(
        Array.from({ length: count }, () => open({ history, durability: 'os' })),
      )
      const oids = await createAccounts(storages[0]!, 6)
      const outcomes = await Promise.all(
        Array.from({ length: 6 }, (_, client) =>
          runClient(storages[client % count]!, { oids, rounds: 60, random: random.split(client) }),
        ),
      )
      const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
      expect(commits).toBeGreaterThan(20)
    },
  )

  test('a voted transaction makes others wait without stopping the event loop', async () => {
    const storage = await open({ history })
    const other = await open({ history })
    const oid = 1 as Oid
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    const transaction = instance.begin()
    await transaction.store(oid, noTid, toBytes('first'))
    const voted = await transaction.vote()
    const order: string[] = []
    const waiting = [
      put(storage, 2 as Oid, 'same storage').then(() => order.push('same')),
      put(other, 3 as Oid, 'other storage').then(() => order.push('other')),
    ]
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
    expect(order).toEqual([])
    await voted.finish()
    await Promise.all(waiting)
    expect(await get(other, oid)).toBe('first')
    expect(await get(storage, 3 as Oid)).toBe('other storage')
  })

  test('waiting for the write lock ends with a transient error at the limit', async () => {
    const storage = await open({ history, lockTimeout: '50ms' })
    const other = await open({ history, lockTimeout: '50ms' })
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    const voted = await instance.begin().vote()
    for (const late of [storage, other]) {
      await expect(put(late, 1 as Oid, 'late')).rejects.toMatchObject({
        code: 'commit-lock-timeout',
        transient: true,
      })
    }
    await voted.abort()
    await put(other, 1 as Oid, 'in time')
    expect(await get(storage, 1 as Oid)).toBe('in time')
  })

  test('ids leased by two storages on one file never meet', async () => {
    const storages = [await open({ history }), await open({ history })]
    const instances = await Promise.all(storages.map((storage) => storage.newInstance()))
    const seen = new Set<Oid>()
    for (let round = 0; round < 40; round++) {
      const instance = instances[round % 2]!
      for (const oid of await instance.newOids(100)) {
        expect(seen.has(oid)).toBe(false)
        expect(oid).toBeGreaterThan(0)
        seen.add(oid)
      }
      await put(storages[round % 2]!, 0 as Oid, `${round}`)
    }
  })

  test('the log is emptied although every commit is made inside a snapshot', async () => {
    const storage = await open({ history, durability: 'os' })
    const instance = await storage.newInstance()
    const data = new Uint8Array(4000)
    let serial = noTid
    for (let round = 0; round < 3000; round++) {
      await instance.pollInvalidations()
      const transaction = instance.begin()
      await transaction.store(1 as Oid, serial, data)
      serial = await (await transaction.vote()).finish()
      await instance.afterCompletion()
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(16e6)
  })

  test.each(['the same', 'another'])(
    'where the log is long, who waits in %s isolate for the lock gives up the snapshot, and is told so when it loads',
    async (where) => {
      const storage = await open({ history, durability: 'os' })
      const waiting = await (where === 'another' ? await open({ history }) : storage).newInstance()
      const writer = await storage.newInstance()
      const write = async (oid: Oid, data: Uint8Array) => {
        await writer.pollInvalidations()
        const [current] = await writer.loadMany([oid])
        const transaction = writer.begin()
        await transaction.store(oid, current?.serial ?? noTid, data)
        return await transaction.vote()
      }
      await (await write(1 as Oid, toBytes('there'))).finish()
      // With this snapshot the log cannot begin anew.
      await waiting.pollInvalidations()
      for (let round = 0; round < 9; round++) {
        await (await write(2 as Oid, new Uint8Array(4e6).fill(round))).finish()
      }
      expect(statSync(`${path}-wal`).size).toBeGreaterThan(32 * 1024 ** 2)

      const holding = await write(2 as Oid, toBytes('held'))
      const transaction = waiting.begin()
      await transaction.store(3 as Oid, noTid, toBytes('late'))
      const voting = transaction.vote()
      const load = async () => await waiting.load(1 as Oid)
      await expect(load()).rejects.toMatchObject({ code: 'snapshot-ended', transient: true })
      await holding.finish()
      const voted = await voting
      await expect(load()).rejects.toMatchObject({ code: 'snapshot-ended', transient: true })
      await voted.finish()

      await waiting.pollInvalidations()
      expect(toText((await load()).data)).toBe('there')
    },
  )

  test('a reader that is one commit behind does not make the log be moved more often', async () => {
    const storage = await open({ history, durability: 'os' })
    const behind = await (await open({ history })).newInstance()
    const instance = await storage.newInstance()
    const data = new Uint8Array(4000)
    let serial = noTid
    for (let round = 0; round < 1500; round++) {
      await instance.pollInvalidations()
      await behind.pollInvalidations()
      const transaction = instance.begin()
      await transaction.store(1 as Oid, serial, data)
      serial = await (await transaction.vote()).finish()
      await instance.afterCompletion()
    }
    // A commit counts for four or five pages, and two syncs belong to each time that a thousand are moved.
    expect(storage.counters().syncs).toBeLessThanOrEqual(2 * 8)
    await behind.release()
  })

  test('a commit with durability "full" syncs once, with "os" never', async () => {
    for (const durability of ['full', 'os']) {
      const storage = await open({ history, durability })
      const before = storage.counters().syncs
      await put(storage, 1 as Oid, durability)
      expect(storage.counters().syncs - before).toBe(durability === 'full' ? 1 : 0)
    }
  })
})

test('a commit takes a number of statements that only the number of its objects changes', async () => {
  const storage = await open()
  const instance = await storage.newInstance()
  const cost = async (objects: number): Promise<number> => {
    await instance.pollInvalidations()
    const before = storage.counters().statements
    const transaction = instance.begin()
    const oids = await instance.newOids(objects)
    for (const oid of oids) await transaction.store(oid, noTid, toBytes('x'))
    await (await transaction.vote()).finish()
    return storage.counters().statements - before
  }
  await cost(1)
  // Begin, state, one statement for each object, state, commit.
  expect(await cost(1)).toBe(5)
  expect(await cost(50)).toBe(54)
})

test('another program’s database is left as it was', async () => {
  const database = new Database(path)
  database.exec('CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)')
  database.close()
  await expect(open()).rejects.toMatchObject({ code: 'foreign-database' })
  const again = new Database(path)
  expect(again.prepare('SELECT name FROM sqlite_master').pluck().all()).toEqual(['theirs'])
  expect(again.pragma('journal_mode', { simple: true })).toBe('delete')
  again.close()
})

test('a file that is no database is refused', async () => {
  writeFileSync(
    path,
    'just some text, long enough to be looked at as a header of a database file, at least 512 bytes'.repeat(
      9,
    ),
  )
  await expect(open()).rejects.toMatchObject({
    code: 'foreign-database',
    message: expect.stringContaining('Name another file'),
  })
})

test('a store is only opened with the schema it was made with', async () => {
  await (await open({ history: true })).close()
  await expect(open({ history: false })).rejects.toMatchObject({ code: 'schema-history' })
})

test('a store of another schema version is refused', async () => {
  await (await open()).close()
  const database = new Database(path)
  database.pragma('user_version = 99')
  database.close()
  await expect(open()).rejects.toMatchObject({ code: 'schema-version' })
})

test('read-only, nothing is created', async () => {
  await expect(open({}, { readOnly: true })).rejects.toMatchObject({ code: 'cannot-open' })
  writeFileSync(path, '')
  await expect(open({}, { readOnly: true })).rejects.toMatchObject({ code: 'no-store' })
})

test('what SQLite does not write to is said to be a matter of rights', async () => {
  await (await open()).close()
  // Of a later format for writers (byte 18 of the header) SQLite reads only. Rights would not keep root from it.
  const header = readFileSync(path)
  header[18] = 3
  writeFileSync(path, header)
  const writing = open().then((storage) => put(storage, 1 as Oid, 'a'))
  await expect(writing).rejects.toThrow(coded('cannot-write', 'check the rights of the file'))
})

test('read-only, a store is read beside its writer', async () => {
  const writer = await open()
  await put(writer, 1 as Oid, 'a')
  const storage = await open({}, { readOnly: true })
  expect(await get(storage, 1 as Oid)).toBe('a')
  await put(writer, 1 as Oid, 'b')
  expect(await get(storage, 1 as Oid)).toBe('b')
  await expect(put(storage, 1 as Oid, 'c')).rejects.toMatchObject({ code: 'read-only' })
})

test('no path is a usage error that names the option', async () => {
  await expect(open({ path: '' })).rejects.toThrow(/path=/)
})

test('many storages may be opened on a fresh file at once', async () => {
  const storages = await Promise.all(Array.from({ length: 8 }, () => open()))
  await Promise.all(storages.map((storage, index) => put(storage, (index + 1) as Oid, `${index}`)))
  expect(await get(storages[0]!, 8 as Oid)).toBe('7')
})

test('a provisioned store is removed with all its files', async () => {
  const options = parseOptions('sqlite', sqlite.options, {})
  const provision = await sqlite.provision!(options, { folder, log: () => {} })
  if (!provision.available) throw new Error(provision.reason)
  const store = await provision.newStore('one')
  const storage = await openStorage(sqlite, store.options)
  await put(storage, 1 as Oid, 'a')
  expect(statSync(store.options.path).size).toBeGreaterThan(0)
  await storage.close()
  await store.dispose()
  await provision.dispose()
  expect(() => statSync(store.options.path)).toThrow(/ENOENT/)
})

describe.each([{ history: false }, { history: true }])('the cache, with %o', ({ history }) => {
  testCache(asModule(sqlite), async (given) =>
    optionsFor(asModule(sqlite), { path, history, durability: 'os', ...given }),
  )
})

test('where no folder for the stores can be made, a run is told why', async () => {
  const options = parseOptions('sqlite', sqlite.options, { folder: '/proc/nowhere/at/all' })
  const provision = await sqlite.provision!(options, { folder, log: () => {} })
  expect(provision).toEqual({ available: false, reason: expect.stringContaining('ENOENT') })
})
