/** A server that is restarted: what its clients have kept stays of use, and is never believed of another database. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Tid } from '../../../src/core/ids.ts'
import { openDiskCache } from '../../../src/storages/cache/disk/open.ts'
import memory from '../../../src/storages/memory.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import { emptyMetadata, type Storage } from '../../../src/storages/storage.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import type { ClientStorage } from '../../../src/storages/zeo/client-storage.ts'
import { bytes, oid, read, remove, Served, write } from './harness.ts'

let served: Served
let folder: string
const stores: Storage[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-cache-'))
})
afterEach(async () => {
  await served.stop()
  for (const store of stores.splice(0)) await store.close()
  rmSync(folder, { recursive: true })
})

const capabilities = memory.capabilities({ history: true })
const objects = Array.from({ length: 50 }, (_, index) => oid(index + 1))

/** Tids count from here, a thousand for each transaction, so that two databases can be made to look alike. */
function withHistory(firstUs = 1_000_000): Promise<Storage> {
  let us = firstUs
  const context = openContext({ clock: { ...openContext({}).clock, wallUs: () => (us += 1000) } })
  return Promise.resolve(openStorage(memory, { history: true }, context))
}

async function start(): Promise<void> {
  served = await Served.start({ storage: await withHistory(), capabilities })
}

/** The server ends, `meanwhile` happens to the store, and a new run begins. */
async function restart(meanwhile: (own: Storage) => unknown = () => {}): Promise<void> {
  await served.stopServer()
  await meanwhile(served.storage)
  await served.listen()
}

/** Another database is served from now on. */
async function replace(by: Storage): Promise<void> {
  stores.push(served.storage)
  served.storage = by
}

async function change(storage: Storage, ids: readonly number[], content: string): Promise<void> {
  const instance = await storage.newInstance()
  for (const id of ids) await write(instance, oid(id), content)
  await instance.release()
}

async function removeFrom(storage: Storage, id: number): Promise<void> {
  const instance = await storage.newInstance()
  await remove(instance, oid(id))
  await instance.release()
}

const client = () => served.client({ cache: new ClientCache(shareClientCache(1024 ** 2)) })

function clientWithDisk(): Promise<ClientStorage> {
  const disk = openDiskCache({ folder, bytesLimit: 1024 ** 2, policy: 's3-fifo', log: () => {} })!
  return served.client({ cache: new ClientCache(shareClientCache(1024 ** 2), { disk }) })
}

async function fill(storage: ClientStorage) {
  const instance = storage.newInstance()
  for (const one of objects) await write(instance, one, `${one}`)
  await instance.pollInvalidations()
  return instance
}

/** A server, and a client with a cache that has all objects. */
async function started() {
  await start()
  const storage = await client()
  return { storage, instance: await fill(storage) }
}

/** A storage with the same transactions as the one that is served. */
async function copyOfServed(): Promise<Storage> {
  const copy = await withHistory(10_000_000)
  for await (const transaction of served.storage.iterate!()) await copy.restore!(transaction)
  return copy
}

/** Reads everything in the snapshot that is open. Returns how much came from the server, verifying included. */
async function asked(storage: ClientStorage, instance: ReturnType<ClientStorage['newInstance']>) {
  const before = storage.counters()
  const found: Record<number, string | undefined> = {}
  for (const one of objects) {
    const [revision] = await instance.loadMany([one])
    found[one] = revision === undefined ? undefined : new TextDecoder().decode(revision.data)
  }
  const after = storage.counters()
  return {
    found,
    loads: after.backendLoads - before.backendLoads,
    roundTrips: after.roundTrips - before.roundTrips,
  }
}

const unchanged = Object.fromEntries(objects.map((one) => [one, `${one}`]))

test('what others changed while the server was away is told, and nothing else is asked for again', async () => {
  const { storage, instance } = await started()
  await restart((own) => change(own, [7, 60, 7], 'changed meanwhile'))
  // The report is exact too: the application keeps the objects that it has.
  expect(await instance.pollInvalidations()).toEqual(new Set([oid(7), oid(60)]))
  const { found, loads, roundTrips } = await asked(storage, instance)
  expect(found).toEqual({ ...unchanged, 7: 'changed meanwhile' })
  expect([loads, roundTrips]).toEqual([1, 1])
})

test('a restart during which nothing happened costs nothing', async () => {
  const { storage, instance } = await started()
  await restart()
  expect(await instance.pollInvalidations()).toEqual(new Set())
  expect(await asked(storage, instance)).toEqual({ found: unchanged, loads: 0, roundTrips: 0 })
})

test('restarts one after the other, with commits of everybody in between', async () => {
  const { storage, instance } = await started()
  const expected: Record<number, string | undefined> = { ...unchanged }
  for (let round = 1; round <= 5; round++) {
    await restart((own) => change(own, [round, 10 + round], `around ${round}`))
    expect(await instance.pollInvalidations()).toEqual(new Set([oid(round), oid(10 + round)]))
    expected[round] = expected[10 + round] = `around ${round}`
    expect((await asked(storage, instance)).found).toEqual(expected)
    await write(instance, oid(20 + round), `mine ${round}`)
    expected[20 + round] = `mine ${round}`
    await instance.pollInvalidations()
  }
  expect(await asked(storage, instance)).toMatchObject({ found: expected, loads: 0 })
})

test('an object that was deleted while the server was away is gone', async () => {
  const { storage, instance } = await started()
  await restart((own) => removeFrom(own, 9))
  expect(await instance.pollInvalidations()).toEqual(new Set([oid(9)]))
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 9: undefined })
})

test('a deletion that was packed away is not missed: then nothing is believed', async () => {
  const { storage, instance } = await started()
  await restart(async (own) => {
    await removeFrom(own, 9)
    await own.pack!({ before: own.lastTid })
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 9: undefined })
})

test('a deletion that was packed away is not missed in a copy either', async () => {
  const { storage, instance } = await started()
  await restart(async (own) => {
    await removeFrom(own, 9)
    await own.pack!({ before: own.lastTid })
    await replace(await copyOfServed())
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 9: undefined })
})

test('too many changes to tell are not told: what is kept is verified', async () => {
  const { storage, instance } = await started()
  await restart(async (own) => {
    const around = await own.newInstance()
    await around.pollInvalidations()
    const transaction = around.begin()
    for (let id = 100; id < 20_200; id++) await transaction.store(oid(id), 0 as Tid, bytes('x'))
    await (await transaction.vote()).finish()
    await change(own, [7], 'changed meanwhile')
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 7: 'changed meanwhile' })
})

test('another database is recognised, though it has transactions with the very tids of ours', async () => {
  const { storage, instance } = await started()
  await restart(async () => {
    const other = await withHistory()
    await change(other, [...objects, 60], 'of the other')
    await replace(other)
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect(new Set(Object.values((await asked(storage, instance)).found))).toEqual(new Set(['of the other']))
})

test('a copy that went its own way is recognised, whatever the two have in common', async () => {
  const { storage, instance } = await started()
  const copy = await copyOfServed()
  // Ours goes on after the copy was made; this client has seen it, and what it changed, but keeps the other objects.
  await change(served.storage, [3], 'of the original')
  await read(instance, oid(3))
  await restart(async () => {
    await change(copy, [3, 4], 'of the copy')
    await replace(copy)
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 3: 'of the copy', 4: 'of the copy' })
})

test('a copy is recognised also by a client that has nothing of what the original did since', async () => {
  const { storage, instance } = await started()
  const copy = await copyOfServed()
  await change(served.storage, [70], 'of the original')
  await instance.pollInvalidations()
  await restart(async () => {
    await change(copy, [4], 'of the copy')
    await replace(copy)
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 4: 'of the copy' })
})

test('a copy is recognised also where both have made different transactions of the very same tid', async () => {
  const { storage, instance } = await started()
  const copy = await copyOfServed()
  const tid = (copy.lastTid + 500) as Tid
  const restore = (into: Storage, id: number) =>
    into.restore!({ tid, metadata: emptyMetadata, records: [{ oid: oid(id), data: bytes('of the copy') }] })
  await restore(served.storage, 70)
  await restore(copy, 4)
  await instance.pollInvalidations()
  await restart(async () => {
    await change(copy, [60], 'later')
    await replace(copy)
  })
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 4: 'of the copy' })
})

test('a commit of ours that the restarted store has lost is not served from the cache', async () => {
  await start()
  await fill(await served.client())
  const storage = await client()
  const instance = storage.newInstance()
  for (const one of objects) await read(instance, one)
  const copy = await copyOfServed()
  await write(instance, oid(80), 'lost')
  await restart(async () => {
    await change(copy, [60], 'later')
    await replace(copy)
  })
  await instance.pollInvalidations()
  expect((await instance.loadMany([oid(80)]))[0]).toBe(undefined)
  expect((await asked(storage, instance)).found).toEqual(unchanged)
})

test('a disk cache begins warm behind a restarted server, also the second time', async () => {
  await start()
  // Of an empty store there is no snapshot to ask for changes since.
  await change(served.storage, [1000], 'first')
  const first = await clientWithDisk()
  await fill(first)
  await first.close()
  const expected: Record<number, string> = { ...unchanged }
  for (const id of [7, 8]) {
    await restart((own) => change(own, [id], 'changed meanwhile'))
    expected[id] = 'changed meanwhile'
    const next = await clientWithDisk()
    expect(next.cache!.disk!.entries).toBe(50)
    const instance = next.newInstance()
    await instance.pollInvalidations()
    expect([...next.cache!.disk!.doubtful()]).toEqual([])
    const { found, loads } = await asked(next, instance)
    expect(found).toEqual(expected)
    expect(loads).toBe(1)
    await next.close()
  }
})

test('a storage without history is verified, as ever', async () => {
  served = await Served.start()
  const storage = await client()
  const instance = await fill(storage)
  await restart((own) => change(own, [7], 'changed meanwhile'))
  expect(await instance.pollInvalidations()).toBe('all')
  expect((await asked(storage, instance)).found).toEqual({ ...unchanged, 7: 'changed meanwhile' })
})
