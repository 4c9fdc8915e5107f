/** Blobs in MySQL and MariaDB: chunks are rows. */

import type { Oid, Tid } from '../../../core/ids.ts'
import { blobGoneError, type Change } from '../adapter.ts'
import {
  type BlobReading,
  type BlobWriting,
  blobChunkBytes,
  type LinkedBlob,
  type StoredBlob,
} from '../blobs.ts'
import type { MyRow, MySession } from './driver.ts'
import { whileRefused } from './galera.ts'
import { bytesOf } from './reader.ts'
import { blobSql } from './statements.ts'

export class MysqlBlobReading implements BlobReading {
  readonly #session: MySession

  constructor(session: MySession) {
    this.#session = session
  }

  async find(oid: Oid, serial: Tid): Promise<StoredBlob | undefined> {
    const [row] = await this.#session.rows(blobSql.find, oid, serial)
    return row && blobOf(row)
  }

  async between(first: Tid, last: Tid): Promise<readonly LinkedBlob[]> {
    const rows = await this.#session.rows(blobSql.between, first, last)
    return rows.map((row) => ({ ...blobOf(row), oid: row['oid'] as Oid, tid: row['tid'] as Tid }))
  }

  async chunk(id: number, number: number): Promise<Uint8Array | undefined> {
    const [row] = await this.#session.rows(blobSql.chunk, id, number)
    return row === undefined ? undefined : bytesOf(row['data'])!
  }
}

function blobOf(row: MyRow): StoredBlob {
  const { id, bytes, chunk_bytes: chunkBytes } = row as Readonly<Record<string, number>>
  return { id: id!, bytes: bytes!, chunkBytes: chunkBytes!, isNew: false }
}

export class MysqlBlobWriting implements BlobWriting {
  readonly chunkBytes: number
  readonly #session: MySession

  /** @param messageBytesMax what the server accepts */
  constructor(session: MySession, messageBytesMax: number) {
    this.#session = session
    this.chunkBytes = Math.min(blobChunkBytes, messageBytesMax)
  }

  create(): Promise<number> {
    return this.#session.number(blobSql.create)
  }

  async put(id: number, number: number, data: Buffer): Promise<void> {
    await this.#session.rows(blobSql.put, id, number, data)
  }

  async drop(ids: readonly number[]): Promise<void> {
    for (const id of ids) await this.#session.rows(blobSql.drop, id)
  }
}

type Changes = readonly Omit<Change, 'base'>[]

/**
 * Names the blobs beside their revisions, and takes over those that are pending. Inside the commit.
 * @throws ShootoutError `blob-gone`
 */
export async function linkBlobs(session: MySession, tid: Tid, changes: Changes): Promise<void> {
  for (const { oid, blob } of changes) {
    if (blob === undefined) continue
    const found = await session.rows(blob.isNew ? blobSql.lockPending : blobSql.lockLink, blob.id)
    if (found.length === 0) throw blobGoneError()
    // Both change the row: a lock alone would not stop a sweep on another node of a cluster.
    await session.rows(blob.isNew ? blobSql.claim : blobSql.keep, blob.id)
    await session.rows(blobSql.link, oid, tid, blob.id, blob.bytes, blob.chunkBytes)
  }
}

export async function sweepBlobs(session: MySession, history: boolean): Promise<void> {
  await whileRefused(() => session.query(history ? blobSql.unlinkHistory : blobSql.unlinkFree))
  await whileRefused(() => session.query(blobSql.expire))
  // Each search goes on where the last one ended, so that what is kept is looked at once.
  for (let last = 0; ; ) {
    const [garbage] = await session.rows(blobSql.garbage, last)
    if (garbage === undefined) return
    last = garbage['blob_id'] as number
    const found = last
    await whileRefused(() => session.rows(blobSql.dropGarbage, found))
  }
}
