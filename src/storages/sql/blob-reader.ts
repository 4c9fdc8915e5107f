/**
 * Reading a blob. It must go on after the revision was replaced and packed away, so whoever reads more than one chunk
 * has a session of his own, whose snapshot shows the blob for as long as that takes; unless the cache has it, or has got
 * all of it meanwhile.
 */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CorruptDataError } from '../../core/errors.ts'
import type { BlobKey } from '../cache/blobs/blob-file.ts'
import { PieceReader } from '../cache/blobs/piece-reader.ts'
import type { BlobPieces } from '../cache/blobs/pieces.ts'
import type { Reader } from './adapter.ts'
import { readChunk, type StoredBlob } from './blobs.ts'
import type { SessionPool } from './session-pool.ts'
import type { SqlStore } from './sql-storage.ts'

const empty = new Uint8Array(0)

/**
 * The blob of the revision that `key` names, which the snapshot of `reader` shows; undefined when it has none.
 * @throws CorruptDataError when a chunk is missing or has another length than it must have
 */
export async function openBlobReader(
  { readers, blobCache }: SqlStore,
  key: BlobKey,
  reader: Reader,
  onClose: (reader: PieceReader) => void,
): Promise<PieceReader | undefined> {
  const openSource = () => openAgain(readers, key)
  const found = blobCache?.find(key, openSource)
  if (found !== undefined) return new PieceReader(key.tid, found, found.pieces, onClose)
  const blob = await reader.blobs.find(key.oid, key.tid)
  if (blob === undefined) return undefined
  const shape = { bytes: blob.bytes, pieceBytes: blob.chunkBytes }
  const source =
    blob.bytes <= blob.chunkBytes
      ? await wholeChunk(reader, blob)
      : ((await sessionChunks(readers, key)) ?? (await fileChunks(reader, blob)))
  const pieces = blobCache?.fill(key, shape, source, openSource) ?? source
  return new PieceReader(key.tid, shape, pieces, onClose)
}

async function wholeChunk(reader: Reader, blob: StoredBlob): Promise<BlobPieces> {
  const data =
    blob.bytes === 0 ? empty : await readChunk((number) => reader.blobs.chunk(blob.id, number), blob, 0)
  return { get: () => data, close: () => {} }
}

/** Undefined when the blob is no longer shown by a snapshot of this moment. */
async function sessionChunks(
  sessions: SessionPool<Reader>,
  { oid, tid }: BlobKey,
): Promise<BlobPieces | undefined> {
  const session = await sessions.take()
  let blob: StoredBlob | undefined
  try {
    await session.poll(undefined)
    blob = await session.blobs.find(oid, tid)
    if (blob === undefined) {
      await session.endSnapshot()
      await sessions.giveBack(session)
      return undefined
    }
  } catch (error) {
    await session.close()
    throw error
  }
  const found = blob
  return {
    get: (number) => readChunk((wanted) => session.blobs.chunk(found.id, wanted), found, number),
    async close() {
      await session.endSnapshot()
      await sessions.giveBack(session)
    },
  }
}

/** For what the cache has lost. */
async function openAgain(sessions: SessionPool<Reader>, key: BlobKey): Promise<BlobPieces> {
  const source = await sessionChunks(sessions, key)
  if (source !== undefined) return source
  throw new CorruptDataError(
    `the copy of the blob of object ${key.oid} in the cache is damaged, and the database has packed the blob away; repeat the transaction`,
    { transient: true, details: { oid: key.oid, tid: key.tid } },
  )
}

/** Only the snapshot of the instance shows it, which may end soon: so all of it is fetched now, into a file. */
async function fileChunks(reader: Reader, blob: StoredBlob): Promise<BlobPieces> {
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
    get: (number) => readChunk(() => readFrom(file, blob, number), blob, number),
    close: () => closeSync(file),
  }
}

function readFrom(file: number, { bytes, chunkBytes }: StoredBlob, number: number): Uint8Array {
  const position = number * chunkBytes
  const data = Buffer.alloc(Math.min(chunkBytes, bytes - position))
  return data.subarray(0, readSync(file, data, 0, data.length, position))
}
