/**
 * The two-phase commit over a writer session. Until the vote everything stays in memory and no statement is issued; the
 * vote borrows a writer, takes the locks, and resolves conflicts; finish sends the data and commits.
 */

import { attempt, chain, isPromise } from '../../core/awaitable.ts'
import {
  ConflictError,
  DisconnectedError,
  ObjectNotFoundError,
  ReadConflictError,
  ShootoutError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { after, noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { IncomingBlob } from '../cache/blobs/incoming-blob.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { Awaitable, BlobSource, Transaction, TransactionMetadata, VotedTransaction } from '../storage.ts'
import {
  type Change,
  type Committed,
  cancelledError,
  type Expectation,
  type Reader,
  type Row,
  type Writer,
} from './adapter.ts'
import type { SqlInstance } from './instance.ts'
import type { SqlStore } from './sql-storage.ts'
import { undoChanges } from './undo.ts'

/** Open: changes may be added. Failed: only abort is left. */
type State = 'open' | 'storing a blob' | 'voting' | 'voted' | 'finishing' | 'failed' | 'ended'

interface Outcome {
  readonly tid: Tid
  /** What `onTid` threw. It does not undo the commit. */
  readonly failure: { readonly error: unknown } | undefined
}

export interface TransactionStart {
  readonly metadata: TransactionMetadata
  /** Shows the snapshot in which the transaction began, while that is open. */
  readonly reader: Reader
  readonly snapshotTid: Tid
}

/** Between two signals to a vote that is to give up. */
const cancelPauseMs = 50

export class SqlTransaction implements Transaction, VotedTransaction {
  readonly undo?: NonNullable<Transaction['undo']>
  /** Blobs that were written down for this transaction. */
  readonly #newBlobs: number[] = []
  /** What the cache of blobs has of them, by their ids. */
  readonly #copies = new Map<number, IncomingBlob>()
  readonly #store: SqlStore
  readonly #instance: SqlInstance
  readonly #start: TransactionStart
  readonly #changes = new Map<Oid, Change>()
  readonly #expectations = new Map<Oid, Expectation>()
  readonly #resolved = new Set<Oid>()
  #ordered: readonly Change[] = []
  #state: State = 'open'
  #writer: Writer | undefined
  /** The vote or finish that is under way; abort waits for it. */
  #working: Promise<unknown> | undefined
  #votedEnded: (() => void) | undefined
  /** Aborted while it votes. */
  #isUnwanted = false

  constructor(store: SqlStore, instance: SqlInstance, start: TransactionStart) {
    this.#store = store
    this.#instance = instance
    this.#start = start
    if (store.adapter.keepsHistory) this.undo = (tid) => this.#undo(tid)
  }

  get hasEnded(): boolean {
    return this.#state === 'ended'
  }

  get resolvedOids(): readonly Oid[] {
    return [...this.#resolved]
  }

  // --- Before the vote ---

  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#assertState('open', 'store')
    this.#changes.set(oid, { oid, base: serial, data })
    this.#resolved.delete(oid)
    this.#instance.skipOid(oid)
  }

  async storeBlob(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void> {
    this.#assertState('open', 'storeBlob')
    this.#state = 'storing a blob'
    this.#instance.skipOid(oid)
    try {
      const blob = await this.#store.uploadBlob(
        source,
        () => this.#assertState('storing a blob', 'storeBlob'),
        this.#copies,
      )
      this.#newBlobs.push(blob.id)
      // Aborted while its session was given back: abort has not heard of it.
      if (this.hasEnded) await this.#dropBlobs()
      this.#assertState('storing a blob', 'storeBlob')
      this.#state = 'open'
      this.#changes.set(oid, { oid, base: serial, data, blob })
      this.#resolved.delete(oid)
    } catch (error) {
      if (this.#state === 'storing a blob') this.#state = 'failed'
      throw error
    }
  }

  delete(oid: Oid, serial: Tid): void {
    this.#assertState('open', 'delete')
    this.#changes.set(oid, { oid, base: serial, data: null })
    this.#resolved.delete(oid)
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#assertState('open', 'readCurrent')
    const earlier = this.#expectations.get(oid)
    // Both cannot be current, so the one that is wrong must be kept.
    if (earlier === undefined || earlier.serial > serial) this.#expectations.set(oid, { oid, serial })
  }

  async #undo(tid: Tid): Promise<readonly Oid[]> {
    this.#assertState('open', 'undo')
    try {
      const undone = await this.#store.withReader((reader) =>
        undoChanges(reader, tid, this.#changes, this.#store.context.resolveConflict),
      )
      this.#assertState('open', 'undo')
      for (const change of undone) {
        this.#changes.set(change.oid, change)
        this.#resolved.add(change.oid)
      }
      return undone.map((change) => change.oid)
    } catch (error) {
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  // --- Vote ---

  vote(): Awaitable<VotedTransaction> {
    this.#assertState('open', 'vote')
    this.#store.assertOpen()
    this.#state = 'voting'
    this.#ordered = [...this.#changes.values()].sort((a, b) => a.oid - b.oid)
    const voted = attempt(
      () =>
        chain(this.#store.writers.take(), (writer) => {
          this.#writer = writer
          // Aborted while a session was opened.
          if (this.#isUnwanted) throw cancelledError()
          const expectations = [...this.#expectations.values()]
            .filter(({ oid }) => !this.#changes.has(oid))
            .sort((a, b) => a.oid - b.oid)
          return chain(writer.vote(this.#ordered, expectations), (rows) => this.#detect(rows))
        }),
      (error) => this.#fail(error),
    )
    return this.#work(chain(voted, () => this.#becomeVoted()))
  }

  #becomeVoted(): VotedTransaction {
    this.#state = 'voted'
    const { voted } = this.#store
    const ended = new Promise<void>((resolve) => {
      this.#votedEnded = () => {
        voted.delete(ended)
        resolve()
      }
    })
    voted.add(ended)
    return this
  }

  /** @param rows what is current where it is not what we started from */
  #detect(rows: readonly Row[]): Awaitable<void> {
    const current = new Map(rows.map((row) => [row.oid, row]))
    for (const expectation of this.#expectations.values()) this.#checkRead(expectation, current)
    for (const change of this.#ordered) this.#checkDeletion(change, current.get(change.oid))
    const conflicting = rows.filter(({ oid, data }) => {
      const change = this.#changes.get(oid)
      // Who found no object has no serial to name: making a deleted object anew is no conflict.
      return change !== undefined && !(change.base === noTid && data === null)
    })
    if (conflicting.length === 0) return
    for (const { oid, serial, data } of conflicting) {
      // Whoever repeats this transaction will ask for it.
      if (data !== null) this.#store.index?.passedBy(oid, serial, data)
    }
    return chain(this.#bases(conflicting), (bases) => {
      for (const row of conflicting) this.#resolve(row, bases.get(row.oid))
      this.#ordered = this.#ordered.map((change) => this.#changes.get(change.oid)!)
    })
  }

  #checkRead({ oid, serial }: Expectation, current: ReadonlyMap<Oid, Row>): void {
    const row = current.get(oid)
    // An object that is stored too was compared with the base of the change.
    const currentSerial = row?.serial ?? this.#changes.get(oid)?.base ?? serial
    const isStillMissing = serial === noTid && row !== undefined && row.data === null
    if (currentSerial !== serial && !isStillMissing) throw new ReadConflictError(oid, currentSerial, serial)
  }

  #checkDeletion({ oid, base, data }: Change, row: Row | undefined): void {
    const isMissing = base === noTid && (row === undefined || row.data === null)
    if (data === null && isMissing && !this.#resolved.has(oid)) throw new ObjectNotFoundError(oid)
  }

  /** The states that the conflicting changes started from. */
  #bases(rows: readonly Row[]): Awaitable<ReadonlyMap<Oid, Uint8Array>> {
    const bases = new Map<Oid, Uint8Array>()
    if (this.#store.context.resolveConflict === undefined) return bases
    const { index } = this.#store
    for (const { oid } of rows) {
      const base = index?.cache.get(oid, this.#changes.get(oid)!.base)
      if (base !== undefined) bases.set(oid, base.data)
    }
    const isMissing = ({ oid }: Row): boolean => !bases.has(oid) && this.#changes.get(oid)!.base !== noTid
    const wanted = rows.filter(isMissing)
    const { reader } = this.#start
    // Almost always the snapshot still shows them, in one request.
    const canAsk = wanted.length > 0 && this.#instance.isReading(reader)
    return chain(canAsk ? reader.loadMany(wanted.map((row) => row.oid)) : [], (found) => {
      for (const { oid, serial, data } of found) {
        if (data !== null && serial === this.#changes.get(oid)!.base) bases.set(oid, data)
      }
      const missing = wanted.filter(isMissing)
      if (missing.length === 0 || !this.#store.adapter.keepsHistory) return bases
      return this.#store.withReader((past) => this.#pastBases(past, missing, bases))
    })
  }

  async #pastBases(reader: Reader, rows: readonly Row[], bases: Map<Oid, Uint8Array>): Promise<typeof bases> {
    for (const { oid } of rows) {
      const { base } = this.#changes.get(oid)!
      const past = await reader.loadBefore(oid, after(base))
      if (past?.serial === base && past.data !== null) bases.set(oid, past.data)
    }
    return bases
  }

  #resolve(row: Row, base: Uint8Array | undefined): void {
    const change = this.#changes.get(row.oid)!
    const hasBlob = change.blob !== undefined || row.hasBlob === true
    const merged = resolveOrThrow(hasBlob ? undefined : this.#store.context.resolveConflict, {
      oid: row.oid,
      baseSerial: change.base,
      base,
      committed: { serial: row.serial, data: row.data },
      mine: change.data,
    })
    this.#changes.set(row.oid, { oid: row.oid, base: row.serial, data: merged })
    this.#resolved.add(row.oid)
    this.#store.counters.resolvedConflicts++
  }

  /** Drops every lock at once, before the caller hears of the error. */
  #fail(error: unknown): Awaitable<never> {
    this.#state = 'failed'
    this.#votedEnded?.()
    if (error instanceof ConflictError || error instanceof ReadConflictError) this.#store.counters.conflicts++
    return chain(this.#giveUpWriter(), () => {
      throw error
    })
  }

  // --- Finish ---

  finish(onTid?: (tid: Tid) => void): Awaitable<Tid> {
    this.#assertState('voted', 'finish')
    this.#state = 'finishing'
    const writer = this.#writer!
    const committed = attempt(
      () => writer.finish(this.#ordered, this.#start.metadata),
      (error) => this.#fail(error instanceof DisconnectedError ? this.#unknown(error) : error),
    )
    if (!isPromise(committed)) return this.#afterCommit(writer, this.#committed(committed, onTid))
    const told = this.#store.commitOrder.follow(committed, (commit) => this.#committed(commit, onTid))
    const first = this.#ordered[0]
    if (first !== undefined) this.#announce(told, first.oid)
    return this.#work(told.then((outcome) => this.#afterCommit(writer, outcome)))
  }

  /** The answer to a commit was lost. Repeating it might do everything twice, so nobody may do that unasked. */
  #unknown(cause: DisconnectedError): ShootoutError {
    return new ShootoutError(
      'commit-unknown',
      `${this.#store.adapter.title}: the connection was lost while committing; whether the transaction was committed must be looked up before it is repeated`,
      { cause },
    )
  }

  /** Until `finished`, no other instance may open a snapshot that shows this transaction. */
  #announce(finished: Promise<unknown>, oid: Oid): void {
    const settled = finished.then(
      () => {},
      () => {},
    )
    this.#store.finishing.set(settled, oid)
    void settled.then(() => this.#store.finishing.delete(settled))
  }

  /** The transaction is durable: tells the caller, then everybody. Nothing may be awaited in here. */
  #committed(commit: Committed, onTid: ((tid: Tid) => void) | undefined): Outcome {
    const { counters } = this.#store
    counters.commits++
    counters.stores += this.#ordered.length
    for (const { data } of this.#ordered) counters.storedBytes += data?.length ?? 0
    this.#store.index?.committed(commit.tid, this.#ordered, commit.previous)
    this.#instance.committed(commit, this.#reported())
    this.#placeCopies(commit.tid)
    let failure: Outcome['failure']
    try {
      onTid?.(commit.tid)
    } catch (error) {
      failure = { error }
    }
    this.#store.sawTid(commit.tid)
    return { tid: commit.tid, failure }
  }

  /** Nobody waits for it: whoever reads one of them before it is in its place asks the database. */
  #placeCopies(tid: Tid): void {
    for (const { oid, blob } of this.#ordered) {
      const copy = blob && this.#copies.get(blob.id)
      if (copy === undefined) continue
      this.#copies.delete(blob!.id)
      void copy.place(this.#store.blobKey(this.#instance.life, oid, tid)).then(() => copy.close())
    }
  }

  #afterCommit(writer: Writer, { tid, failure }: Outcome): Awaitable<Tid> {
    this.#writer = undefined
    this.#end()
    const ended = chain(this.#store.writers.giveBack(writer), () => this.#dropBlobs())
    return chain(ended, () => {
      if (failure !== undefined) throw failure.error
      return tid
    })
  }

  /** Objects whose committed state, or whose past since the snapshot, the caller cannot know. */
  #reported(): ReadonlySet<Oid> {
    const reported = new Set(this.#resolved)
    for (const { oid, base } of this.#ordered) if (base > this.#start.snapshotTid) reported.add(oid)
    return reported
  }

  // --- The end ---

  async abort(): Promise<void> {
    if (this.#state === 'ended') return
    if (this.#working !== undefined) {
      if (this.#state === 'voting') await this.#cancelVote(this.#working)
      await this.#working
      if (this.hasEnded) return
    }
    this.#end()
    await this.#giveUpWriter()
    await this.#dropBlobs()
  }

  /** Those that the commit has not taken over: all of them after an abort. */
  #dropBlobs(): Awaitable<void> {
    if (this.#newBlobs.length === 0) return
    const ids = this.#newBlobs.splice(0)
    for (const copy of this.#copies.values()) copy.drop()
    this.#copies.clear()
    return attempt(
      () => this.#store.dropBlobs(ids),
      // They are swept by a later pack.
      (error) =>
        this.#store.context.log(`${this.#store.adapter.title}: blobs were left behind (${String(error)})`),
    )
  }

  /**
   * A signal may come before the server has begun with the vote, and then ends nothing; so it is repeated until the vote
   * has ended, one way or the other.
   */
  async #cancelVote(vote: Promise<unknown>): Promise<void> {
    this.#isUnwanted = true
    while (this.#state === 'voting' && this.#working === vote) {
      await this.#writer?.cancelVote()
      await endedWithin(vote, cancelPauseMs)
    }
  }

  #end(): void {
    this.#state = 'ended'
    this.#votedEnded?.()
    this.#votedEnded = undefined
  }

  #giveUpWriter(): Awaitable<void> {
    const writer = this.#writer
    if (writer === undefined) return
    this.#writer = undefined
    return attempt(
      () => chain(writer.abort(), () => this.#store.writers.giveBack(writer)),
      // A session that cannot roll back has gone, and its transaction with it.
      (error) => {
        this.#store.context.log(`${this.#store.adapter.title}: a session was lost (${String(error)})`)
        return writer.close()
      },
    )
  }

  #work<T>(result: Awaitable<T>): Awaitable<T> {
    if (!isPromise(result)) return result
    this.#working = result
      .catch(() => {})
      .then(() => {
        this.#working = undefined
      })
    return result
  }

  #assertState(wanted: State, what: string): void {
    if (this.#state === wanted) return
    throw new StorageTransactionError(`${what} is not possible now: the transaction is ${this.#state}`)
  }
}

/** Resolves when `work` has ended, or after this long. It never fails. */
function endedWithin(work: Promise<unknown>, durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, durationMs)
    void work.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
