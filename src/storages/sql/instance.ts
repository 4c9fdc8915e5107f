/** One connection's view of a SQL store: its snapshot, what is loaded from it, and at most one transaction. */

import { chain, isPromise } from '../../core/awaitable.ts'
import {
  ClosedError,
  ObjectNotFoundError,
  ShootoutError,
  StorageTransactionError,
} from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { PieceReader } from '../cache/blobs/piece-reader.ts'
import type { SnapshotMark } from '../cache/snapshot-view.ts'
import { checkMetadata } from '../metadata.ts'
import {
  type Awaitable,
  type BlobReader,
  emptyMetadata,
  type HistoryEntry,
  type Invalidations,
  type Revision,
  type RevisionSpan,
  type StorageInstance,
  type Transaction,
  type TransactionMetadata,
} from '../storage.ts'
import type { Committed, Reader, Row } from './adapter.ts'
import { openBlobReader } from './blob-reader.ts'
import { SqlSnapshot } from './snapshot.ts'
import type { SqlStore } from './sql-storage.ts'
import { SqlTransaction } from './transaction.ts'

export class SqlInstance implements StorageInstance {
  readonly history?: NonNullable<StorageInstance['history']>
  readonly #store: SqlStore
  readonly #snapshot: SqlSnapshot
  /** Rest of the group of object ids that was taken last. */
  #spareOids: readonly Oid[] = []
  #transaction: SqlTransaction | undefined
  /** That are open. */
  readonly #blobs = new Set<PieceReader>()
  #released: Promise<void> | undefined

  constructor(store: SqlStore) {
    this.#store = store
    this.#snapshot = new SqlSnapshot(store)
    store.instances.add(this)
    if (store.adapter.keepsHistory) this.history = (oid, count) => this.#history(oid, count)
  }

  get snapshotTid(): Tid {
    return this.#snapshot.tid
  }

  get life(): number {
    return this.#snapshot.life
  }

  // --- Snapshots ---

  pollInvalidations(): Awaitable<Invalidations> {
    this.#assertUsable()
    return this.#snapshot.poll()
  }

  afterCompletion(): Awaitable<void> {
    if (this.#released !== undefined) return
    return this.#snapshot.end()
  }

  /**
   * Ends the snapshot of a transaction that votes. Who votes has read what it wanted, as a rule; who still loads must
   * repeat the transaction.
   */
  giveUpSnapshot(reader: Reader): void {
    if (this.isReading(reader) && this.#blobs.size === 0) this.#snapshot.giveUp()
  }

  /** As `SqlSnapshot.committed`. */
  committed(commit: Committed, reported: ReadonlySet<Oid>): void {
    this.#snapshot.committed(commit, reported)
  }

  get hasTransaction(): boolean {
    return this.#transaction?.hasEnded === false
  }

  /** `reader` still shows the snapshot of this instance. */
  isReading(reader: Reader): boolean {
    return this.#snapshot.reader === reader
  }

  // --- Loading ---

  load(oid: Oid): Awaitable<Revision> {
    const reader = this.#snapshotReader()
    const { prefetched, view } = this.#snapshot
    if (prefetched.size > 0 && prefetched.has(oid)) return this.#handOut(oid, prefetched.get(oid))
    const cached = view?.find(oid)
    if (cached !== undefined) {
      this.#count(cached)
      return cached
    }
    const snapshot = view?.snapshot
    const row = reader.load(oid)
    if (isPromise(row)) return row.then((found) => this.#handOut(oid, this.#fetched(found, snapshot)))
    return this.#handOut(oid, this.#fetched(row, snapshot))
  }

  /** @param snapshot that was asked; it may have ended meanwhile */
  #fetched(row: Row | undefined, snapshot: SnapshotMark | undefined): Revision | undefined {
    if (row === undefined || row.data === null) return undefined
    const { oid, serial, data } = row
    this.#store.counters.backendLoads++
    if (snapshot !== undefined) this.#snapshot.view!.loaded(oid, serial, data, snapshot)
    return { data, serial }
  }

  #handOut(oid: Oid, revision: Revision | undefined): Revision {
    if (revision === undefined) throw new ObjectNotFoundError(oid)
    this.#count(revision)
    return revision
  }

  #count(revision: Revision): void {
    this.#store.counters.loads++
    this.#store.counters.loadedBytes += revision.data.length
  }

  loadMany(oids: readonly Oid[]): Awaitable<readonly (Revision | undefined)[]> {
    const reader = this.#snapshotReader()
    if (oids.length === 0) return []
    const revisions = new Map<Oid, Revision | undefined>()
    const wanted = this.#missing(oids, revisions)
    const handOut = (): readonly (Revision | undefined)[] =>
      oids.map((oid) => {
        const revision = revisions.get(oid)
        if (revision !== undefined) this.#count(revision)
        return revision
      })
    if (wanted.length === 0) return handOut()
    const snapshot = this.#snapshot.view?.snapshot
    return chain(reader.loadMany(wanted), (rows) => {
      for (const row of rows) revisions.set(row.oid, this.#fetched(row, snapshot))
      return handOut()
    })
  }

  /** Which of `oids` the backend must be asked for. @param found gets the others */
  #missing(oids: readonly Oid[], found: Map<Oid, Revision | undefined>): readonly Oid[] {
    const { prefetched, view } = this.#snapshot
    if (prefetched.size === 0 && view === undefined) return oids
    return oids.filter((oid) => {
      if (prefetched.has(oid)) {
        found.set(oid, prefetched.get(oid))
        return false
      }
      const cached = view?.find(oid)
      if (cached !== undefined) found.set(oid, cached)
      return cached === undefined
    })
  }

  /**
   * What was asked for stays here until the snapshot ends, so that no cache, however small or large the objects, loses
   * it before it is used. Nothing here outlives the snapshot, so nothing can be stale.
   */
  prefetch(oids: readonly Oid[]): Awaitable<void> {
    const reader = this.#snapshotReader()
    // The application may end the snapshot meanwhile; then nobody looks into this map any more.
    const { prefetched, view } = this.#snapshot
    const wanted = this.#missing(oids, prefetched)
    if (wanted.length === 0) return
    const snapshot = view?.snapshot
    return chain(reader.loadMany(wanted), (rows) => {
      for (const oid of wanted) prefetched.set(oid, undefined)
      for (const row of rows) prefetched.set(row.oid, this.#fetched(row, snapshot))
    })
  }

  loadBefore(oid: Oid, before: Tid): Awaitable<RevisionSpan | undefined> {
    this.#assertUsable()
    return chain(
      this.#store.withReader((reader) => reader.loadBefore(oid, before)),
      (past) => {
        if (past === undefined) throw new ObjectNotFoundError(oid)
        if (past.serial === undefined) return undefined
        if (past.data === null) throw new ObjectNotFoundError(oid, { details: { before } })
        const span = { data: past.data, serial: past.serial, nextSerial: past.nextSerial }
        this.#store.counters.backendLoads++
        this.#count(span)
        return span
      },
    )
  }

  #history(oid: Oid, count: number): Awaitable<readonly HistoryEntry[]> {
    this.#assertUsable()
    return chain(
      this.#store.withReader((reader) => reader.history(oid, count)),
      (entries) => {
        if (entries.length === 0) throw new ObjectNotFoundError(oid)
        return entries
      },
    )
  }

  async openBlob(oid: Oid): Promise<BlobReader | undefined> {
    const reader = this.#snapshotReader()
    const key = this.#store.blobKey(this.life, oid, await this.#serialOf(reader, oid))
    const opened = await openBlobReader(this.#store, key, reader, (closed) => this.#blobs.delete(closed))
    if (opened === undefined) return undefined
    this.#blobs.add(opened)
    if (this.#released !== undefined) {
      await opened.close()
      this.#assertUsable()
    }
    return opened
  }

  /** Which revision of it the snapshot shows. Nobody is handed its state, so it is not counted. */
  #serialOf(reader: Reader, oid: Oid): Awaitable<Tid> {
    const known = this.#snapshot.find(oid)
    if (known !== undefined) return known.serial
    return chain(reader.load(oid), (row) => {
      if (row === undefined || row.data === null) throw new ObjectNotFoundError(oid)
      return row.serial
    })
  }

  // --- Writing ---

  newOids(count: number): Awaitable<readonly Oid[]> {
    this.#assertUsable()
    this.#store.assertWritable()
    if (this.#spareOids.length >= count) {
      const oids = this.#spareOids.slice(0, count)
      this.#spareOids = this.#spareOids.slice(count)
      return oids
    }
    return chain(this.#store.oids.take(count), (oids) => {
      // What is left of the group before is given up; groups of two instances must not mix.
      this.#spareOids = oids.slice(count)
      return oids.length === count ? oids : oids.slice(0, count)
    })
  }

  /** Somebody chose this id: it is never handed out here. */
  skipOid(oid: Oid): void {
    this.#store.oids.skip(oid)
    const spare = this.#spareOids
    if (spare.length > 0 && oid >= spare[0]! && oid <= spare.at(-1)!) this.#spareOids = []
  }

  begin(metadata: TransactionMetadata = emptyMetadata): Transaction {
    this.#assertUsable()
    this.#store.assertWritable()
    const reader = this.#snapshotReader()
    if (this.hasTransaction) {
      throw new StorageTransactionError('begin: this instance has a transaction; finish or abort it first')
    }
    if (this.#store.adapter.keepsHistory) checkMetadata(metadata)
    this.#transaction = new SqlTransaction(this.#store, this, {
      metadata,
      reader,
      snapshotTid: this.#snapshot.tid,
    })
    return this.#transaction
  }

  release(): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  async #release(): Promise<void> {
    this.#store.instances.delete(this)
    await this.#transaction?.abort()
    await Promise.all([...this.#blobs].map((reader) => reader.close()))
    await this.#snapshot.end()
    this.#snapshot.view?.release()
  }

  #assertUsable(): void {
    this.#store.assertOpen()
    if (this.#released !== undefined) throw new ClosedError('the storage instance')
  }

  #snapshotReader(): Reader {
    this.#assertUsable()
    const { reader, isGivenUp } = this.#snapshot
    if (reader !== undefined) return reader
    if (isGivenUp) throw snapshotEndedError(this.#store.adapter.title)
    throw new StorageTransactionError('no snapshot is open; call pollInvalidations first')
  }
}

function snapshotEndedError(title: string): ShootoutError {
  return new ShootoutError(
    'snapshot-ended',
    `${title}: the snapshot was ended while its transaction waited for the write lock, because the log had grown too long; repeat the transaction`,
    { transient: true },
  )
}
