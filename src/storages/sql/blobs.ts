/**
 * Blobs in SQL: cut into chunks, each a row. They are written before the vote, chunk by chunk, in short transactions of
 * their own, as a *pending* blob that nobody sees; the commit takes it over by naming it beside the revision. So no lock
 * is held, and no large transaction is open, while the source is read. An abort drops what is pending. What a crash
 * leaves pending is swept by a pack a day later.
 */

import { CorruptDataError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, BlobSource, RecordedBlob } from '../storage.ts'

/**
 * Bytes of a chunk: a moderate message for every server (the smallest `max_allowed_packet` in use is 16 MB), and small
 * enough to be read for a few bytes of it.
 */
export const blobChunkBytes = 1024 * 1024

/** A blob in the database. */
export interface StoredBlob {
  readonly id: number
  readonly bytes: number
  readonly chunkBytes: number
  /** It is pending, and the commit that names it takes it over. Else it belongs to another revision already. */
  readonly isNew: boolean
}

/** A blob and the revision that it belongs to. */
export interface LinkedBlob extends StoredBlob {
  readonly oid: Oid
  readonly tid: Tid
}

/** What a loading session does with blobs. */
export interface BlobReading {
  /** Undefined: the revision has none. */
  find(oid: Oid, serial: Tid): Awaitable<StoredBlob | undefined>
  /** Those of the transactions from `first` to `last`. */
  between(first: Tid, last: Tid): Awaitable<readonly LinkedBlob[]>
  /** Undefined where there is no such chunk (any more). */
  chunk(id: number, number: number): Awaitable<Uint8Array | undefined>
}

/** What a committing session does with blobs, outside its transaction. */
export interface BlobWriting {
  readonly chunkBytes: number
  /** A new pending blob. */
  create(): Awaitable<number>
  /** Chunks count from 0. `data` may be reused afterwards. */
  put(id: number, number: number, data: Buffer): Awaitable<void>
  /** Removes those that are still pending. */
  drop(ids: readonly number[]): Awaitable<void>
}

/**
 * Writes a blob down as it comes. Memory: one chunk, and what the source hands over at once.
 * @param assertWanted called between the chunks; what it throws ends the upload, and nothing is left then
 */
export async function uploadBlob(
  writing: BlobWriting,
  source: BlobSource,
  assertWanted: () => void,
): Promise<StoredBlob> {
  const { chunkBytes } = writing
  const id = await writing.create()
  const buffer = Buffer.allocUnsafe(chunkBytes)
  let filled = 0
  let chunks = 0
  const send = async (): Promise<void> => {
    await writing.put(id, chunks, buffer.subarray(0, filled))
    chunks++
    filled = 0
    assertWanted()
  }
  try {
    for await (const part of source) {
      assertWanted()
      for (let at = 0; at < part.length; ) {
        const length = Math.min(part.length - at, chunkBytes - filled)
        buffer.set(part.subarray(at, at + length), filled)
        at += length
        filled += length
        if (filled === chunkBytes) await send()
      }
    }
    const bytes = chunks * chunkBytes + filled
    if (filled > 0) await send()
    return { id, bytes, chunkBytes, isNew: true }
  } catch (error) {
    await writing.drop([id])
    throw error
  }
}

/** @throws CorruptDataError when a chunk is missing or has another length than it must have */
export async function readChunk(
  load: (number: number) => Awaitable<Uint8Array | undefined>,
  blob: StoredBlob,
  number: number,
): Promise<Uint8Array> {
  const data = await load(number)
  const length = Math.min(blob.chunkBytes, blob.bytes - number * blob.chunkBytes)
  if (data?.length === length) return data
  const found = data === undefined ? 'is missing' : `has ${data.length} bytes instead of ${length}`
  throw new CorruptDataError(`chunk ${number} of blob ${blob.id} ${found}`, {
    details: { blob: blob.id, chunk: number },
  })
}

/** For iteration, over the session that iterates. */
export function recordedBlob(reading: BlobReading, blob: StoredBlob): RecordedBlob {
  return {
    bytes: blob.bytes,
    async *chunks() {
      for (let number = 0; number * blob.chunkBytes < blob.bytes; number++) {
        yield await readChunk((wanted) => reading.chunk(blob.id, wanted), blob, number)
      }
    },
  }
}
