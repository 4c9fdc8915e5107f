/**
 * A blob is a file of its own beside the log, `LOG.blobs/OID-ID`: its bytes, then the checksum of each block of them
 * (docs/file-format.md). It belongs to the store if and only if a record of the log names it. Never changed once it is
 * complete.
 */

import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { type FileSystem, readFully, systemErrorCode, writeFully } from '../../core/file-system.ts'
import type { Oid } from '../../core/ids.ts'
import type { BlobSource, MutableCounters } from '../storage.ts'
import { damage, writeFailed } from './file-errors.ts'
import { type BlobReference, writePosition } from './format.ts'

/** What one checksum covers, and the least that is read. */
const blockBytes = 1 << 16
/** What is written at once: few system calls, and no turn of the event loop is held up for long. */
const bufferBytes = 4 * blockBytes
/** Chunks in which whole blobs are read. */
const chunkBytes = 4 * blockBytes

export function blobsFolder(path: string): string {
  return `${path}.blobs`
}

export function blobName(oid: Oid, id: string): string {
  return `${oid.toString(16)}-${id}`
}

export function blobPath(path: string, oid: Oid, id: string): string {
  return `${blobsFolder(path)}/${blobName(oid, id)}`
}

/** Undefined for a file that is not a blob's. */
export function parseBlobName(name: string): { readonly oid: Oid; readonly id: string } | undefined {
  const found = /^([0-9a-f]{1,14})-([0-9a-f]{16})$/.exec(name)
  return found === null ? undefined : { oid: Number.parseInt(found[1]!, 16) as Oid, id: found[2]! }
}

function checksumBytes(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * 4
}

/** Binds the checksums of a file to the record that names it. */
function checksumOf(id: string, bytes: number, checksums: Uint8Array): number {
  const head = Buffer.alloc(16)
  head.write(id, 0, 'hex')
  writePosition(head, bytes, 8)
  return crc32(checksums, crc32(head))
}

// --- Writing --------------------------------------------------------------------------------------------------------

/**
 * Writes a new blob as it comes: of the blob, 256 KiB and 4 bytes for each 64 KiB are held in memory.
 * @param path the log's. The folder for its blobs exists.
 * @param durable flush the file; the folder, which has its name, is flushed by the caller
 * @throws ShootoutError `disk-full`, `write-failed`; whatever `source` throws. Nothing is left then.
 */
export async function writeBlob(
  files: FileSystem,
  counters: MutableCounters,
  path: string,
  oid: Oid,
  source: BlobSource,
  durable: boolean,
): Promise<BlobReference> {
  const id = randomBytes(8).toString('hex')
  const name = blobPath(path, oid, id)
  const file = writing(path, () => files.open(name, 'create'))
  let isWhole = false
  try {
    const writer = new BlobWriter(files, counters, path, file)
    for await (const chunk of source) await writer.add(chunk)
    const checksums = writer.end()
    if (durable) {
      await files.syncLater(file).catch((cause: unknown) => {
        throw writeFailed(path, cause)
      })
      counters.syncs++
    }
    isWhole = true
    return { id, bytes: writer.bytes, checksum: checksumOf(id, writer.bytes, checksums) }
  } finally {
    files.close(file)
    if (!isWhole) files.remove(name)
  }
}

function writing<T>(path: string, body: () => T): T {
  try {
    return body()
  } catch (cause) {
    if (systemErrorCode(cause) === undefined) throw cause
    throw writeFailed(path, cause)
  }
}

class BlobWriter {
  bytes = 0
  readonly #files: FileSystem
  readonly #counters: MutableCounters
  readonly #path: string
  readonly #file: number
  readonly #buffer = Buffer.allocUnsafeSlow(bufferBytes)
  #buffered = 0
  readonly #checksums: number[] = []

  constructor(files: FileSystem, counters: MutableCounters, path: string, file: number) {
    this.#files = files
    this.#counters = counters
    this.#path = path
    this.#file = file
  }

  async add(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const piece = chunk.subarray(done, done + bufferBytes - this.#buffered)
      this.#buffer.set(piece, this.#buffered)
      this.#buffered += piece.length
      done += piece.length
      if (this.#buffered < bufferBytes) continue
      this.#write()
      // A source that answers at once would otherwise keep everybody else waiting.
      await nextTurn()
    }
  }

  /** Writes the rest. Returns the checksums. */
  end(): Buffer {
    this.#write()
    const checksums = Buffer.allocUnsafe(this.#checksums.length * 4)
    for (const [at, checksum] of this.#checksums.entries()) checksums.writeUInt32BE(checksum, at * 4)
    this.#put(checksums, checksums.length, this.bytes)
    return checksums
  }

  #write(): void {
    for (let at = 0; at < this.#buffered; at += blockBytes) {
      this.#checksums.push(crc32(this.#buffer.subarray(at, Math.min(at + blockBytes, this.#buffered))))
    }
    this.#put(this.#buffer, this.#buffered, this.bytes)
    this.bytes += this.#buffered
    this.#buffered = 0
  }

  #put(source: Buffer, length: number, position: number): void {
    writing(this.#path, () => writeFully(this.#files, this.#file, source, 0, length, position))
    this.#counters.bytesWritten += length
  }
}

// --- Reading --------------------------------------------------------------------------------------------------------

export class BlobFile {
  readonly bytes: number
  readonly #files: FileSystem
  readonly #counters: MutableCounters
  readonly #where: string
  readonly #path: string
  readonly #file: number
  readonly #checksums: Buffer
  /** The block that was read last, for those who read in small pieces. */
  #block: { readonly start: number; readonly content: Buffer } | undefined

  /**
   * @param path the log's
   * @throws CorruptDataError when the file is missing or is not the one that the record names
   */
  constructor(files: FileSystem, counters: MutableCounters, path: string, oid: Oid, blob: BlobReference) {
    this.bytes = blob.bytes
    this.#files = files
    this.#counters = counters
    this.#path = path
    this.#where = `the blob of object ${oid} in ${blobPath(path, oid, blob.id)}`
    try {
      this.#file = files.open(blobPath(path, oid, blob.id), 'read')
    } catch (cause) {
      if (systemErrorCode(cause) !== 'ENOENT') throw cause
      throw this.#damage('the file is missing')
    }
    try {
      this.#checksums = Buffer.allocUnsafeSlow(checksumBytes(blob.bytes))
      const size = files.size(this.#file)
      const expected = blob.bytes + this.#checksums.length
      if (size !== expected) throw this.#damage(`the file has ${size} bytes instead of ${expected}`)
      this.#read(this.#checksums, blob.bytes)
      if (checksumOf(blob.id, blob.bytes, this.#checksums) !== blob.checksum) {
        throw this.#damage('its checksums are not those that the log names')
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The caller sees to it that `position + length` is not beyond the end. */
  read(position: number, length: number): Uint8Array {
    const start = position - (position % blockBytes)
    const end = Math.min(Math.ceil((position + length) / blockBytes) * blockBytes, this.bytes)
    const isOneBlock = end - start <= blockBytes
    const content =
      isOneBlock && this.#block?.start === start ? this.#block.content : this.#verified(start, end)
    if (isOneBlock) this.#block = { start, content }
    const piece = content.subarray(position - start, position - start + length)
    // The block stays for the next piece, and a small piece should not keep much memory alive.
    return isOneBlock || 2 * length < content.length
      ? new Uint8Array(piece)
      : new Uint8Array(content.buffer, piece.byteOffset, length)
  }

  /** The whole content, in order. */
  *chunks(): Generator<Uint8Array> {
    for (let position = 0; position < this.bytes; position += chunkBytes) {
      yield this.read(position, Math.min(chunkBytes, this.bytes - position))
    }
  }

  close(): void {
    this.#files.close(this.#file)
  }

  #verified(start: number, end: number): Buffer {
    const content = Buffer.allocUnsafeSlow(end - start)
    this.#read(content, start)
    for (let at = 0; at < content.length; at += blockBytes) {
      const checksum = crc32(content.subarray(at, at + blockBytes))
      if (checksum === this.#checksums.readUInt32BE(((start + at) / blockBytes) * 4)) continue
      throw this.#damage(`the checksum of its bytes from ${start + at} on is wrong`)
    }
    return content
  }

  #read(target: Buffer, position: number): void {
    const got = readFully(this.#files, this.#file, target, 0, target.length, position)
    this.#counters.bytesRead += got
    if (got < target.length) throw this.#damage('the file ends too early')
  }

  #damage(reason: string): Error {
    return damage(this.#path, this.#where, reason)
  }
}
