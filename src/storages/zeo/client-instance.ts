/**
 * One connection's view, on the client's side: the number of a view in the server, and what is known of its snapshot.
 *
 * The snapshot itself is in the server: loads are evaluated in it, and every answer says in which snapshot it was
 * evaluated, which must be the one this instance is in. Taking a snapshot and taking the list of changes is one step
 * there and arrives as one message here.
 *
 * When nobody else is writing, the server opens the next snapshot while the application is between transactions
 * ("ahead"), and `pollInvalidations` then answers without asking. The server says when such a snapshot has become old.
 */

import { ClosedError, DisconnectedError, ReadOnlyError, StorageTransactionError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
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
  type TransactionMetadata,
} from '../storage.ts'
import type { BodyReader } from './body.ts'
import { ClientBlobs } from './client-blobs.ts'
import { ClientReads } from './client-reads.ts'
import type { ClientStorage } from './client-storage.ts'
import { ClientTransaction } from './client-transaction.ts'
import type { Link } from './link.ts'
import {
  type Kept,
  type PollQuestion,
  readHistory,
  readSnapshot,
  readSnapshotWithChanges,
  type SentObject,
  type Snapshot,
  type Verified,
  writePollQuestion,
} from './messages.ts'
import { types } from './protocol.ts'

const nothing = new Uint8Array(0)
const noOids: ReadonlySet<Oid> = new Set()

export class ClientInstance implements StorageInstance {
  readonly number: number
  readonly openBlob?: (oid: Oid) => Promise<BlobReader | undefined>
  readonly history?: (oid: Oid, count: number) => Promise<readonly HistoryEntry[]>
  readonly #storage: ClientStorage
  /** Where the server has this view; undefined before the first poll, and when that connection was lost. */
  #link: Link | undefined
  #snapshotTid: Tid = noTid
  #isOpen = false
  #wasPolled = false
  /** Nobody can say what has changed since the last snapshot: the next poll reports everything. */
  #hasLostTrack = false
  /** Reported by snapshots that were opened ahead and never used. */
  #missed: Invalidations = noOids
  #ahead: Snapshot | undefined
  #arriving: Promise<void> | undefined
  /** The last poll reported nothing, so the next will probably report nothing either. */
  #isQuiet = false
  readonly #reads: ClientReads
  readonly #blobs: ClientBlobs
  #transaction: ClientTransaction | undefined
  #isReleased = false

  constructor(storage: ClientStorage, number: number) {
    this.#storage = storage
    this.number = number
    this.#reads = new ClientReads(storage, number, (tid) => this.#isOpen && this.#snapshotTid === tid)
    this.#blobs = new ClientBlobs(storage, number)
    if (storage.capabilities.blobs) this.openBlob = (oid) => this.#openBlob(oid)
    if (storage.capabilities.undo) this.history = (oid, count) => this.#history(oid, count)
  }

  get snapshotTid(): Tid {
    return this.#snapshotTid
  }

  // --- Snapshots ------------------------------------------------------------------------------------------------------

  pollInvalidations(): Awaitable<Invalidations> {
    this.#checkOpen()
    return this.#useAhead() ?? this.#poll()
  }

  async #poll(): Promise<Invalidations> {
    if (this.#arriving !== undefined) {
      await this.#arriving
      this.#checkOpen()
      const used = this.#useAhead()
      if (used !== undefined) return used
    }
    for (;;) {
      const link = await this.#storage.session.link()
      this.#checkOpen()
      if (this.#link !== link) this.loseLink()
      this.#link = link
      this.#storage.counted.roundTrips++
      try {
        const question = this.#reads.cached?.ask()
        return await link.call(types.poll, this.number, this.#fieldsOf(link, question), (body) => {
          const changed = this.#adopt(this.#readSnapshot(body, question))
          this.#isQuiet = changed !== 'all' && changed.size === 0
          return changed
        })
      } catch (error) {
        // Asking for a snapshot may be repeated on the next connection; nothing is lost but time.
        if (!(error instanceof DisconnectedError) || !link.isLost) throw error
      }
    }
  }

  #fieldsOf(link: Link, question: PollQuestion | undefined): Uint8Array {
    return question === undefined ? nothing : writePollQuestion(link.fields, question)
  }

  /** What came for the cache is taken in at once, also where the snapshot will never be used. */
  #readSnapshot(body: BodyReader, question: PollQuestion | undefined): Snapshot {
    if (question === undefined) return readSnapshot(body)
    const snapshot = readSnapshotWithChanges(body)
    const changed = this.#reads.cached!.arrived(question, snapshot)
    // The view in the server is new, and knows nothing of our earlier snapshots; the cache may.
    if (!this.#hasLostTrack || changed === 'all') return snapshot
    this.#hasLostTrack = false
    return { tid: snapshot.tid, invalidations: changed }
  }

  /** The instance is in this snapshot now. Returns what the poll reports. */
  #adopt({ tid, invalidations }: Snapshot): Invalidations {
    const changed = this.#hasLostTrack ? 'all' : union(this.#missed, invalidations)
    this.#hasLostTrack = false
    this.#missed = noOids
    this.#snapshotTid = tid
    this.#isOpen = true
    this.#wasPolled = true
    this.#reads.forget()
    this.#storage.advance(tid)
    return changed
  }

  #useAhead(): Invalidations | undefined {
    const ahead = this.#ahead
    if (ahead === undefined) return undefined
    this.#ahead = undefined
    this.#storage.ahead.delete(this)
    return this.#adopt(ahead)
  }

  afterCompletion(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#reads.forget()
    const link = this.#link
    if (link === undefined || link.isLost) return
    // The next poll often follows at once.
    if (!this.#isQuiet || this.#storage.alwaysAsk) link.tellSoon(types.complete, this.number)
    else this.#renew(link)
  }

  #renew(link: Link): void {
    const question = this.#reads.cached?.ask()
    const renewing = link.call(types.renew, this.number, this.#fieldsOf(link, question), (body) => {
      this.#arriving = undefined
      this.#arrive(link, this.#readSnapshot(body, question))
    })
    // It was nobody's wish: when it fails, the next poll asks again, and has the error if it persists.
    this.#arriving = renewing.catch(() => {
      this.#arriving = undefined
    })
  }

  #arrive(link: Link, snapshot: Snapshot): void {
    if (link !== this.#link || this.#isReleased) return
    this.#ahead = snapshot
    this.#storage.ahead.add(this)
    if (snapshot.tid < this.#storage.lastTid) this.dropAhead(this.#storage.lastTid)
    else this.#storage.advance(snapshot.tid)
  }

  /** The newest transaction is `tid`: a snapshot opened ahead that does not show it goes. */
  dropAhead(tid: Tid): void {
    const ahead = this.#ahead
    if (ahead === undefined || ahead.tid >= tid) return
    this.#ahead = undefined
    this.#storage.ahead.delete(this)
    this.#missed = union(this.#missed, ahead.invalidations)
    this.#isQuiet = false
    this.#link?.tell(types.complete, this.number)
  }

  /** The server's view is gone with its connection. */
  loseLink(): void {
    this.#link = undefined
    if (this.#ahead !== undefined) this.#missed = union(this.#missed, this.#ahead.invalidations)
    this.#ahead = undefined
    this.#arriving = undefined
    this.#storage.ahead.delete(this)
    this.#reads.forget()
    this.#hasLostTrack = this.#wasPolled
  }

  /** The store was emptied. */
  loseTrack(): void {
    if (this.#ahead !== undefined) {
      this.#ahead = undefined
      this.#storage.ahead.delete(this)
      this.#link?.tell(types.complete, this.number)
    }
    this.#reads.forget()
    this.#hasLostTrack = this.#wasPolled
  }

  /** @throws StorageTransactionError when a transaction is open */
  prepareZap(): void {
    if (this.#transaction !== undefined) {
      throw new StorageTransactionError('zap: an instance has an open transaction')
    }
    this.loseTrack()
  }

  // --- Reading --------------------------------------------------------------------------------------------------------

  load(oid: Oid): Awaitable<Revision> {
    return this.#reads.load(this.#reading(), this.#snapshotTid, oid)
  }

  loadMany(oids: readonly Oid[]): Awaitable<readonly (Revision | undefined)[]> {
    return this.#reads.loadMany(this.#reading(), this.#snapshotTid, oids)
  }

  async prefetch(oids: readonly Oid[], signal?: AbortSignal): Promise<void> {
    await this.#reads.prefetch(this.#reading(), this.#snapshotTid, oids, signal)
  }

  /** Objects have come without being waited for. */
  received(link: Link, snapshot: Tid, objects: readonly SentObject[]): void {
    if (link === this.#link) this.#reads.received(snapshot, objects)
  }

  /** Whether the snapshot shows what a cache has kept. */
  async verify(kept: readonly Kept[]): Promise<Verified> {
    return await this.#reads.verify(this.#reading(), kept)
  }

  async loadBefore(oid: Oid, before: Tid): Promise<RevisionSpan | undefined> {
    this.#checkOpen()
    // Through our own view where there is one: what its snapshot shows is kept for it.
    const found = await this.#storage.request((link) => {
      const view = link === this.#link ? this.number : 0
      return link.call(types.loadBefore, view, link.fields.id(oid).id(before).take(), readSpan)
    })
    if (found === undefined) return undefined
    const { counted } = this.#storage
    counted.loads++
    counted.backendLoads++
    counted.loadedBytes += found.data.length
    return found
  }

  async #history(oid: Oid, count: number): Promise<readonly HistoryEntry[]> {
    this.#checkOpen()
    const wanted = Math.min(count, 0xffff_ffff)
    return await this.#storage.request((link) =>
      link.call(types.history, 0, link.fields.id(oid).u32(wanted).take(), readHistory),
    )
  }

  async #openBlob(oid: Oid): Promise<BlobReader | undefined> {
    const link = this.#reading()
    const tid = this.#snapshotTid
    const serial = this.#storage.blobCache && this.#reads.cached?.find(oid)?.serial
    const isShown = () => this.#isOpen && this.#snapshotTid === tid && this.#link === link
    const reader = await this.#blobs.open(link, { oid, serial, isShown })
    if (this.#isReleased) {
      await reader?.close()
      this.#checkOpen()
    }
    return reader
  }

  /** Ends the readers of blobs. */
  closeBlobs(): Promise<void> {
    return this.#blobs.close()
  }

  newOids(count: number): Awaitable<readonly Oid[]> {
    this.#checkOpen()
    this.#storage.checkWritable()
    return this.#storage.lease.take(count)
  }

  // --- Writing --------------------------------------------------------------------------------------------------------

  begin(metadata: TransactionMetadata = emptyMetadata): ClientTransaction {
    const link = this.#writing()
    if (this.#transaction !== undefined) {
      throw new StorageTransactionError('begin: this instance has a transaction; finish or abort it first')
    }
    checkMetadata(metadata)
    const transaction = new ClientTransaction(this.#storage, this, link, metadata, () => {
      if (this.#transaction === transaction) this.#transaction = undefined
    })
    this.#transaction = transaction
    return transaction
  }

  async release(): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#isOpen = false
    this.#reads.forget()
    this.#storage.forgetInstance(this)
    this.#reads.cached?.release()
    this.#transaction?.abort()
    const closed = this.#blobs.close()
    this.#link?.tell(types.release, this.number)
    await closed
  }

  // --- Checks ---------------------------------------------------------------------------------------------------------

  #checkOpen(): void {
    if (this.#isReleased) throw new ClosedError('the storage instance')
    this.#storage.checkOpen()
  }

  #reading(): Link {
    this.#checkOpen()
    if (!this.#isOpen) throw new StorageTransactionError('load: this instance has no snapshot; poll first')
    return this.#living()
  }

  #writing(): Link {
    this.#checkOpen()
    if (this.#storage.context.readOnly === true) throw new ReadOnlyError('the storage')
    if (!this.#isOpen) throw new StorageTransactionError('begin: this instance has no snapshot; poll first')
    const link = this.#living()
    if (link.welcome.isReadOnly) throw new ReadOnlyError(`the server at ${link.address}`)
    return link
  }

  #living(): Link {
    if (this.#link === undefined || this.#link.isLost) {
      throw new DisconnectedError('zeo: the snapshot was lost with its connection; repeat the transaction')
    }
    return this.#link
  }
}

function readSpan(body: BodyReader): RevisionSpan | undefined {
  if (body.left === 0) return undefined
  const serial = body.tid()
  const next = body.tid()
  return { serial, nextSerial: next === noTid ? undefined : next, data: body.rest() }
}

function union(a: Invalidations, b: Invalidations): Invalidations {
  if (a === 'all' || b === 'all') return 'all'
  if (a.size === 0) return b
  return new Set([...a, ...b])
}
