/** What the conformance suite cannot know of blobs in SQL: what aborts and crashes leave, and large blobs under packs. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { type OptionsSpec, parseOptions } from '../../../src/core/options.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { loadDriver as loadMysql } from '../../../src/storages/sql/mysql/driver.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import { loadDriver as loadPostgres } from '../../../src/storages/sql/postgres/driver.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import { loadDriver as loadSqlite } from '../../../src/storages/sql/sqlite/driver.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import { type Storage, type StorageModule, zeroCounters } from '../../../src/storages/storage.ts'
import { toBytes } from './race-model.ts'
import { startTestServer } from './servers.ts'

const servers = {
  postgres: await startTestServer(postgres, { durability: 'os' }),
  mysql: await startTestServer(mysql, { durability: 'os' }),
}
const opened: Storage[] = []
const folders: string[] = []
let stores = 0

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

afterAll(async () => {
  for (const server of Object.values(servers)) await server?.stop()
})

/** A store, and a way to its tables. */
interface Place {
  open(): Promise<Storage>
  /** The first column of the first row. */
  ask(sql: string): Promise<unknown>
}

async function sqlitePlace(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-blobs-'))
  folders.push(folder)
  const path = join(folder, 'store.sqlite')
  const driver = await loadSqlite()
  return {
    open: () => openStorage(sqlite, parseOptions('sqlite', sqlite.options, { path, durability: 'os' })),
    async ask(sql) {
      const connection = driver.connect(path, { readOnly: false, counters: zeroCounters() })
      const isQuery = sql.startsWith('SELECT')
      const result = isQuery ? connection.prepare(sql).get()![0] : connection.execute(sql)
      connection.close()
      return result
    },
  }
}

async function serverPlace(name: 'postgres' | 'mysql'): Promise<Place> {
  const module = (name === 'postgres' ? postgres : mysql) as unknown as StorageModule<OptionsSpec>
  const { options } = await servers[name]!.provision.newStore(`blobs_${stores++}`)
  const given = options as unknown as Record<string, string>
  return {
    open: () => openStorage(module, options),
    async ask(sql) {
      const settings = { title: 'test', counters: zeroCounters() }
      if (name === 'postgres') {
        const driver = await loadPostgres()
        const parameters = { search_path: given['schema']! }
        const session = await driver.connect(given['url']!, { ...settings, parameters })
        const rows = await session.rows({ text: sql })
        await session.close()
        return rows[0]?.[0]
      }
      const driver = await loadMysql()
      const session = await driver.connect(given['url']!, {
        ...settings,
        database: given['database']!,
        prepare: [],
      })
      const rows = await session.query(sql)
      await session.close()
      return rows[0] === undefined ? undefined : Object.values(rows[0])[0]
    },
  }
}

function* content(bytes: number, fill: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += 100_000) yield Buffer.alloc(Math.min(100_000, bytes - at), fill)
}

async function stage(storage: Storage, oid: Oid, bytes: number, fill: number) {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([oid])
  const transaction = instance.begin()
  await transaction.storeBlob!(oid, current?.serial ?? noTid, toBytes(`${fill}`), content(bytes, fill))
  return { instance, transaction }
}

async function write(storage: Storage, oid: Oid, bytes: number, fill: number): Promise<void> {
  const { instance, transaction } = await stage(storage, oid, bytes, fill)
  await (await transaction.vote()).finish()
  await instance.release()
}

const chunkCount = 'SELECT COUNT(*) FROM blob_chunk'
const pendingCount = 'SELECT COUNT(*) FROM pending_blob'

describe.each([
  ['sqlite', sqlitePlace, true],
  ['postgres', () => serverPlace('postgres'), servers.postgres !== undefined],
  ['mysql', () => serverPlace('mysql'), servers.mysql !== undefined],
] as const)('%s', (name, makePlace, isThere) => {
  async function place() {
    const made = await makePlace()
    const storage = await made.open()
    opened.push(storage)
    const numberOf = async (sql: string): Promise<number> => Number(await made.ask(sql))
    return { ...made, storage, numberOf }
  }

  test.skipIf(!isThere)('an abort leaves no chunk, whenever it comes', async () => {
    const { storage, numberOf } = await place()
    const first = await stage(storage, 1 as Oid, 2_500_000, 1)
    expect(await numberOf(chunkCount)).toBe(3)
    await first.transaction.abort()
    const second = await stage(storage, 1 as Oid, 2_500_000, 1)
    await (await second.transaction.vote()).abort()
    const third = await stage(storage, 1 as Oid, 2_500_000, 1)
    await third.instance.release()
    expect([await numberOf(chunkCount), await numberOf(pendingCount)]).toEqual([0, 0])
  })

  test.skipIf(!isThere)('a blob that is stored twice is kept once', async () => {
    const { storage, numberOf } = await place()
    const { instance, transaction } = await stage(storage, 1 as Oid, 2_500_000, 1)
    await transaction.storeBlob!(1 as Oid, noTid, toBytes('2'), content(10, 2))
    await (await transaction.vote()).finish()
    await instance.release()
    expect([await numberOf(chunkCount), await numberOf(pendingCount)]).toEqual([1, 0])
  })

  test.skipIf(!isThere)('what a crash leaves is swept a day later, what is under way is not', async () => {
    const { storage, numberOf, ask } = await place()
    await stage(storage, 1 as Oid, 1_200_000, 1)
    const going = await stage(storage, 2 as Oid, 1_200_000, 2)
    const old: Record<string, string> = {
      sqlite: 'created - 90000',
      postgres: "created - interval '25 hours'",
      mysql: 'created - INTERVAL 25 HOUR',
    }
    // As if the process that stored it had gone.
    await ask(`UPDATE pending_blob SET created = ${old[name]} WHERE id = 1`)
    await storage.pack!({ before: storage.lastTid })
    expect([await numberOf(chunkCount), await numberOf(pendingCount)]).toEqual([2, 1])
    await (await going.transaction.vote()).finish()
    await storage.pack!({ before: storage.lastTid })
    expect([await numberOf(chunkCount), await numberOf(pendingCount)]).toEqual([2, 0])
  })

  test.skipIf(!isThere)('a transaction whose blob was swept is not committed', async () => {
    const { storage, ask } = await place()
    const { transaction } = await stage(storage, 1 as Oid, 10, 1)
    await ask('DELETE FROM pending_blob')
    const voted = await transaction.vote()
    await expect(async () => voted.finish()).rejects.toMatchObject({ code: 'blob-gone', transient: true })
    expect(storage.lastTid).toBe(noTid)
  })

  test.skipIf(!isThere)('a large blob that was replaced and packed away is read to its end', async () => {
    const { storage, numberOf } = await place()
    const oid = 1 as Oid
    await write(storage, oid, 3_300_000, 1)
    const early = await storage.newInstance()
    await early.pollInvalidations()
    const reader = (await early.openBlob!(oid))!
    await reader.read(0, 10)
    await write(storage, oid, 10, 2)
    await storage.pack!({ before: storage.lastTid })
    expect(await numberOf(chunkCount)).toBe(1)
    // Opened after the pack, in the snapshot from before it.
    const late = (await early.openBlob!(oid))!
    await early.afterCompletion()
    for (const one of [reader, late]) {
      for (let position = 0; position < 3_300_000; position += 300_000) {
        const data = await one.read(position, 300_000)
        expect(Buffer.compare(data, Buffer.alloc(300_000, 1))).toBe(0)
      }
      await one.close()
    }
    await early.release()
  })

  test.skipIf(!isThere)(
    'a chunk that is missing is said to be, and nothing else is served for it',
    async () => {
      const { storage, ask } = await place()
      await write(storage, 1 as Oid, 2_500_000, 1)
      await ask('DELETE FROM blob_chunk WHERE number = 1')
      const instance = await storage.newInstance()
      await instance.pollInvalidations()
      const reader = (await instance.openBlob!(1 as Oid))!
      expect((await reader.read(0, 100)).length).toBe(100)
      await expect(async () => reader.read(1_200_000, 1)).rejects.toMatchObject({ code: 'corrupt-data' })
      await instance.release()
    },
  )

  test.skipIf(!isThere)('zap leaves no chunk', async () => {
    const { storage, numberOf } = await place()
    await write(storage, 1 as Oid, 1_200_000, 1)
    await storage.zap()
    expect(await numberOf(chunkCount)).toBe(0)
  })
})
