/** The blob cache of a client: what does not come over the wire again, and whose blobs are not taken for others. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noTid, type Tid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import type { BlobCache } from '../../../src/storages/cache/blobs/blob-cache.ts'
import { openBlobCache } from '../../../src/storages/cache/blobs/open.ts'
import fileModule from '../../../src/storages/file/index.ts'
import memory from '../../../src/storages/memory.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import { emptyMetadata } from '../../../src/storages/storage.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import type { ClientInstance } from '../../../src/storages/zeo/client-instance.ts'
import type { ClientStorage } from '../../../src/storages/zeo/client-storage.ts'
import { bytes, eventually, oid, Served } from './harness.ts'

let folder: string
let served: Served

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  const options = parseOptions('file', fileModule.options, { path: join(folder, 'log'), durability: 'os' })
  const storage = await openStorage(fileModule, options)
  served = await Served.start({ storage, capabilities: fileModule.capabilities(options) })
})

afterEach(async () => {
  await served.stop()
  rmSync(folder, { recursive: true })
})

function openCache(): BlobCache {
  const blobBytesLimit = 64 * 1024 ** 2
  return openBlobCache({ blobCacheFolder: join(folder, 'cache'), blobBytesLimit }, openContext())!
}

/** A client as a process of its own opens one. */
const client = (states = false): Promise<ClientStorage> =>
  served.client({
    blobCache: openCache(),
    ...(states ? { cache: new ClientCache(shareClientCache(1024 ** 2)) } : {}),
  })

const cachedFiles = (): string[] =>
  readdirSync(join(folder, 'cache'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.blob'))
    .map((name) => join(folder, 'cache', name))

const large = 3_300_000

function content(size: number, fill: number): Buffer {
  const data = Buffer.alloc(size)
  for (let at = 0; at < size; at++) data[at] = at * 7 + (at >> 12) + fill * 31
  return data
}

async function write(storage: ClientStorage, number: number, data: Buffer): Promise<Tid> {
  const instance = storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([oid(number)])
  const transaction = instance.begin()
  await transaction.storeBlob!(oid(number), current?.serial ?? noTid, bytes('state'), [data])
  const { tid } = await transaction.commit()
  await instance.release()
  return tid
}

async function readNow(instance: ClientInstance, number: number): Promise<Buffer> {
  const reader = (await instance.openBlob!(oid(number)))!
  const parts: Uint8Array[] = []
  for (let at = 0; at < reader.bytes; at += 700_000) parts.push(await reader.read(at, 700_000))
  await reader.close()
  return Buffer.concat(parts)
}

async function read(storage: ClientStorage, number: number): Promise<Buffer> {
  const instance = storage.newInstance()
  await instance.pollInvalidations()
  const data = await readNow(instance, number)
  await instance.release()
  return data
}

/** Compared as a whole: a difference of megabytes is not to be printed. */
const same = (found: Buffer, expected: Buffer): void => expect(found.equals(expected)).toBe(true)

test('what was read or committed here does not come over the wire again', async () => {
  const plain = await served.client()
  await write(plain, 1, content(large, 1))
  const first = await client()
  same(await read(first, 1), content(large, 1))
  await write(first, 2, content(large, 2))
  await first.close()
  expect(first.blobCacheCounters!()).toMatchObject({ misses: 1, bytesWritten: 2 * large })
  const second = await client()
  const before = second.counters().bytesRead
  same(await read(second, 1), content(large, 1))
  same(await read(second, 2), content(large, 2))
  expect(second.counters().bytesRead - before).toBeLessThan(5000)
  expect(second.blobCacheCounters!()).toMatchObject({ hits: 2, misses: 0, bytesRead: 2 * large })
  expect(plain.blobCacheCounters).toBe(undefined)
  await eventually(() => served.server.status().blobsOpen === 0, 'the server holds none of them open')
})

test('with the state in memory, a blob is opened and read without a round trip, also when the server is gone', async () => {
  const storage = await client(true)
  await write(storage, 1, content(large, 1))
  await eventually(() => cachedFiles().length === 1, 'the commit is in the cache')
  const instance = storage.newInstance()
  await instance.pollInvalidations()
  await instance.load(oid(1))
  const before = storage.counters().roundTrips
  const reader = (await instance.openBlob!(oid(1)))!
  served.cut()
  expect((await reader.read(large - 10, 100)).length).toBe(10)
  expect(storage.counters().roundTrips).toBe(before)
  await storage.close()
  await expect(async () => reader.read(0, 1)).rejects.toMatchObject({ code: 'closed' })
})

test('another run of the server, or a store that was emptied, has other blobs', async () => {
  await served.stop()
  // One that takes the same tid again.
  const storage = await openStorage(memory, { history: true })
  served = await Served.start({ storage, capabilities: memory.capabilities({ history: true }) })
  const tid = 1_000_000 as Tid
  const restore = (into: ClientStorage, data: Buffer) =>
    into.restore!({
      tid,
      metadata: emptyMetadata,
      records: [
        {
          oid: oid(1),
          data: bytes('state'),
          blob: {
            bytes: data.length,
            async *chunks() {
              yield data
            },
          },
        },
      ],
    })
  const [one, other] = [await client(true), await client()]
  await restore(one, content(5000, 1))
  same(await read(one, 1), content(5000, 1))
  same(await read(other, 1), content(5000, 1))
  await one.zap()
  await restore(one, content(5000, 2))
  const third = await client()
  for (const each of [one, other, third]) {
    same(await read(each, 1), content(5000, 2))
    await each.close()
  }
  const files = cachedFiles().length
  await served.stopServer()
  await served.listen()
  const fresh = await client()
  same(await read(fresh, 1), content(5000, 2))
  expect(fresh.blobCacheCounters!()).toMatchObject({ hits: 0, misses: 1 })
  await fresh.close()
  expect(cachedFiles().length).toBe(files + 1)
})

test('a piece that is damaged is asked of the server while the snapshot lasts', async () => {
  const storage = await client()
  for (const number of [1, 2]) await write(storage, number, content(large, number))
  await storage.close()
  const again = await client()
  const instance = again.newInstance()
  await instance.pollInvalidations()
  const [one, two] = [(await instance.openBlob!(oid(1)))!, (await instance.openBlob!(oid(2)))!]
  for (const path of cachedFiles()) {
    const damaged = readFileSync(path)
    damaged[1_500_000]! ^= 1
    writeFileSync(path, damaged)
  }
  expect(Buffer.compare(await one.read(0, large), content(large, 1))).toBe(0)
  instance.afterCompletion()
  await write(again, 3, content(10, 3))
  await instance.pollInvalidations()
  await expect(async () => two.read(0, large)).rejects.toMatchObject({
    code: 'corrupt-data',
    transient: true,
  })
  same(await readNow(instance, 2), content(large, 2))
  expect(again.blobCacheCounters!().damaged).toBe(2)
  await write(again, 2, content(10, 3))
  same(await read(again, 2), content(10, 3))
})

test('what is not committed is not kept', async () => {
  const storage = await client()
  const instance = storage.newInstance()
  await instance.pollInvalidations()
  const aborted = instance.begin()
  await aborted.storeBlob!(oid(1), noTid, bytes('state'), [content(large, 1)])
  aborted.abort()
  await instance.pollInvalidations()
  const twice = instance.begin()
  await twice.storeBlob!(oid(1), noTid, bytes('state'), [content(large, 2)])
  await twice.storeBlob!(oid(1), noTid, bytes('state'), [content(1000, 3)])
  await twice.commit()
  const plain = instance.begin()
  await plain.storeBlob!(oid(2), noTid, bytes('state'), [content(large, 4)])
  plain.store(oid(2), noTid, bytes('no blob'))
  await plain.commit()
  await storage.close()
  expect([cachedFiles().length, readdirSync(join(folder, 'cache', 'incoming'))]).toEqual([1, []])
})
