/** Stores of every kind to copy from and to, and content that tells when a copy is not exact. */

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { maxTid, noTid, type Oid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { Random } from '../../../src/core/random.ts'
import { Database } from '../../../src/database/database.ts'
import { PersistentMap } from '../../../src/database/persistent-map.ts'
import { references } from '../../../src/database/record-decoder.ts'
import type { CopyOptions } from '../../../src/storages/copy/copy.ts'
import file from '../../../src/storages/file/index.ts'
import { openStorage } from '../../../src/storages/open.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import type { Storage, TransactionRecord } from '../../../src/storages/storage.ts'

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'shootout-copy-'))
}

export type OpenStore = (path: string) => Promise<Storage>

export const openFile: OpenStore = (path) =>
  openStorage(file, parseOptions('file', file.options, { path, durability: 'os' }))

export const openSqlite: OpenStore = (path) =>
  openStorage(sqlite, parseOptions('sqlite', sqlite.options, { path, durability: 'os' }))

export const openSqliteHistory: OpenStore = (path) =>
  openStorage(sqlite, parseOptions('sqlite', sqlite.options, { path, durability: 'os', history: true }))

export const copyOptions: CopyOptions = { references, blobs: 'refuse', verify: true }

/** Maps of maps, each changed some times, with metadata. */
export async function fill(storage: Storage, seed: string, transactions: number): Promise<void> {
  const random = new Random(seed)
  const database = new Database(storage)
  for (let number = 0; number < transactions; number++) {
    const connection = await database.openConnection()
    await connection.begin()
    const root = await connection.root
    const key = `m${random.integer(20)}`
    let map = root.get(key)
    if (!(map instanceof PersistentMap)) {
      map = new PersistentMap()
      root.set(key, map)
    } else await connection.activate(map)
    ;(map as PersistentMap).set(`k${number}`, bytesOf(random, random.integer(3000)))
    await connection.commit({
      user: `user ${number}`,
      description: 'mäp ✓',
      extension: bytesOf(random, random.integer(20)),
    })
    await connection.close()
  }
  await database.close()
}

function bytesOf(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.integer(256))
}

/** All of a store that can iterate, as plain data. */
export async function transactionsOf(storage: Storage): Promise<unknown[]> {
  const transactions: unknown[] = []
  for await (const transaction of storage.iterate!(noTid, maxTid)) transactions.push(plain(transaction))
  return transactions
}

function plain({ tid, metadata, records }: TransactionRecord): unknown {
  return {
    tid,
    user: metadata.user,
    description: metadata.description,
    extension: hex(metadata.extension),
    records: [...records]
      .sort((a, b) => a.oid - b.oid)
      .map(({ oid, data }) => [oid, data === null ? null : hex(data)]),
  }
}

/** Current states of the first objects. */
export async function statesOf(storage: Storage, count = 200): Promise<Map<Oid, string>> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const oids = Array.from({ length: count }, (_, oid) => oid as Oid)
  const states = new Map<Oid, string>()
  for (const [index, revision] of (await instance.loadMany(oids)).entries()) {
    if (revision !== undefined) states.set(oids[index]!, hex(revision.data))
  }
  await instance.release()
  return states
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex')
}
