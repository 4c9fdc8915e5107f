/**
 * A cached blob is a file: its pieces, one behind the other; a CRC-32 of each piece; and a footer that says whose blob it
 * is, how long, and has a checksum over itself and the list. So whatever a crash or a disk makes of a file is seen: of
 * its ends when it is opened, of a piece when that is read. Nothing is ever synced.
 *
 * footer, 44 bytes, big-endian: `SHB1`, bytes of a piece (4), store (8), oid (8), tid (8), bytes (8), CRC-32 (4)
 */

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { type FileSystem, readFully, writeFully } from '../../../core/file-system.ts'
import { type Oid, type Tid, writeId } from '../../../core/ids.ts'
import { type BlobShape, pieceCount } from './pieces.ts'

/** The revision that has the blob. */
export interface BlobKey {
  /** Which life of which store, in any words that no other one has. */
  readonly store: string
  readonly oid: Oid
  readonly tid: Tid
}

const magic = Buffer.from('SHB1')
const storeBytes = 8
const footerBytes = 44
const checksumBytes = 4

/** Path below the folder of the cache, in one of 256 folders. */
export function blobFileName({ store, oid, tid }: BlobKey): {
  readonly folder: string
  readonly name: string
} {
  return {
    folder: (oid % 256).toString(16).padStart(2, '0'),
    name: `${storeHash(store).toString('hex')}-${oid.toString(16)}-${tid.toString(16)}.blob`,
  }
}

export const blobFolders = /^[0-9a-f]{2}$/
export const blobFiles = /^[0-9a-f]{16}-[0-9a-f]{1,14}-[0-9a-f]{1,14}\.blob$/

function storeHash(store: string): Buffer {
  return createHash('sha256').update(store).digest().subarray(0, storeBytes)
}

/** With the whole content. */
export function fileBytes(shape: BlobShape): number {
  return shape.bytes + pieceCount(shape) * checksumBytes + footerBytes
}

export class BlobFile {
  readonly pieceBytes: number
  /** Of pieces that are there. */
  readonly #checksums: number[]
  readonly #files: FileSystem
  readonly #file: number
  #count: number
  #contentBytes: number

  private constructor(
    files: FileSystem,
    file: number,
    pieceBytes: number,
    checksums: number[],
    bytes: number,
  ) {
    this.#files = files
    this.#file = file
    this.pieceBytes = pieceBytes
    this.#checksums = checksums
    this.#count = checksums.length
    this.#contentBytes = bytes
  }

  /** A new file, to be filled. @throws the system's error */
  static create(files: FileSystem, path: string, pieceBytes: number): BlobFile {
    return new BlobFile(files, files.open(path, 'create'), pieceBytes, [], 0)
  }

  /** Undefined when the file is not the whole blob of this revision. @throws the system's error */
  static open(files: FileSystem, path: string, key: BlobKey): BlobFile | undefined {
    const file = files.open(path, 'read')
    try {
      const found = readEnd(files, file, key)
      if (found !== undefined) {
        return new BlobFile(files, file, found.shape.pieceBytes, found.checksums, found.shape.bytes)
      }
    } catch (error) {
      files.close(file)
      throw error
    }
    files.close(file)
    return undefined
  }

  /** Of the pieces that are there. */
  get bytes(): number {
    return this.#contentBytes
  }

  /** Pieces that are there. */
  get count(): number {
    return this.#count
  }

  /** In any order. Every piece but the last of the blob is as long as the others. @throws the system's error */
  put(number: number, data: Uint8Array): void {
    if (this.#checksums[number] !== undefined) return
    writeFully(this.#files, this.#file, data, 0, data.length, number * this.pieceBytes)
    this.#checksums[number] = crc32(data)
    this.#contentBytes += data.length
    this.#count++
  }

  has(number: number): boolean {
    return this.#checksums[number] !== undefined
  }

  /** Undefined when it is not what was written. @throws the system's error */
  read(number: number, length: number): Uint8Array | undefined {
    const data = new Uint8Array(length)
    const got = readFully(this.#files, this.#file, data, 0, length, number * this.pieceBytes)
    return got === length && crc32(data) === this.#checksums[number] ? data : undefined
  }

  /** All pieces are there, and they are the blob of this revision. @throws the system's error */
  seal(key: BlobKey): void {
    const end = Buffer.alloc(this.#checksums.length * checksumBytes + footerBytes)
    for (const [at, checksum] of this.#checksums.entries()) end.writeUInt32BE(checksum, at * checksumBytes)
    const shape = { bytes: this.#contentBytes, pieceBytes: this.pieceBytes }
    writeFooter(end.subarray(-footerBytes), key, shape)
    end.writeUInt32BE(crc32(end.subarray(0, -checksumBytes)), end.length - checksumBytes)
    writeFully(this.#files, this.#file, end, 0, end.length, shape.bytes)
  }

  /** @throws the system's error */
  touch(timeMs: number): void {
    this.#files.touch(this.#file, timeMs)
  }

  close(): void {
    this.#files.close(this.#file)
  }
}

function writeFooter(footer: Buffer, { store, oid, tid }: BlobKey, { bytes, pieceBytes }: BlobShape): void {
  magic.copy(footer, 0)
  footer.writeUInt32BE(pieceBytes, 4)
  storeHash(store).copy(footer, 8)
  writeId(footer, oid, 16)
  writeId(footer, tid, 24)
  // A length is a safe integer too, and written the same way.
  writeId(footer, bytes as Oid, 32)
}

function readEnd(
  files: FileSystem,
  file: number,
  key: BlobKey,
): { readonly shape: BlobShape; readonly checksums: number[] } | undefined {
  const size = files.size(file)
  if (size < footerBytes) return undefined
  const footer = Buffer.alloc(footerBytes)
  if (readFully(files, file, footer, 0, footerBytes, size - footerBytes) !== footerBytes) return undefined
  const shape = { bytes: Number(footer.readBigUInt64BE(32)), pieceBytes: footer.readUInt32BE(4) }
  const expected = Buffer.from(footer)
  writeFooter(expected, key, shape)
  if (!expected.equals(footer) || shape.pieceBytes === 0 || fileBytes(shape) !== size) return undefined
  const end = Buffer.alloc(size - shape.bytes)
  if (readFully(files, file, end, 0, end.length, shape.bytes) !== end.length) return undefined
  const checksumAt = end.length - checksumBytes
  if (crc32(end.subarray(0, checksumAt)) !== end.readUInt32BE(checksumAt)) return undefined
  const checksums = Array.from({ length: pieceCount(shape) }, (_, at) => end.readUInt32BE(at * checksumBytes))
  return { shape, checksums }
}
