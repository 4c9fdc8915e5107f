/**
 * Reads transactions one after the other, verifying every byte, with memory for one record at a time. Opening,
 * iteration, packing and the tools all read through here.
 */

import { type FileSystem, readFully } from '../../core/file-system.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { TransactionMetadata } from '../storage.ts'
import {
  type BlobReference,
  bodyBytes,
  decodeMetadata,
  deletedMark,
  metadataBytes,
  payloadBytes,
  readTransactionHeader,
  recordBlob,
  recordChecksum,
  recordHeaderBytes,
  recordLength,
  recordOid,
  recordPrevious,
  recordSerial,
  type TransactionHeader,
  trailerBytes,
  trailerVerifies,
  transactionBytesMin,
  transactionHeaderBytes,
  transactionHeaderVerifies,
  transactionMagic,
} from './format.ts'

const windowBytes = 1 << 20

/** A record as it stands in the window. Valid only during the call that hands it over. */
export interface ScannedRecord {
  readonly oid: Oid
  readonly serial: Tid
  readonly previous: number
  /** Where it begins in the file. */
  readonly position: number
  /** A copy of the payload; null for a deletion. */
  data(): Uint8Array | null
  /** The payload where it stands, to be copied at once. With `hold`, it stands until the next transaction is read. */
  view(): Uint8Array | null
  /** Payload bytes; 0 for a deletion. */
  readonly bytes: number
  readonly isDeletion: boolean
  blob(): BlobReference | undefined
}

export interface ScannedTransaction {
  readonly header: TransactionHeader
  readonly metadata: TransactionMetadata
  /** Where the next one begins. */
  readonly end: number
}

/** There is no whole transaction at this place. */
export interface ScanProblem {
  /** A phrase: `its header checksum is wrong`. */
  readonly reason: string
}

export class LogScanner {
  readonly #files: FileSystem
  readonly #file: number
  readonly #seed: number
  #window: Buffer = Buffer.allocUnsafeSlow(windowBytes)
  #windowStart = 0
  #windowLength = 0
  #checksums: Buffer = Buffer.allocUnsafe(4096)
  /** Bytes read from the file so far. */
  bytesRead = 0

  constructor(files: FileSystem, file: number, seed: number) {
    this.#files = files
    this.#file = file
    this.#seed = seed
  }

  /**
   * Reads the transaction at `position`. The records are handed over one by one *before* the transaction is known to
   * be whole: who changes anything by them must wait for the result.
   * @param limit end of what may be read
   */
  read(
    position: number,
    limit: number,
    onRecord?: (record: ScannedRecord) => void,
  ): ScannedTransaction | ScanProblem {
    const header = this.header(position, limit)
    if ('reason' in header) return header
    const metadata = this.metadata(position, header)
    const at = this.#view(position, transactionHeaderBytes)
    const headerChecksum = this.#window.readUInt32BE(at + 4)
    const end = position + header.length
    const recordsEnd = end - trailerBytes
    if (this.#checksums.length < header.recordCount * 4) {
      this.#checksums = Buffer.allocUnsafe(header.recordCount * 4)
    }
    let next = position + transactionHeaderBytes + metadataBytes(header)
    for (let count = 0; count < header.recordCount; count++) {
      if (next + recordHeaderBytes > recordsEnd) return { reason: `record ${count} does not fit into it` }
      const start = this.#view(next, recordHeaderBytes)
      if (start < 0) return { reason: 'the file ends within it' }
      const length = recordLength(this.#window, start)
      const total = recordHeaderBytes + bodyBytes(length)
      if (next + total > recordsEnd) return { reason: `the length of record ${count} is impossible` }
      const offset = this.#view(next, total)
      if (offset < 0) return { reason: 'the file ends within it' }
      const checksum = recordChecksum(this.#window, offset, length)
      if (checksum !== this.#window.readUInt32BE(offset)) {
        return { reason: `the checksum of record ${count} (at position ${next}) is wrong` }
      }
      if (recordSerial(this.#window, offset) !== header.tid) {
        return { reason: `record ${count} (at position ${next}) belongs to another transaction` }
      }
      this.#checksums.writeUInt32BE(checksum, count * 4)
      onRecord?.(new RecordInWindow(this.#window, offset, next, length))
      next += total
    }
    if (next !== recordsEnd) return { reason: 'its records do not fill it' }
    const trailer = this.#view(recordsEnd, trailerBytes)
    if (trailer < 0) return { reason: 'the file ends within it' }
    const checksums = this.#checksums.subarray(0, header.recordCount * 4)
    if (!trailerVerifies(this.#window, trailer, checksums, headerChecksum, header.length)) {
      return { reason: 'its trailer is wrong' }
    }
    return { header, metadata, end }
  }

  /** Reads and verifies only the header of the transaction at `position`. */
  header(position: number, limit: number): TransactionHeader | ScanProblem {
    if (position + transactionHeaderBytes + trailerBytes > limit) return { reason: 'the file ends within it' }
    const fixed = this.#view(position, transactionHeaderBytes)
    if (fixed < 0) return { reason: 'the file ends within it' }
    const header = readTransactionHeader(this.#window, fixed)
    if (header === undefined) return { reason: 'it does not begin like a transaction' }
    if (header.position !== position) return { reason: 'its header names another position' }
    const headerEnd = position + transactionHeaderBytes + metadataBytes(header)
    if (headerEnd > limit) return { reason: 'the file ends within it' }
    const at = this.#view(position, headerEnd - position)
    if (at < 0) return { reason: 'the file ends within it' }
    if (!transactionHeaderVerifies(this.#window, at, at + headerEnd - position, this.#seed)) {
      return { reason: 'the checksum of its header is wrong' }
    }
    if (header.length < transactionBytesMin(header)) return { reason: 'its length is impossible' }
    if (position + header.length > limit) return { reason: 'the file ends within it' }
    return header
  }

  /**
   * Keeps the transaction at `position` in memory as a whole while it is read: its records stay where they are. Does
   * nothing where there is none.
   */
  hold(position: number, limit: number): void {
    const header = this.header(position, limit)
    if (!('reason' in header)) this.#view(position, header.length)
  }

  /** Forgets what was read ahead: what lies beyond the published end of a log may still change. */
  forget(): void {
    this.#windowLength = 0
  }

  /** Metadata of a transaction whose header was read and verified. */
  metadata(position: number, header: TransactionHeader): TransactionMetadata {
    const at = this.#view(position, transactionHeaderBytes + metadataBytes(header))
    return decodeMetadata(this.#window, at + transactionHeaderBytes, header)
  }

  /**
   * Searches for a transaction whose header verifies, from `position` on. Its records may still be damaged.
   * @returns undefined when there is none before `limit`
   */
  findHeader(position: number, limit: number): TransactionHeader | undefined {
    for (let from = position; from + transactionHeaderBytes <= limit; ) {
      const start = this.#view(from, Math.min(windowBytes / 2, limit - from))
      if (start < 0) return undefined
      const available = this.#windowStart + this.#windowLength - from
      const found = this.#window.subarray(start, start + available).indexOf(magicBytes)
      if (found < 0) {
        // The magic may lie across the end of the window.
        from += Math.max(available - magicBytes.length + 1, 1)
        continue
      }
      const header = this.header(from + found, limit)
      if (!('reason' in header)) return header
      from += found + 1
    }
    return undefined
  }

  /** Offset in the window of `bytes` bytes at `position`; -1 where the file is shorter. */
  #view(position: number, bytes: number): number {
    const offset = position - this.#windowStart
    if (offset >= 0 && offset + bytes <= this.#windowLength) return offset
    if (bytes > this.#window.length) this.#window = Buffer.allocUnsafeSlow(bytes)
    else if (this.#window.length > windowBytes && bytes <= windowBytes) {
      this.#window = Buffer.allocUnsafeSlow(windowBytes)
    }
    this.#windowStart = position
    this.#windowLength = readFully(this.#files, this.#file, this.#window, 0, this.#window.length, position)
    this.bytesRead += this.#windowLength
    return this.#windowLength >= bytes ? 0 : -1
  }
}

const magicBytes = Buffer.alloc(4)
magicBytes.writeUInt32BE(transactionMagic)

class RecordInWindow implements ScannedRecord {
  readonly #window: Buffer
  readonly #offset: number
  readonly #length: number
  readonly position: number

  constructor(window: Buffer, offset: number, position: number, length: number) {
    this.#window = window
    this.#offset = offset
    this.#length = length
    this.position = position
  }

  get oid(): Oid {
    return recordOid(this.#window, this.#offset)
  }

  get serial(): Tid {
    return recordSerial(this.#window, this.#offset)
  }

  get previous(): number {
    return recordPrevious(this.#window, this.#offset)
  }

  get bytes(): number {
    return payloadBytes(this.#length)
  }

  get isDeletion(): boolean {
    return this.#length === deletedMark
  }

  data(): Uint8Array | null {
    return this.view()?.slice() ?? null
  }

  view(): Uint8Array | null {
    if (this.#length === deletedMark) return null
    const start = this.#window.byteOffset + this.#offset + recordHeaderBytes
    return new Uint8Array(this.#window.buffer, start, this.bytes)
  }

  blob(): BlobReference | undefined {
    return recordBlob(this.#window, this.#offset, this.#length)
  }
}
