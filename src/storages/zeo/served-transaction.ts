/**
 * One transaction of one view, in the server.
 *
 * Its first part is one-way: nobody waits for the answer to `store`, so the first error is kept and raised by the vote.
 * `finish` may lie in the queue before the vote has been counted; it fails when the vote fails, and touches nothing.
 */

import { ShootoutError, StorageTransactionError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type {
  Awaitable,
  StorageInstance,
  Transaction,
  TransactionMetadata,
  VotedTransaction,
} from '../storage.ts'
import type { CommitQueue } from './commit-queue.ts'

/** What a served transaction asks of the connection it came by. */
export interface Commits {
  readonly queue: CommitQueue
  /** False when the client has been told that this transaction will never be. */
  finishing(number: number): boolean
  /** Durable, and about to be seen by others: synchronously inside the served storage's `finish`. */
  announce(request: number, tid: Tid): void
  committed(number: number, request: number, tid: Tid): void
  lost(number: number): void
}

/** One object of a transaction. */
export interface ObjectChange {
  readonly oid: Oid
  /** It is relied upon, not changed. */
  readonly isRead?: boolean
  /** Of its data. */
  readonly bytes: number
}

/** What a change takes in memory beside its data, roughly: many small ones are a large transaction too. */
const changeBytes = 64

export class ServedTransaction {
  readonly number: number
  readonly #commits: Commits
  #transaction: Transaction | undefined
  #voted: VotedTransaction | undefined
  #isVoting = false
  #isFinishing = false
  #isEnded = false
  #error: unknown
  #bytes = 0
  readonly #wanted = { writes: new Set<Oid>(), reads: new Set<Oid>() }
  #leaveQueue: (() => void) | undefined

  constructor(number: number, commits: Commits) {
    this.number = number
    this.#commits = commits
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  get isVoting(): boolean {
    return this.#isVoting
  }

  /** Holds the served storage's locks and waits for its client. */
  get isVoted(): boolean {
    return this.#voted !== undefined && !this.#isFinishing && !this.#isEnded
  }

  begin(instance: StorageInstance, metadata: TransactionMetadata): void {
    this.#transaction = instance.begin(metadata)
  }

  /** The first error is the one that the vote raises; what follows it is not even tried. */
  fail(error: unknown): void {
    this.#error ??= error
  }

  /** One of the one-way calls. @param bytes counted against `bytesMax` */
  change(
    { oid, isRead = false, bytes }: ObjectChange,
    bytesMax: number,
    call: (transaction: Transaction) => Awaitable<void>,
  ): void | Promise<void> {
    if (this.#transaction === undefined || this.#error !== undefined || this.#isEnded) return
    this.#bytes += bytes + changeBytes
    if (this.#bytes > bytesMax) {
      this.fail(
        new ShootoutError(
          'transaction-too-large',
          `a transaction of more than ${bytesMax} bytes is not accepted; commit in smaller steps`,
          { details: { bytesMax } },
        ),
      )
      return
    }
    this.#wanted[isRead ? 'reads' : 'writes'].add(oid)
    try {
      const called = call(this.#transaction)
      if (called instanceof Promise) return called.catch((error: unknown) => this.fail(error))
    } catch (error) {
      this.fail(error)
    }
  }

  /** Unlike `store`, somebody waits for it. @throws the first error of the transaction */
  async storeBlob(
    change: ObjectChange,
    bytesMax: number,
    call: (transaction: Transaction) => Promise<void>,
  ): Promise<void> {
    await this.change(change, bytesMax, call)
    if (this.#error !== undefined) throw this.#error
    if (this.#isEnded) throw gone()
  }

  async undo(tid: Tid): Promise<readonly Oid[]> {
    const transaction = this.#open('undo')
    if (transaction.undo === undefined) {
      throw new ShootoutError('unsupported', 'undo: the served storage keeps no history')
    }
    try {
      const oids = await transaction.undo(tid)
      for (const oid of oids) this.#wanted.writes.add(oid)
      return oids
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  /** The resolved oids, when its turn has come. @throws the first error of the transaction; it is aborted then */
  vote(): Awaitable<readonly Oid[]> {
    try {
      this.#open('vote')
    } catch (error) {
      return this.#refuse(error)
    }
    const { turn, leave } = this.#commits.queue.enter(this.#wanted)
    this.#leaveQueue = leave
    if (turn === undefined) return this.#vote()
    this.#isVoting = true
    return turn.then(() => {
      this.#isVoting = false
      // Given up while it waited.
      return this.#isEnded ? this.#refuse(gone()) : this.#vote()
    })
  }

  #vote(): Awaitable<readonly Oid[]> {
    let voting: Awaitable<VotedTransaction>
    try {
      voting = this.#open('vote').vote()
    } catch (error) {
      return this.#refuse(error)
    }
    if (!(voting instanceof Promise)) return this.#accept(voting)
    this.#isVoting = true
    return voting.then(
      (voted) => {
        this.#isVoting = false
        if (!this.#isEnded) return this.#accept(voted)
        // It was aborted while it waited, but the storage had counted the vote already.
        return Promise.resolve(voted.abort()).then(() => this.#refuse(gone()))
      },
      (error: unknown) => {
        this.#isVoting = false
        return this.#refuse(error)
      },
    )
  }

  #accept(voted: VotedTransaction): readonly Oid[] {
    this.#voted = voted
    return voted.resolvedOids
  }

  async #refuse(error: unknown): Promise<never> {
    this.fail(error)
    await this.abort()
    throw error
  }

  finish(request: number): Awaitable<void> {
    if (this.#voted === undefined || this.#isEnded || this.#isFinishing) {
      throw new StorageTransactionError('finish: the vote has not succeeded')
    }
    if (!this.#commits.finishing(this.number)) throw gone()
    this.#isFinishing = true
    let announced: Tid | undefined
    const done = (tid: Tid): void => {
      this.#isEnded = true
      this.#commits.committed(this.number, request, tid)
    }
    const failed = (error: unknown): void => {
      // Once it is durable it is committed, whatever came after.
      if (announced !== undefined) {
        done(announced)
        return
      }
      this.#isEnded = true
      this.#commits.lost(this.number)
      throw error
    }
    try {
      const finishing = this.#voted.finish((tid) => {
        announced = tid
        this.#commits.announce(request, tid)
      })
      if (finishing instanceof Promise) return finishing.then(done, failed)
      done(finishing)
    } catch (error) {
      failed(error)
    } finally {
      this.#leaveQueue?.()
    }
  }

  /** What has begun to finish does; anything else ends without effect. Also called while a vote waits for its lock. */
  async abort(): Promise<void> {
    if (this.#isEnded || this.#isFinishing) return
    this.#isEnded = true
    this.#commits.lost(this.number)
    let aborting: Awaitable<void>
    try {
      aborting = (this.#voted ?? this.#transaction)?.abort()
    } finally {
      this.#leaveQueue?.()
    }
    await aborting
  }

  #open(call: string): Transaction {
    if (this.#error !== undefined) throw this.#error
    if (this.#transaction === undefined || this.#voted !== undefined || this.#isEnded) {
      throw new StorageTransactionError(`${call}: there is no open transaction`)
    }
    return this.#transaction
  }
}

/** Its client has aborted it, or has lost the connection and will not hear of this. */
function gone(): StorageTransactionError {
  return new StorageTransactionError('the transaction was aborted while it waited for its vote')
}
