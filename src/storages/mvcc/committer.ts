/**
 * What all instances of an adapted storage share: the base storage, the commit lock, what is visible, and the one
 * place where a transaction becomes visible.
 */

import { ClosedError, ReadOnlyError } from '../../core/errors.ts'
import { after, noTid, type Oid, type Tid } from '../../core/ids.ts'
import {
  type Awaitable,
  type MutableCounters,
  type OpenContext,
  type TransactionRecord,
  zeroCounters,
} from '../storage.ts'
import type { BaseRevision, BaseStorage, BaseTransaction } from './base-storage.ts'
import { CommitLock } from './commit-lock.ts'
import { InvalidationLog } from './invalidation-log.ts'

/** What the committer and the storage need to know of an instance. */
export interface Reader {
  /** The tid of its snapshot, whose revisions must be kept; undefined while none is open. */
  readonly oldestNeeded: Tid | undefined
  /** Newest transaction that it has been told of; undefined before its first poll. */
  readonly seenTid: Tid | undefined
  readonly hasTransaction: boolean
  /** The store was emptied: whatever this instance has read is out of date. */
  loseTrack(): void
  /** The storage closes: no more calls, but a transaction that has voted may still finish. */
  close(): Awaitable<void>
}

export class Committer {
  readonly base: BaseStorage
  readonly context: OpenContext
  readonly lock = new CommitLock()
  readonly log: InvalidationLog
  readonly counters: MutableCounters = zeroCounters()
  readonly readers = new Set<Reader>()
  /** Newest transaction that anybody may see. The base storage may be one ahead, inside `commit`. */
  lastTid: Tid
  isClosed = false

  constructor(base: BaseStorage, context: OpenContext) {
    this.base = base
    this.context = context
    this.lastTid = base.lastTid
    this.log = new InvalidationLog(this.lastTid)
  }

  /** @throws ClosedError, ReadOnlyError */
  checkWritable(): void {
    if (this.isClosed) throw new ClosedError('the storage')
    if (this.context.readOnly === true) throw new ReadOnlyError('the storage')
  }

  /** Newest tid that every open snapshot shows. */
  oldestSnapshot(): Tid {
    let oldest = this.lastTid
    for (const reader of this.readers) {
      const needed = reader.oldestNeeded
      if (needed !== undefined && needed < oldest) oldest = needed
    }
    return oldest
  }

  /** As the base storage's `loadBefore`, but never beyond what is visible. */
  loadVisible(oid: Oid, before: Tid): Awaitable<BaseRevision | undefined> {
    return this.base.loadBefore(oid, Math.min(before, after(this.lastTid)) as Tid)
  }

  /**
   * Writes a transaction and then makes it visible. The caller holds the lock.
   * @param committer the instance that need not be told of the changes
   */
  commit(
    transaction: BaseTransaction,
    committer: Reader | undefined,
    onTid?: (tid: Tid) => void,
  ): Awaitable<void> {
    const written = this.base.commit(transaction, this.oldestSnapshot())
    if (written instanceof Promise) return written.then(() => this.#publish(transaction, committer, onTid))
    this.#publish(transaction, committer, onTid)
  }

  /**
   * No await in here: with the last line of it, snapshots show the transaction and the log lists it, both at once.
   * An exception of `onTid` is thrown when all is done, because the transaction is committed by now.
   */
  #publish(
    { tid, records }: TransactionRecord,
    committer: Reader | undefined,
    onTid: ((tid: Tid) => void) | undefined,
  ): void {
    const oids = new Set<Oid>()
    for (const { oid, data } of records) {
      oids.add(oid)
      this.counters.stores++
      if (data !== null) this.counters.storedBytes += data.length
    }
    this.counters.commits++
    try {
      onTid?.(tid)
    } finally {
      this.log.append(tid, oids, committer)
      this.lastTid = tid
      if (this.log.isDue) this.log.forget(this.#seenByAll())
    }
  }

  #seenByAll(): Tid {
    let oldest = this.lastTid
    for (const { seenTid } of this.readers) if (seenTid !== undefined && seenTid < oldest) oldest = seenTid
    return oldest
  }

  /** After `zap`: as new. */
  forget(): void {
    this.lastTid = noTid
    this.log.clear()
  }
}
