/** Blobs in a SQLite file. Each chunk is a short write transaction, so that other writers get their turn between them. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { Awaitable, MutableCounters } from '../../storage.ts'
import { blobGoneError, type Change } from '../adapter.ts'
import {
  type BlobReading,
  type BlobWriting,
  blobChunkBytes,
  type LinkedBlob,
  type StoredBlob,
} from '../blobs.ts'
import { type Patience, whileBusy } from './busy.ts'
import type { SqliteConnection, SqliteStatement } from './driver.ts'
import { blobSql } from './statements.ts'
import type { WriteSession } from './write-session.ts'

export class SqliteBlobReading implements BlobReading {
  readonly #patience: Patience
  readonly #counters: MutableCounters
  readonly #find: SqliteStatement
  readonly #between: SqliteStatement
  readonly #chunk: SqliteStatement

  constructor(connection: SqliteConnection, patience: Patience, counters: MutableCounters) {
    this.#patience = patience
    this.#counters = counters
    this.#find = connection.prepare(blobSql.find)
    this.#between = connection.prepare(blobSql.between)
    this.#chunk = connection.prepare(blobSql.chunk)
  }

  find(oid: Oid, serial: Tid): Awaitable<StoredBlob | undefined> {
    return whileBusy(this.#patience, () => {
      const row = this.#find.get(oid, serial) as readonly number[] | undefined
      return row && { id: row[0]!, bytes: row[1]!, chunkBytes: row[2]!, isNew: false }
    })
  }

  between(first: Tid, last: Tid): Awaitable<readonly LinkedBlob[]> {
    return whileBusy(this.#patience, () =>
      (this.#between.all(first, last) as readonly (readonly number[])[]).map((row) => ({
        oid: row[0] as Oid,
        tid: row[1] as Tid,
        id: row[2]!,
        bytes: row[3]!,
        chunkBytes: row[4]!,
        isNew: false,
      })),
    )
  }

  chunk(id: number, number: number): Awaitable<Uint8Array | undefined> {
    return whileBusy(this.#patience, () => {
      const data = this.#chunk.get(id, number)?.[0] as Uint8Array | undefined
      this.#counters.bytesRead += data?.length ?? 0
      return data
    })
  }
}

export class SqliteBlobWriting implements BlobWriting {
  readonly chunkBytes = blobChunkBytes
  readonly #session: WriteSession

  constructor(session: WriteSession) {
    this.#session = session
  }

  create(): Awaitable<number> {
    return this.#session.transaction(
      () => this.#session.connection.prepare(blobSql.create).get()![0] as number,
    )
  }

  put(id: number, number: number, data: Buffer): Awaitable<void> {
    return this.#session.transaction(() => {
      this.#session.connection.prepare(blobSql.put).run(id, number, data)
      this.#session.settings.counters.bytesWritten += data.length
    })
  }

  drop(ids: readonly number[]): Awaitable<void> {
    return this.#session.transaction(() => {
      const list = `[${ids.join()}]`
      this.#session.connection.prepare(blobSql.dropChunks).run(list)
      this.#session.connection.prepare(blobSql.dropPending).run(list)
    })
  }
}

/**
 * Names the blobs beside their revisions, and takes over those that are pending. Inside the commit.
 * @throws ShootoutError `blob-gone`
 */
export function linkBlobs(
  connection: SqliteConnection,
  tid: Tid,
  changes: readonly Omit<Change, 'base'>[],
): void {
  for (const { oid, blob } of changes) {
    if (blob === undefined) continue
    const isThere = connection.prepare(blob.isNew ? blobSql.claim : blobSql.isLinked).get(blob.id)
    if (isThere === undefined) throw blobGoneError()
    connection.prepare(blobSql.link).run(oid, tid, blob.id, blob.bytes, blob.chunkBytes)
  }
}

/** Inside a write transaction each; the chunks of one blob at a time. */
export async function sweepBlobs(session: WriteSession, history: boolean): Promise<void> {
  const { connection } = session
  await session.transaction(() => {
    connection.execute(history ? blobSql.unlinkHistory : blobSql.unlinkFree)
    connection.execute(blobSql.expire)
  })
  // Each search goes on where the last one ended, so that what is kept is looked at once.
  for (let last: number | undefined = 0; last !== undefined; ) {
    const from: number = last
    last = await session.transaction(() => {
      const found = connection.prepare(blobSql.garbage).get(from)?.[0] as number | undefined
      if (found !== undefined) connection.prepare(blobSql.dropGarbage).run(found)
      return found
    })
  }
}
