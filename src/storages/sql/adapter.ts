/**
 * What the shared SQL storage asks of a database. A dialect's folder implements these few roles; everything above them
 * (snapshots, invalidations, conflicts, undo, counters) is written once, in the files beside this one.
 *
 * A **reader** is a session for loading: one snapshot at a time. A **writer** is a session for committing: one
 * transaction at a time. Both are pooled by the storage, so opening one may be expensive. The **adapter** opens them
 * and does what concerns the whole store.
 *
 * The two rules on which correctness rests:
 *
 * - *The poll pins the snapshot.* `poll` reads the newest tid and the changed objects by the first statements of the
 *   new snapshot, so that what it reports and what later loads show is the same by construction.
 * - *Tid order is visibility order.* A writer chooses its tid under a lock that it keeps until the commit is visible.
 *   So a snapshot that shows tid T shows every tid below T.
 */

import { ReadConflictError, ShootoutError, StorageTransactionError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type {
  Awaitable,
  HistoryEntry,
  PackOptions,
  PackResult,
  TransactionMetadata,
  TransactionRecord,
} from '../storage.ts'
import type { BlobReading, BlobWriting, StoredBlob } from './blobs.ts'

/** One object as a snapshot shows it. `data` is null when the object was deleted. */
export interface Row {
  readonly oid: Oid
  readonly serial: Tid
  readonly data: Uint8Array | null
  /** Only where a vote tells what is current. */
  readonly hasBlob?: boolean
}

/** What a transaction wants an object to be, and the revision it started from (`noTid`: a new object). */
export interface Change {
  readonly oid: Oid
  readonly base: Tid
  readonly data: Uint8Array | null
  readonly blob?: StoredBlob | undefined
}

/** A transaction from elsewhere, whose blobs have been written down. */
export interface StoredTransaction {
  readonly tid: Tid
  readonly metadata: TransactionMetadata
  readonly records: readonly Omit<Change, 'base'>[]
}

/** The revision that a transaction needs to be current when it commits. */
export interface Expectation {
  readonly oid: Oid
  readonly serial: Tid
}

/** What a poll found. */
export interface Poll {
  /** Newest transaction that the new snapshot shows; `noTid` when the store is empty. */
  readonly tid: Tid
  /** To be handed to the next poll as `seen`. Not below `tid`, and never lower than it was, not even after a zap. */
  readonly seen: Tid
  /** A random number that the store keeps until it is emptied. */
  readonly life: number
  /** Objects changed after `seen`, each with the tid of its change; one object may come several times. */
  readonly changed: readonly { readonly oid: Oid; readonly tid: Tid }[] | 'all'
}

/** The newest revision before some tid, and what replaced it. */
export interface PastRow {
  /** Undefined: the object is younger than that. */
  readonly serial: Tid | undefined
  readonly data: Uint8Array | null
  readonly nextSerial: Tid | undefined
}

/** A connection to the database. */
interface Session {
  /** Present where a connection can be lost: true when it was. A broken session is closed, never used again. */
  readonly isBroken?: boolean
}

/** A session for loading. */
export interface Reader extends Session {
  readonly blobs: BlobReading
  /** Ends the snapshot, if there is one, and opens the next. @param seen of the poll before; undefined for none */
  poll(seen: Tid | undefined): Awaitable<Poll>
  /** Undefined when the snapshot has no such object; a row without data when it was deleted. */
  load(oid: Oid): Awaitable<Row | undefined>
  /** As `load`, in one request. In any order, without those that do not exist. */
  loadMany(oids: readonly Oid[]): Awaitable<readonly Row[]>
  endSnapshot(): Awaitable<void>
  /** Sees everything that is committed; only called while no snapshot is open. Undefined: no such object, ever. */
  loadBefore(oid: Oid, before: Tid): Awaitable<PastRow | undefined>
  /** Only with history: revisions, newest first, deletions included. */
  history(oid: Oid, count: number): Awaitable<readonly HistoryEntry[]>
  /**
   * Only with history: something of the transactions up to this one may have been packed away, of later ones nothing.
   * In a snapshot as of that; without one it sees everything that is committed.
   */
  packed(): Awaitable<Tid>
  /** Only with history: objects that transaction `tid` changed; undefined when it does not exist or was packed. */
  changedBy(tid: Tid): Awaitable<readonly Oid[] | undefined>
  /** Only with history: the first `count` transactions after `from`, up to `to`. Inside a snapshot. */
  transactions(from: Tid, to: Tid, count: number): Awaitable<readonly TransactionRecord[]>
  close(): Awaitable<void>
}

/** What a commit did. */
export interface Committed {
  readonly tid: Tid
  /** What `Poll.seen` was just before. When an instance had seen that much, its own commit is all that is new. */
  readonly previous: Tid
}

/** A session for committing. After `finish`, `abort` or any error it holds no lock and can be used again. */
export interface Writer extends Session {
  readonly blobs: BlobWriting
  /**
   * Takes the locks and compares. Returns the current row of every object that is not at the revision named
   * (`serial` `noTid` where there is none), deleted objects among them. What was not returned stays current until `finish` or `abort`.
   * @param changes in ascending oid order. @param expectations likewise, without objects that are in `changes`
   * @param endSnapshot ends the one of the transaction, for a writer that has to wait and whom it stands in the way
   * @throws CommitLockTimeoutError, ReadConflictError, DisconnectedError
   */
  vote(
    changes: readonly Change[],
    expectations: readonly Expectation[],
    endSnapshot: () => void,
  ): Awaitable<readonly Row[]>
  /** Makes a vote that waits for a lock give up: it raises StorageTransactionError, soon. Else nothing. */
  cancelVote(): Awaitable<void>
  /**
   * Commits under a new tid.
   * @param changes those that were voted on, in the same order; of those that the vote returned, the data may differ
   *   (resolved conflicts)
   * @throws DisconnectedError where nobody knows whether it was committed
   */
  finish(changes: readonly Change[], metadata: TransactionMetadata): Awaitable<Committed>
  /**
   * Vote and finish in one request, where that is one fewer. It waits for other commits, but not for who has voted.
   * @param changes without blobs. @param expectations of objects that exist
   * @returns undefined: somebody is in the way. Nothing was changed and no lock is held; what it is, the vote will tell
   * @throws DisconnectedError as `finish` does
   */
  commit?(
    changes: readonly Change[],
    expectations: readonly Expectation[],
    metadata: TransactionMetadata,
  ): Awaitable<Committed | undefined>
  /**
   * Only with history: commits transactions from elsewhere as they are, all or none, without any check but that the
   * tid of the first is newest. The others ascend.
   * @param packed where they come from, something of the transactions up to this one may be gone, so from now on it is
   *   so here; `noTid` where nothing is
   */
  restore(transactions: readonly StoredTransaction[], packed: Tid): Awaitable<void>
  /** Rolls back. Fine in any state. */
  abort(): Awaitable<void>
  close(): Awaitable<void>
}

/** One opened store. */
export interface SqlAdapter {
  /** For messages: `sqlite /path/to.db`. */
  readonly title: string
  /** The history-preserving schema is in use. */
  readonly keepsHistory: boolean
  /**
   * Instances take object ids in groups of this many, the first of each divisible by it; 1 where it makes no difference.
   * Leases come in whole groups.
   */
  readonly oidGroup: number
  openReader(): Awaitable<Reader>
  openWriter(): Awaitable<Writer>
  /** The first of `count` consecutive oids that nobody has been given and that no record has. Never the root. */
  leaseOids(count: number): Awaitable<Oid>
  /** Newest committed transaction, and the life of the store as polls name it; read from the database. */
  state(): Awaitable<{ readonly tid: Tid; readonly life: number }>
  zap(): Awaitable<void>
  /** @param removed told of objects that were found to be unreachable, when they have been removed */
  pack(options: PackOptions, removed: (oids: readonly Oid[]) => void): Awaitable<PackResult>
  /** Every reader and writer has been closed before. */
  close(): Awaitable<void>
}

/** A blob was pending for more than a day and has been swept, or the revision that had it was packed meanwhile. */
export function blobGoneError(): ShootoutError {
  return new ShootoutError(
    'blob-gone',
    'a blob of this transaction was removed by a pack before the transaction was committed; repeat the transaction',
    { transient: true },
  )
}

/** For `Writer.restore`. */
export function restoreOrderError(tid: Tid, last: Tid): StorageTransactionError {
  return new StorageTransactionError(
    `restore: transaction ${tid} is not newer than ${last}, the last one here`,
    { details: { tid, last } },
  )
}

/** For a vote that was given up. */
export function cancelledError(): StorageTransactionError {
  return new StorageTransactionError('the transaction was aborted while it waited for its vote')
}

/** An object that was only read is locked: whether it will be current is not known, and nobody waits to hear. */
export function lockedError(oid: Oid, serial: Tid): ReadConflictError {
  return new ReadConflictError(oid, serial, serial, {
    cause: new Error(`another transaction that changes object ${oid} has voted`),
    details: { isLocked: true },
  })
}
