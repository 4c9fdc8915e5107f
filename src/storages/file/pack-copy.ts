/**
 * The second half of packing: copies what stays into a new log, transaction by transaction, with the links between
 * revisions made anew. Writes only to the new file.
 */

import { type FileSystem, writeFully } from '../../core/file-system.ts'
import type { Oid } from '../../core/ids.ts'
import type { MutableCounters } from '../storage.ts'
import {
  checksumSeed,
  encodeFileHeader,
  encodeMetadata,
  type FileHeader,
  fileHeaderBytes,
  flagPacked,
  formatVersionWithBlobs,
} from './format.ts'
import { newPositions } from './paged-array.ts'
import type { ScannedTransaction } from './scan.ts'
import { type StagedRecord, StagedTransaction } from './staged-transaction.ts'

const bufferBytes = 1 << 20

export class PackWriter {
  readonly path: string
  readonly file: number
  readonly seed: number
  /** The new log has the name of the old one. */
  isInPlace = false
  /** Where the newest revision of each object is in the new log. */
  readonly positions = newPositions()
  readonly #index = { position: (oid: Oid) => this.positions.get(oid) }
  #fileHeader: FileHeader
  readonly #files: FileSystem
  readonly #counters: MutableCounters
  readonly #buffer = Buffer.allocUnsafeSlow(bufferBytes)
  #buffered = 0
  #written = fileHeaderBytes

  constructor(files: FileSystem, path: string, counters: MutableCounters, fileHeader: FileHeader) {
    this.#files = files
    this.#counters = counters
    this.path = path
    this.#fileHeader = fileHeader
    this.seed = checksumSeed(fileHeader.fileId)
    if (files.exists(path)) files.remove(path)
    this.file = files.open(path, 'create')
    this.#writeFileHeader()
  }

  get version(): FileHeader['version'] {
    return this.#fileHeader.version
  }

  /** What the header says of transactions that are not in the log. */
  setPast({ lastTid, wholeSince }: Pick<FileHeader, 'lastTid' | 'wholeSince'>): void {
    this.#fileHeader = { ...this.#fileHeader, lastTid, wholeSince }
    this.#writeFileHeader()
  }

  #writeFileHeader(): void {
    const header = encodeFileHeader(this.#fileHeader)
    writeFully(this.#files, this.file, header, 0, header.length, 0)
    this.#counters.bytesWritten += header.length
  }

  /** End of what was added so far. */
  get end(): number {
    return this.#written + this.#buffered
  }

  /** Adds a transaction with the records of it that stay. */
  add(read: ScannedTransaction, records: readonly StagedRecord[], isPacked: boolean): void {
    const { tid, flags } = read.header
    const staged = new StagedTransaction(
      encodeMetadata(read.metadata),
      records,
      isPacked ? flags | flagPacked : flags,
    )
    if (staged.hasBlobs && this.version < formatVersionWithBlobs) {
      this.#fileHeader = { ...this.#fileHeader, version: formatVersionWithBlobs }
      this.#writeFileHeader()
    }
    const position = this.end
    // The new log is flushed as a whole before anybody uses it: everything before this counts as confirmed.
    const bytes = staged.complete(position, tid, position, this.seed, this.#index)
    for (const { oid, offset } of staged.entries) this.positions.set(oid, position + offset)
    if (this.#buffered + bytes.length > bufferBytes) this.write()
    if (bytes.length > bufferBytes) {
      writeFully(this.#files, this.file, bytes, 0, bytes.length, position)
      this.#counters.bytesWritten += bytes.length
      this.#written += bytes.length
      return
    }
    bytes.copy(this.#buffer, this.#buffered)
    this.#buffered += bytes.length
  }

  /** Hands everything added so far to the system. */
  write(): void {
    writeFully(this.#files, this.file, this.#buffer, 0, this.#buffered, this.#written)
    this.#counters.bytesWritten += this.#buffered
    this.#written += this.#buffered
    this.#buffered = 0
  }

  /** Gives the new file up. */
  discard(): void {
    this.#files.close(this.file)
    if (!this.isInPlace) this.#files.remove(this.path)
  }
}
