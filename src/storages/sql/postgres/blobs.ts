/**
 * Blobs in PostgreSQL: chunks are bytea rows. Large objects would need rights of their own, would not go with the schema
 * when it is dropped, and are read through calls that take no fewer round trips.
 */

import type { Oid, Tid } from '../../../core/ids.ts'
import { blobGoneError, type Change } from '../adapter.ts'
import {
  type BlobReading,
  type BlobWriting,
  blobChunkBytes,
  type LinkedBlob,
  type StoredBlob,
} from '../blobs.ts'
import type { PgSession, PgStep } from './driver.ts'
import { arrayOf } from './reader.ts'
import { blobSql } from './statements.ts'

export class PostgresBlobReading implements BlobReading {
  readonly #session: PgSession

  constructor(session: PgSession) {
    this.#session = session
  }

  async find(oid: Oid, serial: Tid): Promise<StoredBlob | undefined> {
    const [row] = await this.#session.rows(blobSql.find, oid, serial)
    if (row === undefined) return undefined
    const [id, bytes, chunkBytes] = row as readonly [number, number, number]
    return { id, bytes, chunkBytes, isNew: false }
  }

  async between(first: Tid, last: Tid): Promise<readonly LinkedBlob[]> {
    const rows = await this.#session.rows(blobSql.between, first, last)
    return rows.map((row) => {
      const [oid, tid, id, bytes, chunkBytes] = row as readonly [Oid, Tid, number, number, number]
      return { oid, tid, id, bytes, chunkBytes, isNew: false }
    })
  }

  async chunk(id: number, number: number): Promise<Uint8Array | undefined> {
    const [row] = await this.#session.rows(blobSql.chunk, id, number)
    return row?.[0] as Uint8Array | undefined
  }
}

export class PostgresBlobWriting implements BlobWriting {
  readonly chunkBytes = blobChunkBytes
  readonly #session: PgSession

  constructor(session: PgSession) {
    this.#session = session
  }

  async create(): Promise<number> {
    const [row] = await this.#session.rows(blobSql.create)
    return row![0] as number
  }

  async put(id: number, number: number, data: Buffer): Promise<void> {
    await this.#session.rows(blobSql.put, id, number, data)
  }

  async drop(ids: readonly number[]): Promise<void> {
    await this.#session.rows(blobSql.drop, arrayOf(ids))
  }
}

type Changes = readonly Omit<Change, 'base'>[]

/**
 * Makes sure, inside the transaction that commits, that the blobs stay until they are named.
 * @throws ShootoutError `blob-gone`
 */
export async function claimBlobs(session: PgSession, changes: Changes): Promise<void> {
  const blobs = changes.flatMap(({ blob }) => blob ?? [])
  if (blobs.length === 0) return
  const fresh = blobs.filter(({ isNew }) => isNew).map(({ id }) => id)
  const old = new Set(blobs.filter(({ isNew }) => !isNew).map(({ id }) => id))
  const [claimed, kept] = await session.request(
    { statement: blobSql.claim, values: [arrayOf(fresh)] },
    { statement: blobSql.keep, values: [arrayOf([...old])] },
  )
  if (claimed!.length < fresh.length || new Set(kept!.map(([id]) => id)).size < old.size)
    throw blobGoneError()
}

/** To be sent after the step that writes the revisions, before the commit: `store_state` has their tid. */
export function linkSteps(changes: Changes): readonly PgStep[] {
  const linked = changes.filter(({ blob }) => blob !== undefined)
  if (linked.length === 0) return []
  const values = [
    arrayOf(linked.map(({ oid }) => oid)),
    arrayOf(linked.map(({ blob }) => blob!.id)),
    arrayOf(linked.map(({ blob }) => blob!.bytes)),
    arrayOf(linked.map(({ blob }) => blob!.chunkBytes)),
  ]
  return [{ statement: blobSql.link, values }]
}

export async function sweepBlobs(session: PgSession, history: boolean): Promise<void> {
  await session.rows(history ? blobSql.unlinkHistory : blobSql.unlinkFree)
  await session.rows(blobSql.expire)
  // Each search goes on where the last one ended, so that what is kept is looked at once.
  for (let last = 0; ; ) {
    const [garbage] = await session.rows(blobSql.garbage, last)
    if (garbage === undefined) return
    last = garbage[0] as number
    await session.rows(blobSql.dropGarbage, last)
  }
}
