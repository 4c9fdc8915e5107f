/** The blob cache over each SQL storage: what is not asked of the database any more, and what is never served. */

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { openStorage } from '../../../src/storages/open.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import {
  type BlobReader,
  emptyMetadata,
  type Storage,
  type StorageInstance,
  type StorageModule,
} from '../../../src/storages/storage.ts'
import { asModule, optionsFor } from './cache-model.ts'
import { toBytes } from './race-model.ts'
import { startTestServer } from './servers.ts'

type Given = Readonly<Record<string, unknown>>

const servers = {
  postgres: await startTestServer(postgres, { durability: 'os' }),
  mysql: await startTestServer(mysql, { durability: 'os' }),
}
const opened: Storage[] = []
let folder: string
let stores = 0

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-sql-blob-cache-'))
})

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
  rmSync(folder, { recursive: true, force: true })
})

afterAll(async () => {
  for (const server of Object.values(servers)) await server?.stop()
})

const modules: Readonly<Record<string, StorageModule>> = {
  sqlite: asModule(sqlite),
  postgres: asModule(postgres),
  mysql: asModule(mysql),
}

/** A new store, to be opened as often as one likes: each time as a process of its own. */
async function newStore(name: string, given: Given = {}) {
  const module = modules[name]!
  const place: Given =
    name === 'sqlite'
      ? { path: join(folder, `${stores++}.sqlite`), durability: 'os' }
      : ((await servers[name as 'postgres' | 'mysql']!.provision.newStore(`blobs_${stores++}`))
          .options as Given)
  return async (more: Given = {}): Promise<Storage> => {
    const options = optionsFor(module, { ...place, blobCacheFolder: cacheFolder(), ...given, ...more })
    const storage = await openStorage(module, options)
    opened.push(storage)
    return storage
  }
}

const cacheFolder = () => join(folder, 'blobs')
const cached = (): string[] =>
  readdirSync(cacheFolder(), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.blob'))
    .map((name) => join(cacheFolder(), name))

async function close(storage: Storage): Promise<void> {
  opened.splice(opened.indexOf(storage), 1)
  await storage.close()
}

const contents = new Map<string, Buffer>()

/** Looks the same nowhere. */
function content(bytes: number, fill: number): Buffer {
  const made = contents.get(`${bytes} ${fill}`) ?? Buffer.alloc(bytes)
  if (contents.has(`${bytes} ${fill}`)) return made
  for (let at = 0; at < bytes; at++) made[at] = at * 7 + (at >> 12) + fill * 31
  contents.set(`${bytes} ${fill}`, made)
  return made
}

async function write(storage: Storage, oid: Oid, data: Buffer): Promise<Tid> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([oid])
  const transaction = instance.begin()
  await transaction.storeBlob!(oid, current?.serial ?? noTid, toBytes('state'), chunksOf(data))
  const tid = await (await transaction.vote()).finish()
  await instance.release()
  return tid
}

function* chunksOf(data: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += 300_000) yield data.subarray(at, at + 300_000)
}

async function readAll(reader: BlobReader): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (let at = 0; at < reader.bytes; at += 400_000) parts.push(await reader.read(at, 400_000))
  return Buffer.concat(parts)
}

async function polled(storage: Storage): Promise<StorageInstance> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  return instance
}

/** What a new snapshot shows. */
async function read(storage: Storage, oid: Oid): Promise<Buffer> {
  const instance = await polled(storage)
  const reader = (await instance.openBlob!(oid))!
  const data = await readAll(reader)
  await instance.release()
  return data
}

/** Compared as a whole: a difference of megabytes is not to be printed. */
const same = (found: Buffer, expected: Buffer): void => expect(found.equals(expected)).toBe(true)

const [a, b] = [1, 2] as [Oid, Oid]
const large = 2_500_000

describe.each([
  ['sqlite', true],
  ['postgres', servers.postgres !== undefined],
  ['mysql', servers.mysql !== undefined],
] as const)('%s', (name, isThere) => {
  test.skipIf(!isThere)(
    'what was read or committed here is not asked for again, by any process',
    async () => {
      const open = await newStore(name)
      const writer = await open({ blobCacheFolder: '' })
      await write(writer, a, content(large, 1))
      await write(writer, b, content(1000, 2))
      const first = await open()
      same(await read(first, a), content(large, 1))
      same(await read(first, b), content(1000, 2))
      expect(first.blobCacheCounters!()).toMatchObject({ hits: 0, misses: 2 })
      await write(first, b, content(large, 3))
      await close(first)
      expect(first.blobCacheCounters!()).toMatchObject({ bytesWritten: 2 * large + 1000 })
      const second = await open()
      const before = second.counters()
      for (let round = 0; round < 3; round++) {
        same(await read(second, a), content(large, 1))
        same(await read(second, b), content(large, 3))
      }
      expect(second.counters().bytesRead - before.bytesRead).toBeLessThan(10_000)
      expect(second.blobCacheCounters!()).toMatchObject({ hits: 6, misses: 0, bytesRead: 6 * large })
      expect(writer.blobCacheCounters).toBe(undefined)
    },
  )

  test.skipIf(!isThere)(
    'with the state in memory, a blob is opened and read without a round trip',
    async () => {
      const open = await newStore(name)
      const storage = await open()
      await write(storage, a, content(large, 1))
      await close(storage)
      const again = await open()
      const instance = await polled(again)
      await instance.load(a)
      const before = again.counters()
      const reader = (await instance.openBlob!(a))!
      same(await readAll(reader), content(large, 1))
      const { statements, roundTrips } = again.counters()
      expect([statements, roundTrips]).toEqual([before.statements, before.roundTrips])
    },
  )

  test.skipIf(!isThere)('every snapshot reads its own revision, before and after a pack', async () => {
    const open = await newStore(name, { history: true })
    const storage = await open()
    const tids: Tid[] = []
    const views: StorageInstance[] = []
    for (let revision = 0; revision < 3; revision++) {
      tids.push(await write(storage, a, content(1_200_000, revision)))
      views.push(await polled(storage))
    }
    for (const pass of ['before', 'after']) {
      for (const [revision, view] of views.entries()) {
        const reader = (await view.openBlob!(a))!
        same(await readAll(reader), content(1_200_000, revision))
        expect(reader.serial).toBe(tids[revision])
        await reader.close()
      }
      if (pass === 'before') await storage.pack!({ before: storage.lastTid })
    }
    const instance = await polled(storage)
    const transaction = instance.begin()
    await transaction.store(a, tids[2]!, toBytes('plain'))
    await (await transaction.vote()).finish()
    await instance.pollInvalidations()
    expect(await instance.openBlob!(a)).toBe(undefined)
    const undoing = instance.begin()
    await undoing.undo!(storage.lastTid)
    const undone = await (await undoing.vote()).finish()
    await instance.pollInvalidations()
    const reader = (await instance.openBlob!(a))!
    expect(reader.serial).toBe(undone)
    same(await readAll(reader), content(1_200_000, 2))
    // The revisions before were packed away in the database.
    const fresh = await open({ blobCacheFolder: '' })
    same(await read(fresh, a), content(1_200_000, 2))
  })

  test.skipIf(!isThere)(
    'an object deleted, or stored without blob, has none, whatever the cache has',
    async () => {
      const storage = await (await newStore(name))()
      const tid = await write(storage, a, content(1000, 1))
      await write(storage, b, content(1000, 2))
      same(await read(storage, a), content(1000, 1))
      const instance = await polled(storage)
      const transaction = instance.begin()
      await transaction.delete!(a, tid)
      await transaction.store(b, (await instance.load(b)).serial, toBytes('plain'))
      await (await transaction.vote()).finish()
      await instance.pollInvalidations()
      await expect(async () => instance.openBlob!(a)).rejects.toMatchObject({ code: 'object-not-found' })
      expect(await instance.openBlob!(b)).toBe(undefined)
    },
  )

  test.skipIf(!isThere)(
    'after a zap the same tid is another blob, in this process and in others',
    async () => {
      const open = await newStore(name, { history: true })
      const [one, other] = [await open(), await open()]
      const tid = 1_000_000 as Tid
      const restore = (storage: Storage, data: Buffer) =>
        storage.restore!({
          tid,
          metadata: emptyMetadata,
          records: [
            {
              oid: a,
              data: toBytes('state'),
              blob: {
                bytes: data.length,
                async *chunks() {
                  yield data
                },
              },
            },
          ],
        })
      await restore(one, content(5000, 1))
      same(await read(one, a), content(5000, 1))
      same(await read(other, a), content(5000, 1))
      await expect.poll(cached).toHaveLength(1)
      await one.zap()
      await restore(one, content(5000, 2))
      for (const storage of [one, other, await open()]) same(await read(storage, a), content(5000, 2))
    },
  )

  test.skipIf(!isThere)(
    'a piece that is damaged is read from the database, also when its snapshot has ended',
    async () => {
      const open = await newStore(name)
      const storage = await open()
      await write(storage, a, content(large, 1))
      await write(storage, b, content(large, 2))
      await close(storage)
      const again = await open()
      const instance = await polled(again)
      const readers = [(await instance.openBlob!(a))!, (await instance.openBlob!(b))!]
      await instance.afterCompletion()
      await write(again, b, content(10, 3))
      await again.pack!({ before: again.lastTid })
      for (const path of cached()) {
        const bytes = readFileSync(path)
        if (bytes.length < large) continue
        bytes[1_500_000]! ^= 1
        writeFileSync(path, bytes)
      }
      same(await readAll(readers[0]!), content(large, 1))
      // The database has none of it any more: whoever repeats the transaction reads what is there now.
      await expect(async () => readAll(readers[1]!)).rejects.toMatchObject({
        code: 'corrupt-data',
        transient: true,
      })
      same(await read(again, b), content(10, 3))
      expect(again.blobCacheCounters!().damaged).toBe(2)
    },
  )

  test.skipIf(!isThere)('what is not committed is not kept', async () => {
    const storage = await (await newStore(name))()
    const instance = await polled(storage)
    const aborted = instance.begin()
    await aborted.storeBlob!(a, noTid, toBytes('state'), chunksOf(content(large, 1)))
    await aborted.abort()
    const failing = instance.begin()
    const source = (function* () {
      yield content(1_500_000, 1)
      throw new Error('the source failed')
    })()
    await expect(failing.storeBlob!(a, noTid, toBytes('state'), source)).rejects.toThrow('the source failed')
    await failing.abort()
    const twice = instance.begin()
    await twice.storeBlob!(a, noTid, toBytes('state'), chunksOf(content(large, 2)))
    await twice.storeBlob!(a, noTid, toBytes('state'), chunksOf(content(1000, 3)))
    await (await twice.vote()).finish()
    await close(storage)
    expect([cached().length, readdirSync(join(cacheFolder(), 'incoming'))]).toEqual([1, []])
  })

  test.skipIf(!isThere)('a session is not held for what the cache has', async () => {
    const open = await newStore(name)
    const storage = await open()
    await write(storage, a, content(large, 1))
    await close(storage)
    const again = await open({ cacheBytesLimit: 0 })
    const instance = await polled(again)
    const readers: BlobReader[] = []
    for (let count = 0; count < 300; count++) readers.push((await instance.openBlob!(a))!)
    same(await readAll(readers[299]!), content(large, 1))
    expect(again.blobCacheCounters!().hits).toBe(300)
    await instance.release()
  })

  test.skipIf(!isThere)('a folder that cannot be used is an error of opening', async () => {
    const open = await newStore(name)
    writeFileSync(join(folder, 'file'), '')
    await expect(open({ blobCacheFolder: join(folder, 'file') })).rejects.toMatchObject({
      code: 'cannot-open',
    })
  })
})

test('a copy of a store goes its own way', async () => {
  const open = await newStore('sqlite', { history: true, path: join(folder, 'one.sqlite') })
  const one = await open()
  await write(one, a, content(1000, 1))
  await close(one)
  cpSync(join(folder, 'one.sqlite'), join(folder, 'two.sqlite'))
  const tid = (Date.now() * 1000 + 1e9) as Tid
  const restore = async (storage: Storage, fill: number) =>
    storage.restore!({
      tid,
      metadata: emptyMetadata,
      records: [
        {
          oid: b,
          data: toBytes('state'),
          blob: {
            bytes: 1000,
            async *chunks() {
              yield content(1000, fill)
            },
          },
        },
      ],
    })
  const [first, second] = [await open(), await open({ path: join(folder, 'two.sqlite') })]
  await restore(first, 2)
  await restore(second, 3)
  same(await read(first, b), content(1000, 2))
  // It is in the cache now, by the same object id and tid.
  await close(first)
  same(await read(second, b), content(1000, 3))
})
