/** Copies of stores that were packed: what a pack has removed is known in the copy too, between storages of every kind. */

import { describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { copyStore } from '../../../src/storages/copy/copy.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import type { Storage, TransactionRecord } from '../../../src/storages/storage.ts'
import { coded } from '../../coded.ts'
import { mysqlServer, newPath, open, openMysql, openPostgres, postgresServer } from './opened.ts'
import { copyOptions, type OpenStore, openFile, openSqliteHistory, transactionsOf } from './stores.ts'

const openMemory: OpenStore = async () =>
  openStorage(memory, parseOptions('memory', memory.options, { history: true }))
const openForgetful: OpenStore = async () => openStorage(memory, parseOptions('memory', memory.options, {}))
async function write(storage: Storage, id: number, text: string | null): Promise<Tid> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([id as Oid])
  const transaction = instance.begin()
  if (text === null) await transaction.delete!(id as Oid, current!.serial)
  else await transaction.store(id as Oid, current?.serial ?? noTid, Buffer.from(text))
  const tid = await (await transaction.vote()).finish()
  await instance.release()
  return tid
}

async function read(storage: Storage, id: number): Promise<string | undefined> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([id as Oid])
  await instance.release()
  return current && Buffer.from(current.data).toString()
}

async function undo(storage: Storage, tid: Tid): Promise<void> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  try {
    await transaction.undo!(tid)
    await (await transaction.vote()).finish()
  } finally {
    await transaction.abort()
    await instance.release()
  }
}

/** `last` is all that is left of object 1; the pack has gone further, and object 3 is gone with its last transaction. */
async function fillPacked(storage: Storage) {
  await write(storage, 1, 'one')
  await write(storage, 2, 'two')
  await write(storage, 3, 'three')
  const last = await write(storage, 1, 'last')
  const mark = await write(storage, 3, null)
  await storage.pack!({ before: mark })
  return { last, mark }
}

async function recordsOf(storage: Storage): Promise<TransactionRecord[]> {
  const records: TransactionRecord[] = []
  for await (const transaction of storage.iterate!()) records.push(transaction)
  return records
}

async function expectKnown(copy: Storage, { last, mark }: { last: Tid; mark: Tid }): Promise<void> {
  expect(await copy.wholeSince!()).toBe(mark)
  await expect(undo(copy, last)).rejects.toThrow(coded('undo', `transaction ${last}`))
  expect(await read(copy, 1)).toBe('last')
}

const kinds: readonly (readonly [string, OpenStore, boolean])[] = [
  ['memory', openMemory, true],
  ['file', openFile, true],
  ['sqlite', openSqliteHistory, true],
  ['postgres', openPostgres, postgresServer !== undefined],
  ['mysql', openMysql, mysqlServer !== undefined],
]
const pairs = kinds.flatMap(([from, ...source]) =>
  kinds.map(([to, ...destination]) => ({ from, source, to, destination })),
)

test.for(pairs)(
  'a copy from $from to $to knows what was packed away, and undoes what is newer',
  async ({ source: [openSource, isSource], destination: [openCopy, isThere] }, { skip }) => {
    if (!isSource || !isThere) skip('there is no such server')
    const source = await open(openSource)
    const packed = await fillPacked(source)
    const newer = await write(source, 2, 'newer')
    const copy = await open(openCopy)
    expect((await copyStore(source, copy, copyOptions)).verification!.differences).toEqual([])
    await expectKnown(copy, packed)
    await undo(copy, newer)
    expect(await read(copy, 2)).toBe('two')
  },
)

describe.each([
  ['file', openFile],
  ['sqlite', openSqliteHistory],
] as const)('%s', (_name, how) => {
  test('a copy that ended before the place of the pack says so after opening, and is completed', async () => {
    const source = await open(openMemory)
    const packed = await fillPacked(source)
    const path = newPath()
    const begun = await how(path)
    const [first] = await recordsOf(source)
    await begun.restore!(first!)
    await begun.close()
    const copy = await open(how, path)
    expect(await copy.wholeSince!()).toBe(packed.mark)
    // The pack is not a transaction: what lies before it is still to come.
    expect(copy.lastTid).toBe(first!.tid)
    expect((await copyStore(source, copy, copyOptions)).verification!.differences).toEqual([])
    expect(await transactionsOf(copy)).toEqual(await transactionsOf(source))
    await expectKnown(copy, packed)
    await copy.close()
    await expectKnown(await open(how, path), packed)
  })

  test('a copy that is packed itself forgets nothing; one that is emptied does', async () => {
    const source = await open(openMemory)
    const packed = await fillPacked(source)
    const copy = await open(how)
    await copy.restoreMany!(await recordsOf(source))
    await copy.pack!({ before: 1 as Tid, references: () => [] })
    await expectKnown(copy, packed)
    const later = await write(copy, 1, 'later')
    await copy.pack!({ before: later })
    expect(await copy.wholeSince!()).toBe(later)
    await copy.zap()
    expect(await copy.wholeSince!()).toBe(noTid)
  })

  test('a store that keeps no history passes on what it has dropped', async () => {
    const source = await open(openForgetful)
    await write(source, 1, 'one')
    // The first revision goes when the second is replaced.
    const second = await write(source, 1, 'second')
    const third = await write(source, 1, 'third')
    const copy = await open(how)
    expect((await copyStore(source, copy, copyOptions)).verification!.differences).toEqual([])
    expect(await copy.wholeSince!()).toBe(second)
    await undo(copy, third)
    expect(await read(copy, 1)).toBe('second')
    await expect(undo(copy, second)).rejects.toThrow(coded('undo', `transaction ${second}`))
  })
})

test('a log with transactions learns of a pack, and keeps them', async () => {
  const source = await open(openSqliteHistory)
  await write(source, 1, 'one')
  await write(source, 2, 'two')
  const path = newPath()
  const copy = await openFile(path)
  await copyStore(source, copy, copyOptions)
  const before = await transactionsOf(copy)
  const reader = await copy.newInstance()
  await reader.pollInvalidations()
  await write(source, 1, 'changed')
  const last = await write(source, 1, 'last')
  const there = copy.lastTid
  await source.pack!({ before: last })
  await write(source, 2, 'after')
  for await (const transaction of source.iterate!((there + 1) as Tid)) await copy.restore!(transaction)
  expect(Buffer.from((await reader.load(1 as Oid)).data).toString()).toBe('one')
  await reader.release()
  await copy.close()
  const again = await open(openFile, path)
  await expectKnown(again, { last, mark: last })
  expect((await transactionsOf(again)).slice(0, before.length)).toEqual(before)
  expect(await read(again, 2)).toBe('after')
})

test('a destination that does not know of the pack is told by the comparison', async () => {
  const source = await open(openFile)
  const { mark } = await fillPacked(source)
  const copy = await open(openSqliteHistory)
  for (const { tid, metadata, records } of await recordsOf(source))
    await copy.restore!({ tid, metadata, records })
  const { verification } = await copyStore(source, copy, copyOptions)
  expect(verification!.differences).toEqual([
    `the source was packed up to transaction ${mark}, and the destination takes its history for whole since ${noTid}`,
  ])
})
