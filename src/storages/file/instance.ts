/**
 * One connection's view of a log. Reading is synchronous and takes no lock: the index gives the newest revision, and
 * the links in the records lead back to the one that the snapshot shows.
 */

import {
  ClosedError,
  ObjectNotFoundError,
  ReadOnlyError,
  ShootoutError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import {
  type BlobReader,
  emptyMetadata,
  type HistoryEntry,
  type Invalidations,
  type Revision,
  type RevisionSpan,
  type StorageInstance,
  type TransactionMetadata,
} from '../storage.ts'
import { BlobFile } from './blob-file.ts'
import { FileBlobReader } from './blob-reader.ts'
import { buryDead } from './bury.ts'
import { encodeMetadata, metadataFieldBytesMax } from './format.ts'
import type { LogRecord } from './record-reader.ts'
import type { FileStorage } from './storage.ts'
import { FileTransaction } from './transaction.ts'

const nothing: ReadonlySet<Oid> = new Set()

export class FileInstance implements StorageInstance {
  readonly #storage: FileStorage
  /** Where packing sees the snapshot. */
  readonly #slot: number
  #snapshot: Tid = noTid
  #hasSnapshot = false
  /** Number of the first change the snapshot does not show; undefined before the first poll. */
  #changesSeen: number | undefined
  /** Own transactions since the last poll. Its caller knows what it changed itself. */
  readonly #own = new Set<Tid>()
  #transaction: FileTransaction | undefined
  readonly #blobs = new Set<FileBlobReader>()
  #released = false

  constructor(storage: FileStorage) {
    this.#storage = storage
    this.#slot = this.#acquireSlot()
  }

  #acquireSlot(): number {
    const { log } = this.#storage
    try {
      return log.snapshots.acquire(log.seats.own)
    } catch {
      // Terminated threads may have left theirs.
      buryDead(log)
      return log.snapshots.acquire(log.seats.own)
    }
  }

  get snapshotTid(): Tid {
    return this.#snapshot
  }

  pollInvalidations(): Invalidations {
    this.#assertUsable()
    const { log, group } = this.#storage
    const { numbers, changes, snapshots } = log
    let snapshot = group.visibleTid
    snapshots.open(this.#slot, snapshot)
    // Packing began between these two lines, and may not have seen the slot: take a snapshot that it keeps.
    if (numbers.packCutoff > snapshot) {
      snapshot = group.visibleTid
      snapshots.open(this.#slot, snapshot)
    }
    const before = this.#changesSeen
    this.#snapshot = snapshot
    this.#hasSnapshot = true
    if (before === undefined) {
      this.#changesSeen = changes.position(snapshot, numbers.changeCount)
      this.#own.clear()
      return nothing
    }
    const { changed, next } = changes.since(before, snapshot, this.#own, () => numbers.changeCount)
    this.#changesSeen = next
    for (const tid of this.#own) if (tid <= snapshot) this.#own.delete(tid)
    return changed
  }

  load(oid: Oid): Revision {
    this.#assertSnapshot()
    const record = this.#find(oid)
    if (record === undefined) throw new ObjectNotFoundError(oid)
    return record
  }

  loadMany(oids: readonly Oid[]): readonly (Revision | undefined)[] {
    this.#assertSnapshot()
    return oids.map((oid) => this.#find(oid))
  }

  loadBefore(oid: Oid, before: Tid): RevisionSpan | undefined {
    this.#assertUsable()
    const { log, group } = this.#storage
    const visible = group.visibleTid
    const found = log.find(oid, Math.min(before - 1, visible) as Tid, visible)
    if (found === undefined) {
      if (log.find(oid, visible, visible) === undefined) throw new ObjectNotFoundError(oid)
      return undefined
    }
    const { record, nextSerial } = found
    if (record.data === null) throw new ObjectNotFoundError(oid)
    log.countLoad(record.data.length)
    return { data: record.data, serial: record.serial, nextSerial }
  }

  /** Nothing can be packed away between the two lines that find and open: the snapshot is registered. */
  openBlob(oid: Oid): BlobReader | undefined {
    this.#assertSnapshot()
    const { log } = this.#storage
    const record = log.find(oid, this.#snapshot, maxTid)?.record
    if (record === undefined || record.data === null) throw new ObjectNotFoundError(oid)
    if (record.blob === undefined) return undefined
    const blob = new BlobFile(log.files, log.counters, log.path, oid, record.blob)
    const reader = new FileBlobReader(blob, record.serial, () => this.#blobs.delete(reader))
    this.#blobs.add(reader)
    return reader
  }

  newOids(count: number): readonly Oid[] {
    this.#assertUsable()
    return this.#storage.newOids(count)
  }

  history(oid: Oid, count: number): readonly HistoryEntry[] {
    this.#assertUsable()
    return this.#storage.history(oid, count)
  }

  begin(metadata: TransactionMetadata = emptyMetadata): FileTransaction {
    this.#assertSnapshot()
    if (this.#storage.readOnly) throw new ReadOnlyError(this.#storage.log.path)
    if (this.#transaction !== undefined) {
      throw new StorageTransactionError('this instance has a transaction open; end it first')
    }
    const encoded = encodeMetadata(metadata)
    for (const name of ['user', 'description', 'extension'] as const) {
      const { length } = encoded[name]
      if (length <= metadataFieldBytesMax) continue
      throw new ShootoutError(
        'metadata-too-long',
        `the ${name} of a transaction may have ${metadataFieldBytesMax} bytes, this one has ${length}; shorten it`,
        { details: { field: name, bytes: length } },
      )
    }
    const transaction = new FileTransaction(this.#storage, encoded, (tid) => {
      this.#transaction = undefined
      if (tid !== undefined) this.#own.add(tid)
    })
    this.#transaction = transaction
    return transaction
  }

  afterCompletion(): void {
    this.#endSnapshot()
  }

  release(): void {
    if (this.#released) return
    this.#transaction?.abort()
    for (const reader of this.#blobs) reader.close()
    this.#endSnapshot()
    this.#released = true
    this.#storage.log.snapshots.release(this.#slot)
    this.#storage.released(this)
  }

  #endSnapshot(): void {
    if (this.#released || !this.#hasSnapshot) return
    this.#hasSnapshot = false
    this.#storage.log.snapshots.close(this.#slot)
  }

  #find(oid: Oid): { data: Uint8Array; serial: Tid } | undefined {
    const { log } = this.#storage
    const record: LogRecord | undefined = log.find(oid, this.#snapshot, maxTid)?.record
    if (record === undefined || record.data === null) return undefined
    log.countLoad(record.data.length)
    return record as { data: Uint8Array; serial: Tid }
  }

  #assertUsable(): void {
    if (this.#released) throw new ClosedError('the storage instance')
    this.#storage.assertOpen()
  }

  #assertSnapshot(): void {
    this.#assertUsable()
    if (!this.#hasSnapshot) {
      throw new StorageTransactionError('no snapshot is open; poll invalidations first')
    }
  }
}
