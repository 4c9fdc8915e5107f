/** Reads single records by their position, and verifies them. One for each isolate; synchronous. */

import { type FileSystem, readFully } from '../../core/file-system.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { MutableCounters } from '../storage.ts'
import { damage } from './file-errors.ts'
import {
  type BlobReference,
  bodyBytes,
  deletedMark,
  payloadBytes,
  recordBlob,
  recordChecksum,
  recordHeaderBytes,
  recordLength,
  recordOid,
  recordPrevious,
  recordSerial,
} from './format.ts'

/** One revision as it lies in the log. */
export interface LogRecord {
  readonly oid: Oid
  readonly serial: Tid
  /** Position of the revision before; 0 for the first. */
  readonly previous: number
  /** Null: the object was deleted. Belongs to the caller. */
  readonly data: Uint8Array | null
  readonly blob: BlobReference | undefined
}

/** A read of this many bytes costs no more than one of a few: so many are always asked for. */
const firstReadBytesMin = 256
/** A larger first read would cost records that need less of it more than a second read costs the others. */
const firstReadBytesMax = 2048

/**
 * Records are read straight into slabs of this size, and small payloads stay there, because memory of its own costs
 * each of them half a microsecond, a quarter of the whole load. Who keeps one small payload for long keeps its slab:
 * 8 KiB, as with Node's own buffers.
 */
const slabBytes = 8192
const slabPayloadBytesMax = 1024

export class RecordReader {
  readonly #files: FileSystem
  readonly #path: string
  readonly #counters: MutableCounters
  /** How much to ask for first: as much as the largest of the last records took, so that most come with one read. */
  #firstReadBytes = firstReadBytesMax
  #slab = Buffer.allocUnsafeSlow(slabBytes)
  #slabUsed = 0

  constructor(files: FileSystem, path: string, counters: MutableCounters) {
    this.#files = files
    this.#path = path
    this.#counters = counters
  }

  /** @throws CorruptDataError when at `position` there is no record of `oid`, whole */
  read(file: number, position: number, oid: Oid): LogRecord {
    const wanted = this.#firstReadBytes
    if (this.#slabUsed + wanted > slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#slabUsed = 0
    }
    let bytes: Buffer = this.#slab
    let at = this.#slabUsed
    const got = this.#files.read(file, bytes, at, wanted, position)
    this.#counters.bytesRead += got
    if (got < recordHeaderBytes) throw recordDamage(this.#path, oid, position, 'the file ends before it')
    const length = recordLength(bytes, at)
    const total = recordHeaderBytes + bodyBytes(length)
    // Comes down slowly, so that a few small records among large ones do not cost the large ones a second read.
    const decayed = Math.max(total, wanted - (wanted >> 4))
    this.#firstReadBytes = Math.min(Math.max(decayed, firstReadBytesMin), firstReadBytesMax)
    const isWhole = total <= got
    if (!isWhole) {
      bytes = this.#readWhole(file, position, oid, total, got)
      at = 0
    }
    verifyRecord(this.#path, bytes, at, position, oid)
    return {
      oid,
      serial: recordSerial(bytes, at),
      previous: recordPrevious(bytes, at),
      data: length === deletedMark ? null : this.#payload(bytes, at, payloadBytes(length), isWhole),
      blob: recordBlob(bytes, at, length),
    }
  }

  /** A record of `total` bytes, of which `got` are in the slab. */
  #readWhole(file: number, position: number, oid: Oid, total: number, got: number): Buffer {
    if (position + total > this.#files.size(file)) {
      throw recordDamage(this.#path, oid, position, 'its length is impossible')
    }
    const bytes = Buffer.allocUnsafeSlow(total)
    this.#slab.copy(bytes, 0, this.#slabUsed, this.#slabUsed + got)
    const more = readFully(this.#files, file, bytes, got, total - got, position + got)
    this.#counters.bytesRead += more
    if (got + more < total) throw recordDamage(this.#path, oid, position, 'the file ends within it')
    return bytes
  }

  /** The payload, in memory that is never used again for anything else. */
  #payload(bytes: Buffer, at: number, length: number, isInSlab: boolean): Uint8Array {
    const data = new Uint8Array(bytes.buffer, bytes.byteOffset + at + recordHeaderBytes, length)
    if (!isInSlab) return data
    if (length > slabPayloadBytesMax) return data.slice()
    this.#slabUsed += recordHeaderBytes + length
    return data
  }
}

/** @throws CorruptDataError unless `bytes` have at `at` the record of `oid` that lies at `position`; they hold all of it */
export function verifyRecord(path: string, bytes: Buffer, at: number, position: number, oid: Oid): void {
  if (recordChecksum(bytes, at, recordLength(bytes, at)) !== bytes.readUInt32BE(at)) {
    throw recordDamage(path, oid, position, 'its checksum is wrong')
  }
  if (recordOid(bytes, at) !== oid) {
    throw recordDamage(path, oid, position, `it belongs to object ${recordOid(bytes, at)}`)
  }
}

export function recordDamage(path: string, oid: Oid, position: number, reason: string): Error {
  return damage(path, `the record of object ${oid} at position ${position}`, reason)
}
