/**
 * The smallest thing that can become a storage: a place that keeps revisions and takes committed transactions one at
 * a time. `mvccAdapter` makes the whole storage contract of it.
 *
 * A base storage knows nothing of connections, snapshots, votes or conflicts. The adapter calls `commit` for one
 * transaction at a time, with a tid newer than all before, and it calls the reading methods at any moment, also while
 * a `commit` is under way. Everything may answer with a plain value; an adapter over a synchronous base storage
 * answers synchronously too.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type {
  Awaitable,
  BlobSource,
  HistoryEntry,
  ObjectRecord,
  PackOptions,
  PackResult,
  RecordedBlob,
  StorageCounters,
  TransactionRecord,
} from '../storage.ts'

/**
 * A blob as the base storage keeps it, from the moment in which all its bytes were taken. Two are the same blob when
 * they are the same object.
 */
export interface BaseBlob extends RecordedBlob {
  /** What reads it, even after no revision has it any more. */
  open(): Awaitable<BaseBlobReader>
}

/** Reads one blob. */
export interface BaseBlobReader {
  /** As `BlobReader.read`. The adapter calls it only until `close`. */
  read(position: number, length: number): Awaitable<Uint8Array>
  /** Called once. */
  close(): Awaitable<void>
}

/** What the base storage is given to commit. */
export interface BaseTransaction extends TransactionRecord {
  readonly records: readonly BaseRecord[]
}

/** One object that a transaction writes. */
export interface BaseRecord extends ObjectRecord {
  /** What `takeBlob` answered with, or, for an undo, the blob of an earlier revision of the same object. */
  readonly blob?: BaseBlob
}

/** A revision as the base storage keeps it. May be handed to callers as it is, so its bytes never change. */
export interface BaseRevision {
  /** Null: this "revision" is the deletion of the object. */
  readonly data: Uint8Array | null
  readonly serial: Tid
  /** Tid of the revision that replaced it; undefined while it is current. */
  readonly nextSerial: Tid | undefined
  readonly blob?: BaseBlob
}

/** What `mvccAdapter` makes a whole storage of. Every method may answer with a plain value or a promise. */
export interface BaseStorage {
  /** Newest committed transaction, `noTid` when there is none. Read once, on opening. */
  readonly lastTid: Tid

  /**
   * `count` ascending object ids that were never given out before, are in no committed record, and are not the root.
   */
  newOids(count: number): Awaitable<readonly Oid[]>

  /** The newest revision of `oid` with a serial below `before`, a deletion included. Undefined when there is none. */
  loadBefore(oid: Oid, before: Tid): Awaitable<BaseRevision | undefined>

  /**
   * Keeps all records of the transaction, durably and atomically: after a crash either all of them are there or none.
   * When it throws, none may be there.
   * @param oldestSnapshot no open snapshot is older than this. Revisions that were replaced at this tid or before it
   * will only be asked for by callers interested in history; a storage without history may drop them.
   */
  commit(transaction: BaseTransaction, oldestSnapshot: Tid): Awaitable<void>

  /** Forgets everything, given-out object ids too. No call is under way. */
  zap(): Awaitable<void>

  /** The last call. No other is under way. */
  close(): Awaitable<void>

  // --- Abilities. Leave out what the storage cannot do; the adapter then leaves it out too. ---

  /** Up to `count` revisions of the object, newest first, deletions included; none for an unknown object. */
  history?(oid: Oid, count: number): Awaitable<readonly HistoryEntry[]>

  /**
   * What undo needs to know: the objects that transaction `tid` changed. Undefined when there was no such transaction
   * or when it can no longer be undone, because revisions from before it may have been packed away.
   */
  changedBy?(tid: Tid): Awaitable<readonly Oid[] | undefined>

  /**
   * Transactions with from ≤ tid ≤ to, in order. What is committed after the call must not change what is yielded.
   * With this the adapter offers `restore` too, which commits them as they are. A base storage that packs, or drops
   * replaced revisions by itself, says on each since when its history is whole, and takes that over from what it commits.
   */
  iterate?(from: Tid, to: Tid): Iterable<TransactionRecord> | AsyncIterable<TransactionRecord>

  /** As `Storage.wholeSince`. */
  wholeSince?(): Awaitable<Tid>

  /** As `Storage.pack`. No open snapshot is older than `options.before`. Commits may happen meanwhile. */
  pack?(options: PackOptions): Awaitable<PackResult>

  /**
   * Writes a new blob down, chunk by chunk, before the transaction that will commit it has voted. Whatever `source`
   * throws is thrown, and nothing may be left then. A blob that is not committed in the end is just not named again.
   */
  takeBlob?(source: BlobSource): Promise<BaseBlob>

  /** Work that only the base storage sees: bytes written, syncs, statements, round trips. */
  counters?(): Partial<StorageCounters>
}
