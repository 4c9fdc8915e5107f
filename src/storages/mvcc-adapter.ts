/**
 * Makes a whole storage of a small one.
 *
 * A base storage keeps revisions and takes finished transactions one at a time (`mvcc/base-storage.ts`). The adapter
 * adds everything that is hard to get right: snapshots, invalidations, the two-phase commit and its lock, conflict
 * detection and resolution, undo, the order of calls. The memory storage is made with it, and so is a storage of your
 * own that serves one event loop. Storages that share their store between threads or processes implement the contract
 * themselves.
 */

import { ClosedError, ShootoutError, StorageTransactionError } from '../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../core/ids.ts'
import type { BaseBlob, BaseRecord, BaseStorage, BaseTransaction } from './mvcc/base-storage.ts'
import { Committer } from './mvcc/committer.ts'
import { MvccInstance } from './mvcc/instance.ts'
import {
  type Awaitable,
  combineCounters,
  type OpenContext,
  type PackOptions,
  type PackResult,
  type RecordedBlob,
  type Storage,
  type StorageCounters,
  type StorageInstance,
  type TransactionRecord,
  zeroCounters,
} from './storage.ts'

export type {
  BaseBlob,
  BaseBlobReader,
  BaseRecord,
  BaseRevision,
  BaseStorage,
  BaseTransaction,
} from './mvcc/base-storage.ts'

/** The storage contract over `base`. The abilities that `base` has, the storage has. */
export function mvccAdapter(base: BaseStorage, context: OpenContext): Storage {
  return new MvccStorage(base, context)
}

class MvccStorage implements Storage {
  readonly pack?: (options: PackOptions) => Promise<PackResult>
  readonly iterate?: (from?: Tid, to?: Tid) => AsyncIterable<TransactionRecord>
  readonly restore?: (transaction: TransactionRecord) => Promise<void>
  readonly wholeSince?: () => Awaitable<Tid>
  readonly #base: BaseStorage
  readonly #committer: Committer
  /** The end of the last pack. Packs go one after the other, and closing waits for them. */
  #packed: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(base: BaseStorage, context: OpenContext) {
    this.#base = base
    this.#committer = new Committer(base, context)
    if (base.pack !== undefined) this.pack = (options) => this.#pack(options)
    if (base.wholeSince !== undefined) this.wholeSince = () => base.wholeSince!()
    if (base.iterate !== undefined) {
      this.iterate = (from = noTid, to = maxTid) => this.#iterate(from, to)
      this.restore = (transaction) => this.#restore(transaction)
    }
  }

  get lastTid(): Tid {
    return this.#committer.lastTid
  }

  newInstance(): StorageInstance {
    this.#checkOpen()
    return new MvccInstance(this.#committer)
  }

  counters(): StorageCounters {
    const own = this.#base.counters?.()
    return own === undefined
      ? { ...this.#committer.counters }
      : combineCounters(this.#committer.counters, { ...zeroCounters(), ...own })
  }

  async zap(): Promise<void> {
    this.#committer.checkWritable()
    for (const instance of this.#committer.readers) {
      if (instance.hasTransaction)
        throw new StorageTransactionError('zap: an instance has an open transaction')
    }
    await this.#base.zap()
    this.#committer.forget()
    for (const instance of this.#committer.readers) instance.loseTrack()
  }

  #pack(options: PackOptions): Promise<PackResult> {
    const packing = this.#packed.then(() => {
      this.#committer.checkWritable()
      options.signal?.throwIfAborted()
      // What an open snapshot can see stays.
      const before = Math.min(options.before, this.#committer.oldestSnapshot()) as Tid
      return this.#base.pack!({ ...options, before })
    })
    // Only the caller of a pack hears of its failure; the next one starts afresh.
    this.#packed = packing.catch(() => {})
    return packing
  }

  /** Not itself a generator: the range is fixed at the call, not at the first step. */
  #iterate(from: Tid, to: Tid): AsyncIterable<TransactionRecord> {
    this.#checkOpen()
    const last = Math.min(to, this.#committer.lastTid) as Tid
    return asAsync(this.#base.iterate!(from, last))
  }

  async #restore(transaction: TransactionRecord): Promise<void> {
    this.#committer.checkWritable()
    const whole = await this.#withBlobs(transaction)
    const { lock } = this.#committer
    const owner = {}
    await lock.acquire(owner)
    try {
      const { lastTid } = this.#committer
      if (transaction.tid <= lastTid) {
        throw new StorageTransactionError(
          `restore: transaction ${transaction.tid} is not newer than ${lastTid}, the last one here`,
        )
      }
      await this.#committer.commit(whole, undefined)
    } finally {
      lock.release(owner)
    }
  }

  /** Takes over the blobs, which are another storage's. */
  async #withBlobs(transaction: TransactionRecord): Promise<BaseTransaction> {
    const taken: BaseRecord[] = []
    for (const { oid, data, blob } of transaction.records) {
      if (blob === undefined) taken.push({ oid, data })
      else taken.push({ oid, data, blob: await this.#takeBlob(oid, blob) })
    }
    return { ...transaction, records: taken }
  }

  #takeBlob(oid: Oid, blob: RecordedBlob): Promise<BaseBlob> {
    const base = this.#base
    if (base.takeBlob === undefined) {
      throw new ShootoutError(
        'blobs-not-kept',
        `restore: object ${oid} has a blob, and this storage has no room for blobs; choose one that has`,
        { details: { oid } },
      )
    }
    return base.takeBlob(blob.chunks())
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { lock } = this.#committer
    this.#committer.isClosed = true
    const closed = [...this.#committer.readers].map((instance) => instance.close())
    lock.refuseWaiting(new ClosedError('the storage'))
    await Promise.all([...closed, lock.idle(), this.#packed])
    await this.#base.close()
  }

  #checkOpen(): void {
    if (this.#committer.isClosed) throw new ClosedError('the storage')
  }
}

async function* asAsync<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
