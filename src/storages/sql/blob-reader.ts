/**
 * Reading a blob. It must go on after the revision was replaced and packed away, so whoever reads more than one chunk
 * has a session of his own, whose snapshot shows the blob for as long as that takes.
 */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClosedError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, BlobReader } from '../storage.ts'
import type { Reader } from './adapter.ts'
import { readChunk, type StoredBlob } from './blobs.ts'
import type { SessionPool } from './session-pool.ts'

const empty = new Uint8Array(0)

/** Where the chunks of one blob come from. */
interface Chunks {
  get(number: number): Awaitable<Uint8Array | undefined>
  close(): Awaitable<void>
}

/** A revision's blob, found in the snapshot of `reader`. */
export interface FoundBlob {
  readonly oid: Oid
  readonly serial: Tid
  readonly blob: StoredBlob
  readonly reader: Reader
}

export async function openBlobReader(
  sessions: SessionPool<Reader>,
  found: FoundBlob,
  onClose: (reader: SqlBlobReader) => void,
): Promise<SqlBlobReader> {
  const { blob, reader } = found
  const chunks =
    blob.bytes <= blob.chunkBytes
      ? await wholeChunk(reader, blob)
      : ((await sessionChunks(sessions, found)) ?? (await fileChunks(reader, blob)))
  return new SqlBlobReader(found, chunks, onClose)
}

async function wholeChunk(reader: Reader, blob: StoredBlob): Promise<Chunks> {
  const data =
    blob.bytes === 0 ? empty : await readChunk((number) => reader.blobs.chunk(blob.id, number), blob, 0)
  return { get: () => data, close: () => {} }
}

/** Undefined when the blob is no longer shown by a snapshot of this moment. */
async function sessionChunks(
  sessions: SessionPool<Reader>,
  { oid, serial, blob }: FoundBlob,
): Promise<Chunks | undefined> {
  const session = await sessions.take()
  try {
    await session.poll(undefined)
    if ((await session.blobs.find(oid, serial)) === undefined) {
      await session.endSnapshot()
      await sessions.giveBack(session)
      return undefined
    }
  } catch (error) {
    await session.close()
    throw error
  }
  return {
    get: (number) => session.blobs.chunk(blob.id, number),
    async close() {
      await session.endSnapshot()
      await sessions.giveBack(session)
    },
  }
}

/** Only the snapshot of the instance shows it, which may end soon: so all of it is fetched now, into a file. */
async function fileChunks(reader: Reader, blob: StoredBlob): Promise<Chunks> {
  const folder = mkdtempSync(join(tmpdir(), 'shootout_blob_'))
  const file = openSync(join(folder, 'blob'), 'w+')
  // It needs no name while it is open, so that nothing is left whatever happens.
  rmSync(folder, { recursive: true, force: true })
  try {
    for (let number = 0; number * blob.chunkBytes < blob.bytes; number++) {
      const chunk = await readChunk((wanted) => reader.blobs.chunk(blob.id, wanted), blob, number)
      writeSync(file, chunk, 0, chunk.length, number * blob.chunkBytes)
    }
  } catch (error) {
    closeSync(file)
    throw error
  }
  return {
    get(number) {
      const position = number * blob.chunkBytes
      const data = Buffer.alloc(Math.min(blob.chunkBytes, blob.bytes - position))
      return data.subarray(0, readSync(file, data, 0, data.length, position))
    },
    close: () => closeSync(file),
  }
}

export class SqlBlobReader implements BlobReader {
  readonly serial: Tid
  readonly bytes: number
  readonly #blob: StoredBlob
  readonly #chunks: Chunks
  readonly #onClose: (reader: SqlBlobReader) => void
  /** Read last: who reads on in small steps finds the rest of it here. */
  #last: { readonly number: number; readonly data: Promise<Uint8Array> } | undefined
  #isClosed = false
  /** Reads that are under way; closing waits for them. */
  readonly #reading = new Set<Promise<unknown>>()

  constructor(found: FoundBlob, chunks: Chunks, onClose: (reader: SqlBlobReader) => void) {
    this.serial = found.serial
    this.bytes = found.blob.bytes
    this.#blob = found.blob
    this.#chunks = chunks
    this.#onClose = onClose
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    if (this.#isClosed) throw new ClosedError('the blob reader')
    const reading = this.#read(position, Math.min(position + length, this.bytes))
    this.#reading.add(reading)
    try {
      return await reading
    } finally {
      this.#reading.delete(reading)
    }
  }

  async #read(position: number, end: number): Promise<Uint8Array> {
    if (position >= end) return empty
    const { chunkBytes } = this.#blob
    const result = new Uint8Array(end - position)
    for (let at = position; at < end; ) {
      const number = Math.floor(at / chunkBytes)
      const chunk = await this.#chunk(number)
      const start = at - number * chunkBytes
      const part = chunk.subarray(start, Math.min(chunk.length, start + end - at))
      result.set(part, at - position)
      at += part.length
    }
    return result
  }

  #chunk(number: number): Promise<Uint8Array> {
    if (this.#last?.number === number) return this.#last.data
    const data = readChunk((wanted) => this.#chunks.get(wanted), this.#blob, number)
    const last = { number, data }
    this.#last = last
    // What failed is asked for again.
    data.catch(() => {
      if (this.#last === last) this.#last = undefined
    })
    return data
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose(this)
    await Promise.allSettled(this.#reading)
    this.#last = undefined
    await this.#chunks.close()
  }
}
