/**
 * A transaction in the form in which it goes to the log: one piece of memory with the payloads in place, made before
 * the mutex is taken. What depends on the order of commits (position, tid, links to earlier revisions, checksums)
 * is filled in by `complete`.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import {
  type BlobReference,
  blobReferenceBytes,
  type EncodedMetadata,
  lengthField,
  recordBytes,
  recordHeaderBytes,
  trailerBytes,
  transactionHeaderBytes,
  writeBlobReference,
  writeRecordHeader,
  writeTrailer,
  writeTransactionHeader,
} from './format.ts'

/** One record: where it begins in the transaction, and its length field. */
export interface StagedEntry {
  readonly oid: Oid
  readonly offset: number
  readonly length: number
}

export interface StagedRecord {
  readonly oid: Oid
  /** Null: a deletion. */
  readonly data: Uint8Array | null
  /** Its file is complete, and will not be lost where the transaction is not. */
  readonly blob?: BlobReference | undefined
}

export class StagedTransaction {
  readonly hasBlobs: boolean
  readonly entries: readonly StagedEntry[]
  readonly #bytes: Buffer
  readonly #metadata: EncodedMetadata
  readonly #checksums: Buffer
  readonly #flags: number

  /** @param records each object once */
  constructor(metadata: EncodedMetadata, records: readonly StagedRecord[], flags = 0) {
    this.#metadata = metadata
    this.#flags = flags
    let size = transactionHeaderBytes + metadata.bytes + trailerBytes
    for (const { data, blob } of records) size += recordBytes(data, blob)
    // Not from Node's pool: the memory is written once and dropped, it should not keep a pool alive.
    const bytes = size < 4096 ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(size)
    let offset = transactionHeaderBytes + metadata.bytes
    let hasBlobs = false
    this.entries = records.map(({ oid, data, blob }) => {
      const entry = { oid, offset, length: lengthField(data, blob) }
      if (data !== null) bytes.set(data, offset + recordHeaderBytes)
      offset += recordBytes(data, blob)
      if (blob !== undefined) {
        hasBlobs = true
        writeBlobReference(bytes, offset - blobReferenceBytes, blob)
      }
      return entry
    })
    this.hasBlobs = hasBlobs
    this.#bytes = bytes
    this.#checksums = Buffer.allocUnsafe(records.length * 4)
  }

  /**
   * Fills in the rest. May be called again: a write that failed leaves the transaction as it was.
   * @param index knows the newest revision of each object
   */
  complete(
    position: number,
    tid: Tid,
    durableEnd: number,
    seed: number,
    index: { position(oid: Oid): number },
  ): Buffer {
    const bytes = this.#bytes
    const metadata = this.#metadata
    let at = 0
    for (const { oid, offset, length } of this.entries) {
      const checksum = writeRecordHeader(bytes, offset, length, oid, tid, index.position(oid))
      at = this.#checksums.writeUInt32BE(checksum, at)
    }
    const header = {
      position,
      length: bytes.length,
      tid,
      durableEnd,
      recordCount: this.entries.length,
      userBytes: metadata.user.length,
      descriptionBytes: metadata.description.length,
      extensionBytes: metadata.extension.length,
      flags: this.#flags,
    }
    const headerChecksum = writeTransactionHeader(bytes, 0, header, metadata, seed)
    writeTrailer(bytes, bytes.length - trailerBytes, this.#checksums, headerChecksum, bytes.length)
    return bytes
  }
}
