/**
 * A transaction, on the client's side. Until the vote nothing is awaited: begin, stores and reads to be checked are
 * one-way messages that leave together with the vote, and with `commit` the finish leaves with them: one round trip.
 *
 * When the server cannot merge a conflict, and this client has a resolver of its own, the client merges and votes
 * again with the merged state.
 *
 * When the connection is lost while a finish is under way, the client connects again and asks what became of it.
 */

import {
  ClosedError,
  ConflictError,
  isTransient,
  ReadConflictError,
  ShootoutError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type {
  BlobSource,
  CommittedTransaction,
  Transaction,
  TransactionMetadata,
  VotedTransaction,
} from '../storage.ts'
import { type Change, ClientChanges } from './client-changes.ts'
import type { ClientInstance } from './client-instance.ts'
import { mergeHere } from './client-merge.ts'
import { askOutcome } from './client-outcome.ts'
import type { ClientStorage } from './client-storage.ts'
import { StoredBlobs } from './client-stored-blobs.ts'
import { undoHere } from './client-undo.ts'
import type { Link } from './link.ts'
import { types } from './protocol.ts'

type State = 'open' | 'voting' | 'voted' | 'finishing' | 'finished' | 'failed' | 'aborted'

/** How often a transaction is merged here and voted again; others may commit in between. */
const mergeRoundsMax = 20

/** Object id and serial, before the data. */
const storeFieldsBytes = 16

const nothing = new Uint8Array(0)

export class ClientTransaction implements Transaction, VotedTransaction {
  resolvedOids: readonly Oid[] = []
  readonly delete?: (oid: Oid, serial: Tid) => void
  readonly storeBlob?: (oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource) => Promise<void>
  readonly undo?: (tid: Tid) => Promise<readonly Oid[]>
  readonly #storage: ClientStorage
  readonly #instance: ClientInstance
  readonly #link: Link
  readonly #onEnd: () => void
  readonly #changes: ClientChanges
  readonly #undone = new Set<Oid>()
  /** Merged here. */
  readonly #merged = new Set<Oid>()
  readonly #blobs: StoredBlobs
  #state: State = 'open'

  constructor(
    storage: ClientStorage,
    instance: ClientInstance,
    link: Link,
    metadata: TransactionMetadata,
    onEnd: () => void,
  ) {
    this.#storage = storage
    this.#instance = instance
    this.#link = link
    this.#onEnd = onEnd
    this.#blobs = new StoredBlobs(storage, link, instance.number)
    this.#changes = new ClientChanges(link, instance.number, metadata, () => storage.nextTransactionNumber())
    if (storage.capabilities.deletion)
      this.delete = (oid, serial) => this.#change(oid, serial, null, 'delete')
    if (storage.capabilities.blobs)
      this.storeBlob = (oid, serial, data, source) => this.#storeBlob(oid, serial, data, source)
    if (storage.capabilities.undo) this.undo = (tid) => this.#undo(tid)
  }

  // --- One-way --------------------------------------------------------------------------------------------------------

  /** @throws ShootoutError `object-too-large`, which leaves the transaction as it was */
  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#checkSize(oid, data)
    this.#change(oid, serial, data, 'store')
  }

  #checkSize(oid: Oid, data: Uint8Array): void {
    const bytesMax = this.#link.welcome.messageBytesMax - storeFieldsBytes
    // The server would hang up, and repeating the transaction would not help.
    if (data.length > bytesMax) {
      throw new ShootoutError(
        'object-too-large',
        `object ${oid} takes ${data.length} bytes; the server accepts ${bytesMax}. Split it into several objects`,
        { details: { oid, bytes: data.length, bytesMax } },
      )
    }
  }

  /** Resolves when the served storage has all of the blob. */
  async #storeBlob(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void> {
    this.#expect('open', 'storeBlob')
    this.#checkSize(oid, data)
    if (serial === noTid) this.#storage.lease.avoid(oid)
    try {
      await this.#blobs.store(oid, serial, data, source)
      this.#changes.byOid.set(oid, { oid, serial, data, hasBlob: true })
    } catch (error) {
      if (error instanceof ConflictError) this.#storage.counted.conflicts++
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  #change(oid: Oid, serial: Tid, data: Uint8Array | null, call: string): void {
    this.#expect('open', call)
    if (serial === noTid) this.#storage.lease.avoid(oid)
    this.#changes.put({ oid, serial, data })
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#expect('open', 'readCurrent')
    this.#changes.readCurrent(oid, serial)
  }

  async #undo(tid: Tid): Promise<readonly Oid[]> {
    this.#expect('open', 'undo')
    this.#storage.counted.roundTrips++
    try {
      const fields = this.#link.fields.id(tid).take()
      const oids = await this.#link.call(types.undo, this.#instance.number, fields, (body) => body.oids())
      for (const oid of oids) this.#undone.add(oid)
      return oids
    } catch (error) {
      const undone = await this.#undoHere(tid, error)
      if (undone !== undefined) return undone
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  /** The server could not merge later changes; perhaps our own resolver can. Undefined where that is not so. */
  async #undoHere(tid: Tid, error: unknown): Promise<readonly Oid[] | undefined> {
    const { resolveConflict } = this.#storage.context
    if (!(error instanceof ShootoutError) || error.code !== 'undo' || this.#state !== 'open') return undefined
    if (resolveConflict === undefined || this.#undone.size > 0 || this.#changes.hasBlobs) return undefined
    const undone = await undoHere(this.#storage, this.#instance, resolveConflict, this.#changes.byOid, tid)
    if (undone === undefined) return undefined
    this.#expect('open', 'undo')
    for (const change of undone) {
      this.#changes.byOid.set(change.oid, change)
      this.#undone.add(change.oid)
      this.#merged.add(change.oid)
    }
    // The server has broken its transaction off: all of it is sent again.
    this.#changes.sendAgain()
    return undone.map(({ oid }) => oid)
  }

  // --- Two-phase commit -----------------------------------------------------------------------------------------------

  async vote(): Promise<VotedTransaction> {
    this.#expect('open', 'vote')
    this.#state = 'voting'
    try {
      for (let round = 0; ; round++) {
        try {
          this.#storage.counted.roundTrips++
          await this.#requestVote()
          break
        } catch (error) {
          await this.#mergeOrThrow(error, round)
        }
      }
      if (this.#storage.isClosed) {
        this.#link.tell(types.abort, this.#instance.number)
        throw new ClosedError('the storage')
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#expect('voting', 'vote')
    this.#state = 'voted'
    this.#storage.voted(this)
    return this
  }

  /** Vote and finish in one round trip: the finish is sent at once, and the server drops it when the vote fails. */
  async commit(onTid?: (tid: Tid) => void): Promise<CommittedTransaction> {
    this.#expect('open', 'commit')
    this.#state = 'voting'
    this.#storage.voted(this)
    try {
      for (let round = 0; ; round++) {
        this.#storage.counted.roundTrips++
        const voting = this.#requestVote()
        const finishing = this.#requestFinish(onTid)
        // Which of the two fails first decides; the other one has nothing to add.
        finishing.catch(() => {})
        try {
          await voting
        } catch (error) {
          if (this.#link.isLost && isTransient(error)) {
            return { tid: await this.#askOutcome(error, onTid), resolvedOids: this.resolvedOids }
          }
          await this.#mergeOrThrow(error, round)
          continue
        }
        return { tid: await this.#settled(finishing, onTid), resolvedOids: this.resolvedOids }
      }
    } catch (error) {
      this.#storage.ended(this)
      if (this.#isFinished) throw error
      this.#fail(error)
    }
  }

  async finish(onTid?: (tid: Tid) => void): Promise<Tid> {
    this.#expect('voted', 'finish')
    this.#state = 'finishing'
    this.#storage.counted.roundTrips++
    try {
      if (this.#link.isLost) throw this.#link.lostError()
      return await this.#settled(this.#requestFinish(onTid), onTid)
    } catch (error) {
      this.#end('finished')
      throw error
    }
  }

  abort(): void {
    // What the server has been asked to finish can no longer be called back.
    if (this.#state === 'finishing' || this.#state === 'finished' || this.#state === 'aborted') return
    this.#blobs.stop(new StorageTransactionError('storeBlob: the transaction was aborted meanwhile'))
    if (!this.#link.isLost) this.#link.tell(types.abort, this.#instance.number)
    this.#end('aborted')
  }

  get #isFinished(): boolean {
    return this.#state === 'finished'
  }

  async #requestVote(): Promise<void> {
    const resolved = await this.#link.call(types.vote, this.#instance.number, nothing, (body) => body.oids())
    this.resolvedOids = this.#merged.size === 0 ? resolved : [...new Set([...this.#merged, ...resolved])]
  }

  /** The transaction is committed for this client, and visible to its instances, when the answer arrives. */
  #requestFinish(onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    return this.#link.call(types.finish, this.#instance.number, nothing, (body) =>
      this.#committed(body.tid(), onTid),
    )
  }

  /** @param isKnown what was stored is what this client has sent, except for `resolvedOids` */
  #committed(tid: Tid, onTid: ((tid: Tid) => void) | undefined, isKnown = true): Tid {
    const { counted } = this.#storage
    counted.commits++
    counted.stores += this.#changes.byOid.size
    for (const { data } of this.#changes.byOid.values()) counted.storedBytes += data?.length ?? 0
    for (const oid of this.#undone) if (!this.#changes.byOid.has(oid)) counted.stores++
    for (const oid of this.resolvedOids) if (!this.#undone.has(oid)) counted.resolvedConflicts++
    if (isKnown) {
      this.#storage.cache?.committed(tid, this.#storedAsSent())
      this.#blobs.place(tid, this.#storedAsSent())
    }
    try {
      onTid?.(tid)
    } finally {
      this.#storage.advance(tid)
      this.#end('finished')
    }
    return tid
  }

  *#storedAsSent(): Generator<Change> {
    const others = new Set([...this.resolvedOids, ...this.#undone])
    for (const change of this.#changes.byOid.values()) if (!others.has(change.oid)) yield change
  }

  async #settled(finishing: Promise<Tid>, onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    try {
      return await finishing
    } catch (error) {
      if (this.#isFinished || !this.#link.isLost || !isTransient(error)) throw error
      return await this.#askOutcome(error, onTid)
    }
  }

  /** The connection was lost after the finish had been sent. */
  async #askOutcome(cause: unknown, onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    const named = { view: this.#instance.number, number: this.#changes.number }
    const tid = await askOutcome(this.#storage, this.#link, named, cause)
    // The answer to the vote may have been lost too: nobody knows whether the server has merged anything.
    return this.#committed(tid, onTid, false)
  }

  /** Merges the object in conflict and sends everything again; or throws what the vote threw. */
  async #mergeOrThrow(error: unknown, round: number): Promise<void> {
    const { resolveConflict } = this.#storage.context
    if (!(error instanceof ConflictError) || resolveConflict === undefined) throw error
    const change = this.#changes.byOid.get(error.oid)
    if (change === undefined || this.#undone.size > 0 || round >= mergeRoundsMax) throw error
    // There is no merging of blobs, and what was streamed cannot be sent again.
    if (this.#state !== 'voting' || this.#changes.hasBlobs) throw error
    await mergeHere(this.#storage, this.#instance, resolveConflict, change, error)
    this.#merged.add(change.oid)
    this.#expect('voting', 'vote')
    this.#changes.sendAgain()
  }

  // --- State ----------------------------------------------------------------------------------------------------------

  #fail(error: unknown): never {
    if (error instanceof ConflictError || error instanceof ReadConflictError)
      this.#storage.counted.conflicts++
    if (this.#state === 'voting') this.#state = 'failed'
    // Whatever crossed the abort on its way: who has aborted is told that, and not to repeat. That nobody knows whether
    // the transaction is committed is something else.
    if (this.#state === 'aborted' && isTransient(error))
      throw new StorageTransactionError('vote: the transaction was aborted meanwhile', { cause: error })
    throw error
  }

  #end(state: State): void {
    this.#state = state
    this.#blobs.end()
    this.#storage.ended(this)
    this.#onEnd()
  }

  #expect(state: State, call: string): void {
    if (state === 'open') this.#storage.checkOpen()
    if (this.#blobs.isStoring) throw new StorageTransactionError(`${call}: a blob is being stored`)
    if (this.#state === state) return
    throw new StorageTransactionError(`${call}: the transaction is ${described[this.#state]}`)
  }
}

const described: Readonly<Record<State, string>> = {
  open: 'open but has not voted',
  voting: 'voting',
  voted: 'voted already; finish or abort it',
  finishing: 'being finished',
  finished: 'finished',
  failed: 'broken by an earlier error; abort it',
  aborted: 'aborted',
}
