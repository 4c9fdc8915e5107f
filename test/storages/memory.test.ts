/** What only the memory storage promises; everything else is in the conformance suite. */

import { expect, test } from 'vitest'
import { after, noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import memory from '../../src/storages/memory.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { Storage, StorageInstance } from '../../src/storages/storage.ts'

const oid = 1 as Oid
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

async function commit(instance: StorageInstance, serial: Tid, data: string): Promise<Tid> {
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.store(oid, serial, bytes(data))
  const voted = await transaction.vote()
  return await voted.finish()
}

async function revisionsLeft(storage: Storage): Promise<number> {
  let count = 0
  for await (const transaction of storage.iterate!()) count += transaction.records.length
  return count
}

test('everything answers with plain values', async () => {
  const storage = await openStorage(memory, { history: false })
  const instance = storage.newInstance() as StorageInstance
  expect(instance.pollInvalidations()).not.toBeInstanceOf(Promise)
  const transaction = instance.begin()
  void transaction.store(oid, noTid, bytes('a'))
  const voted = transaction.vote()
  expect(voted).not.toBeInstanceOf(Promise)
  if (voted instanceof Promise) throw new Error('vote answered with a promise')
  expect(voted.finish()).not.toBeInstanceOf(Promise)
  void instance.pollInvalidations()
  expect(instance.load(oid)).not.toBeInstanceOf(Promise)
  expect(instance.loadMany([oid])).not.toBeInstanceOf(Promise)
  await storage.close()
})

test('without history, updates do not make it grow', async () => {
  const storage = await openStorage(memory, { history: false })
  const instance = await storage.newInstance()
  let serial = noTid
  for (let round = 0; round < 100; round++) serial = await commit(instance, serial, `${round}`)
  // The last commit's own snapshot still shows the revision before it.
  expect(await revisionsLeft(storage)).toBe(2)
  await storage.close()
})

test('without history, revisions that an open snapshot can see stay', async () => {
  const storage = await openStorage(memory, { history: false })
  const writer = await storage.newInstance()
  const reader = await storage.newInstance()
  let serial = await commit(writer, noTid, 'seen')
  await reader.pollInvalidations()
  for (let round = 0; round < 20; round++) serial = await commit(writer, serial, `${round}`)
  expect(text((await reader.load(oid)).data)).toBe('seen')
  await reader.afterCompletion()
  serial = await commit(writer, serial, 'last')
  expect(await revisionsLeft(storage)).toBe(2)
  await storage.close()
})

test('with history, every revision stays until it is packed', async () => {
  const storage = await openStorage(memory, { history: true })
  const instance = await storage.newInstance()
  const tids: Tid[] = []
  for (let round = 0; round < 50; round++) tids.push(await commit(instance, tids.at(-1) ?? noTid, `${round}`))
  for (const [round, tid] of tids.entries()) {
    const revision = await instance.loadBefore(oid, after(tid))
    expect(revision && text(revision.data)).toBe(`${round}`)
  }
  await instance.pollInvalidations()
  const packed = await storage.pack!({ before: storage.lastTid })
  expect(packed.removedRevisions).toBe(49)
  expect(await revisionsLeft(storage)).toBe(1)
  await storage.close()
})

test('transactions that change nothing are not kept', async () => {
  const storage = await openStorage(memory, { history: true })
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  for (let round = 0; round < 10; round++) {
    const voted = await instance.begin().vote()
    await voted.finish()
  }
  let count = 0
  for await (const _ of storage.iterate!()) count++
  expect(count).toBe(0)
  await storage.close()
})
