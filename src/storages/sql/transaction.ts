/**
 * The two-phase commit over a writer session. Until the vote everything stays in memory and no statement is issued; the
 * vote borrows a writer, takes the locks, and resolves conflicts; finish sends the data and commits. `commit` does both in
 * one request where nobody is in the way.
 */

import { attempt, chain, isPromise } from '../../core/awaitable.ts'
import {
  ConflictError,
  DisconnectedError,
  ReadConflictError,
  ShootoutError,
  StorageTransactionError,
} from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type {
  Awaitable,
  BlobSource,
  CommittedTransaction,
  Transaction,
  TransactionMetadata,
  VotedTransaction,
} from '../storage.ts'
import { type Change, type Committed, cancelledError, type Reader, type Row, type Writer } from './adapter.ts'
import type { SqlInstance } from './instance.ts'
import type { SqlStore } from './sql-storage.ts'
import { TransactionBlobs } from './transaction-blobs.ts'
import { undoChanges } from './undo.ts'
import { VoteConflicts } from './vote-conflicts.ts'
import { Wanted } from './wanted.ts'

/** Open: changes may be added. Failed: only abort is left. */
type State = 'open' | 'storing a blob' | 'committing' | 'voting' | 'voted' | 'finishing' | 'failed' | 'ended'

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
  readonly #blobs: TransactionBlobs
  readonly #store: SqlStore
  readonly #instance: SqlInstance
  readonly #start: TransactionStart
  readonly #wanted = new Wanted()
  #ordered: readonly Change[] = []
  #state: State = 'open'
  #writer: Writer | undefined
  /** The vote, finish or commit that is under way; abort waits for it. */
  #working: Promise<unknown> | undefined
  #votedEnded: (() => void) | undefined
  /** Aborted while it votes or commits. */
  #isUnwanted = false

  constructor(store: SqlStore, instance: SqlInstance, start: TransactionStart) {
    this.#store = store
    this.#instance = instance
    this.#start = start
    this.#blobs = new TransactionBlobs(store)
    if (store.adapter.keepsHistory) this.undo = (tid) => this.#undo(tid)
  }

  get hasEnded(): boolean {
    return this.#state === 'ended'
  }

  get resolvedOids(): readonly Oid[] {
    return [...this.#wanted.resolved]
  }

  // --- Before the vote ---

  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#assertState('open', 'store')
    this.#wanted.put({ oid, base: serial, data })
    this.#instance.skipOid(oid)
  }

  async storeBlob(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void> {
    this.#assertState('open', 'storeBlob')
    this.#state = 'storing a blob'
    this.#instance.skipOid(oid)
    try {
      const blob = await this.#blobs.upload(source, () => this.#assertState('storing a blob', 'storeBlob'))
      // Aborted while its session was given back: abort has not heard of it.
      if (this.hasEnded) await this.#blobs.drop()
      this.#assertState('storing a blob', 'storeBlob')
      this.#state = 'open'
      this.#wanted.put({ oid, base: serial, data, blob })
    } catch (error) {
      if (this.#state === 'storing a blob') this.#state = 'failed'
      throw error
    }
  }

  delete(oid: Oid, serial: Tid): void {
    this.#assertState('open', 'delete')
    this.#wanted.put({ oid, base: serial, data: null })
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#assertState('open', 'readCurrent')
    this.#wanted.expect(oid, serial)
  }

  async #undo(tid: Tid): Promise<readonly Oid[]> {
    this.#assertState('open', 'undo')
    try {
      const undone = await this.#store.withReader((reader) =>
        undoChanges(reader, tid, this.#wanted.changes, this.#store.context.resolveConflict),
      )
      this.#assertState('open', 'undo')
      for (const change of undone) this.#wanted.putResolved(change)
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
    const voted = attempt(
      () =>
        chain(this.#takeWriter(), (writer) => {
          this.#ordered = this.#wanted.orderedChanges()
          const expectations = this.#wanted.orderedExpectations()
          return chain(
            writer.vote(this.#ordered, expectations, () => this.#instance.giveUpSnapshot(this.#start.reader)),
            (rows) => this.#settle(rows),
          )
        }),
      (error) => this.#fail(error),
    )
    return this.#work(chain(voted, () => this.#becomeVoted()))
  }

  #takeWriter(): Awaitable<Writer> {
    return chain(this.#writer ?? this.#store.writers.take(), (writer) => {
      this.#writer = writer
      // Aborted while a session was opened.
      if (this.#isUnwanted) throw cancelledError()
      return writer
    })
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

  #settle(rows: readonly Row[]): Awaitable<void> {
    const conflicts = new VoteConflicts(this.#store, this.#instance, this.#start.reader, this.#wanted)
    return chain(conflicts.settle(rows), () => {
      if (rows.length > 0) this.#ordered = this.#wanted.orderedChanges()
    })
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
    const outcome = this.#sent(() => writer.finish(this.#ordered, this.#start.metadata), onTid)
    return this.#work(chain(outcome, (committed) => this.#afterCommit(writer, committed!)))
  }

  /** What `send` commits is told in its turn. Undefined: it did not commit. */
  #sent(
    send: () => Awaitable<Committed | undefined>,
    onTid: ((tid: Tid) => void) | undefined,
  ): Awaitable<Outcome | undefined> {
    const answer = attempt(send, (error) =>
      this.#fail(error instanceof DisconnectedError ? this.#unknown(error) : error),
    )
    if (!isPromise(answer)) return answer && this.#committed(answer, onTid)
    const told = this.#store.commitOrder.follow(answer, (commit) => this.#committed(commit, onTid))
    const first = this.#ordered[0]
    if (first !== undefined) this.#announce(told, first.oid)
    return told
  }

  /** There was no answer to a commit. Repeating it might do everything twice, so nobody may do that unasked. */
  #unknown(cause: DisconnectedError): ShootoutError {
    return new ShootoutError(
      'commit-unknown',
      `${this.#store.adapter.title}: the answer to a commit was lost; whether the transaction was committed must be looked up before it is repeated`,
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
    this.#instance.committed(commit, this.#wanted.unknownSince(this.#start.snapshotTid))
    this.#blobs.place(this.#ordered, this.#instance.life, commit.tid)
    let failure: Outcome['failure']
    try {
      onTid?.(commit.tid)
    } catch (error) {
      failure = { error }
    }
    this.#store.sawTid(commit.tid)
    return { tid: commit.tid, failure }
  }

  #afterCommit(writer: Writer, { tid, failure }: Outcome): Awaitable<Tid> {
    this.#writer = undefined
    this.#end()
    const ended = chain(this.#store.writers.giveBack(writer), () => this.#blobs.drop())
    return chain(ended, () => {
      if (failure !== undefined) throw failure.error
      return tid
    })
  }

  // --- Both at once ---

  commit(onTid?: (tid: Tid) => void): Awaitable<CommittedTransaction> {
    this.#assertState('open', 'commit')
    this.#store.assertOpen()
    const committed = chain(
      this.#wanted.needsVote ? undefined : this.#commitAtOnce(onTid),
      (tid) => tid ?? chain(this.vote(), (voted) => voted.finish(onTid)),
    )
    return chain(committed, (tid) => ({ tid, resolvedOids: this.resolvedOids }))
  }

  /** Undefined: nothing has happened, and the transaction is as it was. */
  #commitAtOnce(onTid: ((tid: Tid) => void) | undefined): Awaitable<Tid | undefined> {
    this.#state = 'committing'
    const outcome = chain(
      attempt(
        () => this.#takeWriter(),
        (error) => this.#fail(error),
      ),
      (writer) => {
        if (writer.commit === undefined) return undefined
        this.#ordered = this.#wanted.orderedChanges()
        const expectations = this.#wanted.orderedExpectations()
        return this.#sent(() => writer.commit!(this.#ordered, expectations, this.#start.metadata), onTid)
      },
    )
    return this.#work(
      chain(outcome, (committed) => {
        if (committed !== undefined) return this.#afterCommit(this.#writer!, committed)
        if (this.#isUnwanted) return this.#fail(cancelledError())
        this.#state = 'open'
        return undefined
      }),
    )
  }

  // --- The end ---

  async abort(): Promise<void> {
    if (this.#state === 'ended') return
    if (this.#working !== undefined) {
      this.#isUnwanted = true
      if (this.#state === 'voting') await this.#cancelVote(this.#working)
      await this.#working
      if (this.hasEnded) return
    }
    this.#end()
    await this.#giveUpWriter()
    await this.#blobs.drop()
  }

  /**
   * A signal may come before the server has begun with the vote, and then ends nothing; so it is repeated until the vote
   * has ended, one way or the other.
   */
  async #cancelVote(vote: Promise<unknown>): Promise<void> {
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
    const working = result
      .catch(() => {})
      .then(() => {
        // The vote after a commit that was not possible at once may have begun.
        if (this.#working === working) this.#working = undefined
      })
    this.#working = working
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
