/** The disk cache of a client, with servers that go on, begin anew, or serve something else. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDiskCache } from '../../../src/storages/cache/disk/open.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import type { ClientStorage } from '../../../src/storages/zeo/client-storage.ts'
import { eventually, oid, read, Served, write } from './harness.ts'

let served: Served
let folder: string
let logged: string[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-cache-'))
  logged = []
})
afterEach(async () => {
  await served.stop()
  rmSync(folder, { recursive: true })
})

const objects = Array.from({ length: 50 }, (_, index) => oid(index + 1))

/** A client as a new process would be: with nothing in memory. */
async function client(): Promise<ClientStorage> {
  const disk = openDiskCache({
    folder,
    bytesLimit: 1024 ** 2,
    policy: 's3-fifo',
    log: (message) => logged.push(message),
  })
  const memoryCache = shareClientCache(256 * 1024)
  return await served.client({ cache: new ClientCache(memoryCache, disk === undefined ? {} : { disk }) })
}

async function fill(): Promise<void> {
  // Of an empty store there is no snapshot to ask for changes since.
  await write((await served.client()).newInstance(), oid(1000), 'first')
  const first = await client()
  const instance = first.newInstance()
  for (const one of objects) await write(instance, one, `${one}`)
  await instance.pollInvalidations()
  await first.close()
}

/** Reads everything. Returns how much came from the server. */
async function readAll(
  storage: ClientStorage,
  expected: (id: number) => string | undefined,
): Promise<number> {
  const instance = storage.newInstance()
  const before = storage.counters().backendLoads
  for (const one of objects) expect(await read(instance, one)).toBe(expected(one))
  await instance.release()
  return storage.counters().backendLoads - before
}

test('a process that starts again begins warm, and is told what has changed', async () => {
  served = await Served.start()
  await fill()
  const other = (await served.client()).newInstance()
  await write(other, oid(7), 'changed meanwhile')
  const second = await client()
  expect(second.cache!.disk!.entries).toBe(50)
  expect(await readAll(second, (id) => (id === 7 ? 'changed meanwhile' : `${id}`))).toBe(1)
  await second.close()
  const third = await client()
  expect(await readAll(third, (id) => (id === 7 ? 'changed meanwhile' : `${id}`))).toBe(0)
  expect(logged).toEqual([])
})

test('behind another run of the server, entries are verified and then used', async () => {
  served = await Served.start()
  await fill()
  await served.stopServer()
  const around = await served.storage.newInstance()
  await write(around, oid(7), 'changed meanwhile')
  await served.listen()
  const second = await client()
  const { disk } = second.cache!
  await second.newInstance().pollInvalidations()
  expect(disk!.find(oid(1))).toBe(undefined)
  await eventually(() => [...disk!.doubtful()].length === 0, 'everything is verified')
  expect(disk!.entries).toBe(49)
  expect(await readAll(second, (id) => (id === 7 ? 'changed meanwhile' : `${id}`))).toBe(1)
})

test('the same, when the connection is lost and the server begins anew: also what is in memory', async () => {
  served = await Served.start()
  const storage = await client()
  const instance = storage.newInstance()
  for (const one of objects) await write(instance, one, `${one}`)
  await readAll(storage, (id) => `${id}`)
  await served.stopServer()
  const around = await served.storage.newInstance()
  await write(around, oid(7), 'changed meanwhile')
  await served.listen()
  await instance.pollInvalidations()
  const { disk, index, states } = storage.cache!
  const isProven = () =>
    [...states.keys()].flat().filter(({ oid: id, tid, through }) => index.isCurrent(id, tid, through)).length
  await eventually(() => [...disk!.doubtful()].length === 0 && isProven() === 49, 'everything is verified')
  expect(await readAll(storage, (id) => (id === 7 ? 'changed meanwhile' : `${id}`))).toBe(1)
})

test('another database behind the same address is recognised, also where its tids go on', async () => {
  served = await Served.start()
  await fill()
  await served.stopServer()
  const original = served.storage
  served.storage = await openStorage(memory, { history: false })
  const around = await served.storage.newInstance()
  for (const one of objects.slice(0, 25)) await write(around, one, `other ${one}`)
  await served.listen()
  const second = await client()
  const expected = (id: number) => (id <= 25 ? `other ${id}` : undefined)
  await readAll(second, expected)
  await eventually(() => [...second.cache!.disk!.doubtful()].length === 0, 'everything is verified')
  expect(await readAll(second, expected)).toBe(0)
  expect(second.cache!.disk!.entries).toBe(25)
  await original.close()
})

test('an older state of the database empties the cache', async () => {
  served = await Served.start()
  await fill()
  await served.stopServer()
  const original = served.storage
  served.storage = await openStorage(memory, { history: false })
  await served.listen()
  const second = await client()
  expect(second.cache!.disk!.entries).toBe(0)
  expect(logged.join()).toMatch(/another database/)
  await readAll(second, () => undefined)
  await original.close()
})

test('a second user of the folder goes without, and says so', async () => {
  served = await Served.start()
  await fill()
  const [second, third] = [await client(), await client()]
  expect(second.cache!.disk).not.toBe(undefined)
  expect(third.cache!.disk).toBe(undefined)
  expect(logged.join()).toMatch(/no disk cache in this process: .*this process .* has had it open/)
  expect(await readAll(second, (id) => `${id}`)).toBe(0)
  expect(await readAll(third, (id) => `${id}`)).toBe(50)
  await second.close()
  const fourth = await client()
  expect(await readAll(fourth, (id) => `${id}`)).toBe(0)
})

test('emptying the caches empties the disk cache', async () => {
  served = await Served.start()
  await fill()
  const second = await client()
  second.cache!.clear()
  expect(await readAll(second, (id) => `${id}`)).toBe(50)
  await second.zap()
  expect(second.cache!.disk!.entries).toBe(0)
  await readAll(second, () => undefined)
})
