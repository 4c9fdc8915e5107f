/**
 * The one connection of an isolate that writes to a SQLite file, and what all writers share: the queue for it, the
 * newest tid, and object ids leased ahead. SQLite has one writer per file, so a second connection would gain nothing.
 */

import { attempt, chain } from '../../../core/awaitable.ts'
import type { Clock } from '../../../core/clock.ts'
import { maxTid, type Oid, type Tid } from '../../../core/ids.ts'
import type { Awaitable, Durability, MutableCounters } from '../../storage.ts'
import { leaseSize } from '../oid-lease.ts'
import { type Patience, Wait, WriteQueue, whileBusy } from './busy.ts'
import type { SqliteConnection, SqliteStatement } from './driver.ts'
import {
  blobSql,
  historyFree,
  historyPreserving,
  writeHistory,
  writeHistoryFree,
  writeState,
} from './statements.ts'

export interface WriteSettings {
  readonly history: boolean
  readonly durability: Durability
  readonly clock: Clock
  readonly patience: Patience
  readonly counters: MutableCounters
  /** Told of each commit, with a rough number of pages that it wrote. */
  onCommit(pages: number): void
  /** Nobody who waits may keep the log from being emptied. */
  isLogLong(): boolean
}

/** The row of `store_state`, read under the write lock. */
export interface StoreState {
  readonly tid: Tid
  readonly horizon: Tid
  readonly nextOid: number
}

export class WriteSession {
  readonly settings: WriteSettings
  readonly connection: SqliteConnection
  readonly queue: WriteQueue
  readonly change: SqliteStatement
  readonly add: SqliteStatement
  readonly put: SqliteStatement
  readonly current: SqliteStatement
  readonly load: SqliteStatement
  readonly log: SqliteStatement | undefined
  /** The blob of a revision. */
  readonly blob: SqliteStatement
  readonly #begin: SqliteStatement
  readonly #commit: SqliteStatement
  readonly #rollback: SqliteStatement
  readonly #readState: SqliteStatement
  readonly #advance: SqliteStatement
  /** Leased, and not yet asked for. */
  #spare = { next: 0, end: 0 }
  /** A lease that the transaction under way will bring. */
  #leasing: { next: number; end: number } | undefined
  #leasesOids = false

  constructor(connection: SqliteConnection, settings: WriteSettings) {
    this.connection = connection
    this.settings = settings
    this.queue = new WriteQueue(settings.patience)
    const write = settings.history ? writeHistory : writeHistoryFree
    this.change = connection.prepare(write.change)
    this.add = connection.prepare(write.add)
    this.put = connection.prepare(write.put)
    this.current = connection.prepare(write.current)
    this.load = connection.prepare(settings.history ? historyPreserving.load : historyFree.load)
    this.log = settings.history ? connection.prepare(writeState.log) : undefined
    this.blob = connection.prepare(blobSql.find)
    this.#begin = connection.prepare('BEGIN IMMEDIATE')
    this.#commit = connection.prepare('COMMIT')
    this.#rollback = connection.prepare('ROLLBACK')
    this.#readState = connection.prepare(writeState.read)
    this.#advance = connection.prepare(writeState.advance)
  }

  /**
   * Takes the write lock; it is held until `commit` or `rollback`.
   * @throws CommitLockTimeoutError, StorageTransactionError when `wait` is cancelled
   */
  begin(wait = new Wait()): Awaitable<void> {
    return chain(this.queue.enter(wait), () =>
      attempt(
        () => whileBusy(this.settings.patience, () => void this.#begin.run(), wait),
        (error) => {
          this.queue.leave()
          throw error
        },
      ),
    )
  }

  state(): StoreState {
    const [tid, horizon, nextOid] = this.#readState.get() as readonly [Tid, Tid, number]
    return { tid, horizon, nextOid }
  }

  /**
   * Writes the new state of the store. Where oids are wanted, the next lease goes along, so that it costs no
   * transaction of its own.
   * @param oidMax largest oid in the transaction, -1 for none
   */
  advance(state: StoreState, tid: Tid, oidMax: number): void {
    const nextOid = Math.max(state.nextOid, oidMax + 1)
    const { next, end } = this.#leasing ?? this.#spare
    const isLow = this.#leasesOids && end - next < leaseSize
    this.#advance.run(tid, isLow ? nextOid + leaseSize : nextOid, tid)
    if (isLow) this.#leasing = { next: nextOid, end: nextOid + leaseSize }
  }

  commit(pages: number): void {
    this.#commit.run()
    this.#spare = this.#leasing ?? this.#spare
    this.#leasing = undefined
    // In WAL mode SQLite syncs the log once for each commit, and only with synchronous=FULL.
    if (this.settings.durability === 'full') this.settings.counters.syncs++
    this.queue.leave()
    this.settings.onCommit(pages)
  }

  rollback(): void {
    this.#leasing = undefined
    try {
      // Some errors have rolled back already.
      if (this.connection.inTransaction) this.#rollback.run()
    } finally {
      this.queue.leave()
    }
  }

  /** Runs `work` in a write transaction. */
  transaction<T>(work: () => T): Awaitable<T> {
    return chain(this.begin(), () => {
      let result: T
      try {
        result = work()
      } catch (error) {
        this.rollback()
        throw error
      }
      this.commit(1)
      return result
    })
  }

  leaseOids(count: number): Awaitable<Oid> {
    this.#leasesOids = true
    const { next, end } = this.#spare
    if (end - next >= count) {
      this.#spare = { next: next + count, end }
      return next as Oid
    }
    return this.transaction(() => {
      const state = this.state()
      this.#advance.run(state.tid, state.nextOid + count, maxTid)
      return state.nextOid as Oid
    })
  }
}
