/** Copies between real stores, in every direction: with history and without, continued, refused, compared. */

import { describe, expect, test } from 'vitest'
import { noTid, type Oid, rootOid } from '../../../src/core/ids.ts'
import { encodeRecord } from '../../../src/database/record-encoder.ts'
import { type CopyProgress, copyStore } from '../../../src/storages/copy/copy.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { mysqlServer, open, openMysql, openPostgres, postgresServer } from './opened.ts'
import {
  copyOptions,
  fill,
  type OpenStore,
  openFile,
  openSqlite,
  openSqliteHistory,
  statesOf,
  transactionsOf,
} from './stores.ts'

async function filled(how: OpenStore, transactions = 40): Promise<Storage> {
  const storage = await open(how)
  await fill(storage, 'copy', transactions)
  return storage
}

const keepers: readonly (readonly [string, OpenStore, boolean])[] = [
  ['file', openFile, true],
  ['sqlite', openSqliteHistory, true],
  ['postgres', openPostgres, postgresServer !== undefined],
  ['mysql', openMysql, mysqlServer !== undefined],
]

describe.each(keepers)('%s, which keeps history,', (_name, how, isThere) => {
  test.skipIf(!isThere)('takes all transactions as they are, and gives them back', async () => {
    const source = await filled(openFile)
    const middle = await open(how)
    const back = await open(openFile)
    const there = await copyStore(source, middle, copyOptions)
    expect(there).toMatchObject({ way: 'transactions', verification: { differenceCount: 0 } })
    expect(there.verification!.records).toBe(there.records)
    expect((await copyStore(middle, back, copyOptions)).verification!.differenceCount).toBe(0)
    expect(await transactionsOf(middle)).toEqual(await transactionsOf(source))
    expect(await transactionsOf(back)).toEqual(await transactionsOf(source))
  })

  test.skipIf(!isThere)('goes on where a copy ended, and takes what is newer', async () => {
    const source = await filled(openFile, 10)
    const destination = await open(how)
    await copyStore(source, destination, copyOptions)
    const before = await transactionsOf(source)
    await fill(source, 'more', 5)
    const again = await copyStore(source, destination, copyOptions)
    expect(again.recordsThere).toBeGreaterThanOrEqual(before.length)
    expect(again.transactions).toBe(5)
    expect(await transactionsOf(destination)).toEqual(await transactionsOf(source))
  })

  // The log of `file` forgets what it had when it is closed.
  test.skipIf(!isThere || how === openFile)(
    'takes older transactions after it was emptied, and everybody sees them',
    async () => {
      const source = await filled(openFile, 10)
      const destination = await filled(how, 3)
      const watcher = await destination.newInstance()
      await watcher.pollInvalidations()
      await destination.zap()
      await watcher.pollInvalidations()
      expect((await copyStore(source, destination, copyOptions)).verification!.differenceCount).toBe(0)
      const changed = await watcher.pollInvalidations()
      expect(changed === 'all' || changed.has(rootOid)).toBe(true)
      expect(await statesOf(destination)).toEqual(await statesOf(source))
      await fill(destination, 'later', 1)
      expect((await transactionsOf(destination)).length).toBe((await transactionsOf(source)).length + 1)
    },
  )
})

test('current states come across where there is no history, and go back byte-identical', async () => {
  const source = await filled(openFile)
  const middle = await open(openSqlite)
  const back = await open(openFile)
  const there = await copyStore(source, middle, copyOptions)
  expect(there).toMatchObject({ way: 'states', verification: { differenceCount: 0 } })
  const home = await copyStore(middle, back, copyOptions)
  expect(home).toMatchObject({ way: 'states', verification: { differenceCount: 0 }, dangling: 0 })
  expect(await statesOf(back)).toEqual(await statesOf(source))
  expect((await statesOf(back)).size).toBe(there.records)
  const instance = await back.newInstance()
  await instance.pollInvalidations()
  const taken = await statesOf(source)
  for (const oid of await instance.newOids(50)) expect(taken.has(oid)).toBe(false)
})

/** Object 0 refers to nothing and has a blob of some chunks, object 1 a small one that is replaced. */
async function storeBlobs(storage: Storage): Promise<void> {
  const instance = await storage.newInstance()
  for (const [oid, bytes] of [
    [0, 2_500_000],
    [1, 10],
    [1, 0],
  ] as const) {
    await instance.pollInvalidations()
    const [current] = await instance.loadMany([oid as Oid])
    const transaction = instance.begin()
    const data = encodeRecord('test.Thing', null)
    await transaction.storeBlob!(oid as Oid, current?.serial ?? noTid, data, [Buffer.alloc(bytes, oid + 1)])
    await (await transaction.vote()).finish()
  }
  await instance.release()
}

describe.each([
  ['sqlite with history', openSqliteHistory, openSqliteHistory, 3],
  ['sqlite without', openSqliteHistory, openSqlite, 2],
  ['postgres', openSqliteHistory, openPostgres, 3],
] as const)('blobs come along to %s', (name, from, to, count) => {
  test.skipIf(name === 'postgres' && postgresServer === undefined)(
    'byte for byte, or not at all',
    async () => {
      const source = await open(from)
      await storeBlobs(source)
      const destination = await open(to)
      await expect(copyStore(source, destination, copyOptions)).rejects.toMatchObject({
        code: 'blobs-not-kept',
      })
      const copied = await copyStore(source, destination, { ...copyOptions, blobs: 'copy' })
      expect(copied).toMatchObject({ blobs: count, verification: { differenceCount: 0, blobs: count } })
      const bare = await copyStore(source, await open(to), { ...copyOptions, blobs: 'leave-out' })
      expect(bare).toMatchObject({ blobs: 0, verification: { differenceCount: 0 } })
      const instance = await destination.newInstance()
      await instance.pollInvalidations()
      const reader = (await instance.openBlob!(rootOid))!
      expect(Buffer.compare(await reader.read(0, 3_000_000), Buffer.alloc(2_500_000, 1))).toBe(0)
      await instance.release()
    },
  )
})

test('a copy of states goes on where it was stopped', async () => {
  const source = await open(openFile)
  await fill(source, 'many', 10)
  // More than a page, so that there is something to stop in.
  await storeObjects(source, 5000)
  const destination = await open(openSqlite)
  const stop = new AbortController()
  const first = await copyStore(source, destination, {
    ...copyOptions,
    signal: stop.signal,
    onProgress: ({ records }) => {
      if (records >= 1000) stop.abort()
    },
  })
  expect(first.finished).toBe(false)
  expect(first.verification).toBeUndefined()
  const second = await copyStore(source, destination, copyOptions)
  expect(second.recordsThere).toBe(first.records)
  expect(second.records).toBeGreaterThan(0)
  expect(second.verification).toMatchObject({ differenceCount: 0, records: first.records + second.records })
})

async function storeObjects(storage: Storage, count: number): Promise<void> {
  const instance = await storage.newInstance()
  const oids = await instance.newOids(count)
  for (let start = 0; start < count; start += 500) {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    for (const oid of oids.slice(start, start + 500))
      await transaction.store(oid, noTid, new Uint8Array([oid & 255]))
    await (await transaction.vote()).finish()
  }
  await instance.release()
}

test('a walk along references leaves behind what cannot be reached, and says what is missing', async () => {
  const source = await filled(openSqlite, 10)
  const reachable = await statesOf(source)
  await storeObjects(source, 3)
  const destination = await open(openFile)
  expect(await copyStore(source, destination, copyOptions)).toMatchObject({
    records: reachable.size,
    dangling: 0,
  })
  expect(await statesOf(destination)).toEqual(reachable)
})

test('states that are not records of the object layer cannot be walked', async () => {
  const source = await open(openSqlite)
  const instance = await source.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.store(rootOid, noTid, new Uint8Array([255, 1]))
  await (await transaction.vote()).finish()
  const destination = await open(openFile)
  await expect(copyStore(source, destination, copyOptions)).rejects.toMatchObject({
    code: 'copy-cannot-walk',
  })
  expect(destination.lastTid).toBe(noTid)
})

describe.each([
  ['transactions', openFile, openSqliteHistory],
  ['states', openFile, openSqlite],
])('a destination that is not the beginning of the source, by %s', (_way, from, to) => {
  test('is refused and stays as it is', async () => {
    const source = await filled(from, 8)
    const destination = await open(to)
    await fill(destination, 'other', 3)
    const before = await statesOf(destination)
    await expect(copyStore(source, destination, copyOptions)).rejects.toMatchObject({
      code: 'copy-not-a-prefix',
    })
    expect(await statesOf(destination)).toEqual(before)
  })
})

test('a destination that is ahead of the source is refused', async () => {
  const source = await filled(openFile, 5)
  const destination = await open(openSqliteHistory)
  await copyStore(source, destination, copyOptions)
  await fill(destination, 'ahead', 1)
  await expect(copyStore(source, destination, copyOptions)).rejects.toMatchObject({
    code: 'copy-not-a-prefix',
  })
})

test('one byte that differs is found', async () => {
  const source = await filled(openFile, 5)
  const destination = await open(openSqliteHistory)
  for await (const transaction of source.iterate!()) {
    const records = transaction.records.map(({ oid, data }) => ({ oid, data: data && flipped(oid, data) }))
    await destination.restore!({ ...transaction, records })
  }
  await expect(copyStore(source, destination, copyOptions)).rejects.toThrow(/object 0 .* has other bytes/)
})

/** The root's state with its last byte changed; others as they are. */
function flipped(oid: Oid, data: Uint8Array): Uint8Array {
  if (oid !== rootOid) return data
  const copy = Uint8Array.from(data)
  copy[copy.length - 1]! ^= 1
  return copy
}

test('a difference that appears while copying is told by the comparison', async () => {
  const source = await filled(openFile, 5)
  const destination = await open(openSqliteHistory)
  const restoreMany = destination.restoreMany!.bind(destination)
  Object.assign(destination, {
    restoreMany: (transactions: Parameters<typeof restoreMany>[0]) => restoreMany(transactions.slice(0, -1)),
  })
  const { verification } = await copyStore(source, destination, copyOptions)
  expect(verification!.differenceCount).toBe(1)
  expect(verification!.differences[0]).toMatch(/^transaction \d+ is missing$/)
})

test('progress goes from 0 to 1 in each phase', async () => {
  const source = await filled(openFile, 20)
  const destination = await open(openSqliteHistory)
  const seen: CopyProgress[] = []
  await copyStore(source, destination, { ...copyOptions, onProgress: (progress) => seen.push(progress) })
  expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['copying', 'verifying']))
  for (const phase of ['copying', 'verifying']) {
    const fractions = seen.filter((one) => one.phase === phase).map(({ fraction }) => fraction)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
  }
})

test('where the destination cannot be opened, nothing of the source stays open', async () => {
  const source = await filled(openSqlite, 1)
  const taken: StorageInstance[] = []
  const newInstance = source.newInstance.bind(source)
  source.newInstance = async () => {
    const instance = await newInstance()
    taken.push(instance)
    return instance
  }
  const destination = await open(openSqlite)
  await destination.close()
  const use = async (instance: StorageInstance) => instance.pollInvalidations()
  await expect(copyStore(source, destination, copyOptions)).rejects.toMatchObject({ code: 'closed' })
  expect(taken).toHaveLength(1)
  await expect(use(taken[0]!)).rejects.toMatchObject({ code: 'closed' })
})
