/**
 * One connection's view of a SQL store: the snapshot of a reader session, borrowed from one poll to the end of the
 * application's transaction, and at most one transaction.
 */

import { attempt, chain, isPromise } from '../../core/awaitable.ts'
import {
  ClosedError,
  DisconnectedError,
  ObjectNotFoundError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { PieceReader } from '../cache/blobs/piece-reader.ts'
import type { SnapshotMark, SnapshotView } from '../cache/snapshot-index.ts'
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
import type { Committed, Poll, Reader, Row } from './adapter.ts'
import { openBlobReader } from './blob-reader.ts'
import type { SqlStore } from './sql-storage.ts'
import { SqlTransaction } from './transaction.ts'

const nothing: ReadonlySet<Oid> = new Set()

export class SqlInstance implements StorageInstance {
  readonly history?: NonNullable<StorageInstance['history']>
  readonly #store: SqlStore
  /** Present while a snapshot is open. */
  #reader: Reader | undefined
  #snapshotTid = noTid
  /** Of the store that the snapshot shows. */
  #life = 0
  /** What the last poll had seen; undefined before the first. */
  #seen: Tid | undefined
  /** This instance's place in what the storage knows of changes; undefined where there is no cache. */
  readonly #view: SnapshotView | undefined
  /** Commits of this instance since the last poll, each with the objects that must be reported all the same. */
  readonly #own = new Map<Tid, ReadonlySet<Oid>>()
  /** What `prefetch` brought, for the snapshot that is open. */
  #prefetched = new Map<Oid, Revision | undefined>()
  /** Rest of the group of object ids that was taken last. */
  #spareOids: readonly Oid[] = []
  #transaction: SqlTransaction | undefined
  /** That are open. */
  readonly #blobs = new Set<PieceReader>()
  #released: Promise<void> | undefined

  constructor(store: SqlStore) {
    this.#store = store
    this.#view = store.index?.newView()
    store.instances.add(this)
    if (store.adapter.keepsHistory) this.history = (oid, count) => this.#history(oid, count)
  }

  get snapshotTid(): Tid {
    return this.#snapshotTid
  }

  get life(): number {
    return this.#life
  }

  // --- Snapshots ---

  pollInvalidations(): Awaitable<Invalidations> {
    this.#assertUsable()
    this.#prefetched = new Map()
    return attempt(
      () => this.#poll(),
      // The connection may have been lost while nobody looked. Nothing depends on it yet, so a new one will do.
      (error) => (error instanceof DisconnectedError ? this.#poll() : Promise.reject(error)),
    )
  }

  #poll(): Awaitable<Invalidations> {
    return chain(this.#reader ?? this.#store.readers.take(), (reader) => {
      this.#reader = undefined
      // With a cache, only what is new to the whole storage is asked for.
      const since = this.#view === undefined ? this.#seen : this.#view.beginPoll()
      return attempt(
        () => chain(reader.poll(since), (poll) => this.#polled(reader, poll, since)),
        (error) => chain(reader.close(), () => Promise.reject(error)),
      )
    })
  }

  #polled(reader: Reader, poll: Poll, since: Tid | undefined): Awaitable<Invalidations> {
    const waiting = this.#finishingIn(poll)
    return waiting.length === 0
      ? this.#openSnapshot(reader, poll, since)
      : Promise.all(waiting).then(() => this.#openSnapshot(reader, poll, since))
  }

  /**
   * Commits of this storage that the snapshot may show although their `finish` has not heard of it yet. Who sees a
   * transaction must see it after its `onTid`.
   */
  #finishingIn(poll: Poll): Promise<unknown>[] {
    const { finishing } = this.#store
    if (finishing.size === 0) return []
    if (poll.changed === 'all') return [...finishing.keys()]
    const changed = new Set(poll.changed.map((change) => change.oid))
    return [...finishing].filter(([, oid]) => changed.has(oid)).map(([finished]) => finished)
  }

  #openSnapshot(reader: Reader, poll: Poll, since: Tid | undefined): Invalidations {
    const isFirst = this.#seen === undefined
    this.#reader = reader
    this.#snapshotTid = poll.tid
    this.#seen = poll.seen
    this.#life = poll.life
    this.#store.sawTid(poll.tid)
    this.#store.sawLife(poll.life)
    // Its place is `seen`, not `tid`: that never goes back, not even when the store is emptied.
    const changes =
      this.#view === undefined ? poll.changed : this.#view.polled(poll.seen, since, poll.changed)
    // An instance that has never had a snapshot has nothing that could be out of date.
    const changed = isFirst ? nothing : this.#reportable(changes)
    this.#own.clear()
    return changed
  }

  #reportable(changes: Poll['changed']): Invalidations {
    if (changes === 'all') return 'all'
    if (changes.length === 0) return nothing
    const changed = new Set<Oid>()
    for (const { oid, tid } of changes) {
      const reported = this.#own.get(tid)
      if (reported === undefined || reported.has(oid)) changed.add(oid)
    }
    return changed
  }

  afterCompletion(): Awaitable<void> {
    if (this.#released !== undefined) return
    return this.#endSnapshot()
  }

  #endSnapshot(): Awaitable<void> {
    const reader = this.#reader
    if (reader === undefined) return
    this.#reader = undefined
    this.#prefetched = new Map()
    return attempt(
      () => chain(reader.endSnapshot(), () => this.#store.readers.giveBack(reader)),
      // A session whose snapshot cannot be ended has gone, and its snapshot with it.
      (error) => {
        this.#store.context.log(`${this.#store.adapter.title}: a session was lost (${String(error)})`)
        return reader.close()
      },
    )
  }

  /**
   * This instance committed. It need not be told what it did itself, except objects in `reported`: those whose state
   * is not what the caller knows.
   */
  committed(commit: Committed, reported: ReadonlySet<Oid>): void {
    // Nobody else committed between what we had seen and our own commit: then we have seen that too.
    const isSeen = this.#view === undefined && commit.previous === this.#seen && reported.size === 0
    if (isSeen) this.#seen = commit.tid
    else this.#own.set(commit.tid, reported)
  }

  get hasTransaction(): boolean {
    return this.#transaction?.hasEnded === false
  }

  /** `reader` still shows the snapshot of this instance. */
  isReading(reader: Reader): boolean {
    return this.#reader === reader
  }

  // --- Loading ---

  load(oid: Oid): Awaitable<Revision> {
    const reader = this.#snapshotReader()
    if (this.#prefetched.size > 0 && this.#prefetched.has(oid)) {
      return this.#handOut(oid, this.#prefetched.get(oid))
    }
    const cached = this.#view?.find(oid)
    if (cached !== undefined) {
      this.#count(cached)
      return cached
    }
    const snapshot = this.#view?.snapshot
    const row = reader.load(oid)
    if (isPromise(row)) return row.then((found) => this.#handOut(oid, this.#fetched(found, snapshot)))
    return this.#handOut(oid, this.#fetched(row, snapshot))
  }

  /** @param snapshot that was asked; it may have ended meanwhile */
  #fetched(row: Row | undefined, snapshot: SnapshotMark | undefined): Revision | undefined {
    if (row === undefined || row.data === null) return undefined
    const { oid, serial, data } = row
    this.#store.counters.backendLoads++
    if (snapshot !== undefined) this.#view!.loaded(oid, serial, data, snapshot)
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
    const snapshot = this.#view?.snapshot
    return chain(reader.loadMany(wanted), (rows) => {
      for (const row of rows) revisions.set(row.oid, this.#fetched(row, snapshot))
      return handOut()
    })
  }

  /** Which of `oids` the backend must be asked for. @param found gets the others */
  #missing(oids: readonly Oid[], found: Map<Oid, Revision | undefined>): readonly Oid[] {
    const prefetched = this.#prefetched
    if (prefetched.size === 0 && this.#view === undefined) return oids
    return oids.filter((oid) => {
      if (prefetched.has(oid)) {
        found.set(oid, prefetched.get(oid))
        return false
      }
      const cached = this.#view?.find(oid)
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
    const prefetched = this.#prefetched
    const wanted = this.#missing(oids, prefetched)
    if (wanted.length === 0) return
    const snapshot = this.#view?.snapshot
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
    const key = this.#store.blobKey(this.#life, oid, await this.#serialOf(reader, oid))
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
    const known = this.#prefetched.get(oid) ?? this.#view?.find(oid)
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
      snapshotTid: this.#snapshotTid,
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
    await this.#endSnapshot()
    this.#view?.release()
  }

  #assertUsable(): void {
    this.#store.assertOpen()
    if (this.#released !== undefined) throw new ClosedError('the storage instance')
  }

  #snapshotReader(): Reader {
    this.#assertUsable()
    if (this.#reader === undefined) {
      throw new StorageTransactionError('no snapshot is open; call pollInvalidations first')
    }
    return this.#reader
  }
}
