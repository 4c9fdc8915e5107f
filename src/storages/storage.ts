/**
 * The storage contract.
 *
 * A *storage* keeps the revisions of objects and commits transactions. It knows an object as bytes under an `Oid`; it
 * never looks inside, except through the functions it is handed for resolving conflicts and for finding references.
 *
 * Three parties meet here. A **module** describes a storage and can open it. A **storage** is one opened store in one
 * isolate (main thread or worker thread). A **storage instance** is one connection's view: a snapshot for reading, and
 * at most one transaction for writing.
 *
 * Optional abilities are optional methods: a storage that cannot pack has no `pack`. `Capabilities` says the same as
 * data, so that plans can be made and tests chosen without opening anything; the conformance suite checks that the two
 * agree.
 *
 * Rules that hold throughout
 *
 * - *Bytes are immutable.* Neither side changes a `Uint8Array` after handing it over, and an array that a storage
 *   returned stays valid for ever: it is never a view of memory that the storage reuses.
 * - *A value or a promise.* Methods typed `Awaitable` answer with a plain value where they can; callers on a fast path
 *   test before they await, so that a cache hit costs no microtask.
 * - *Time goes forward.* No caller ever sees `lastTid`, a serial or a snapshot go back.
 * - *Errors are coded* (`core/errors.ts`). Conflicts, lost connections and lock time-outs are `transient`: the caller
 *   aborts and repeats the whole transaction.
 */

import type { Awaitable } from '../core/awaitable.ts'
import type { Clock } from '../core/clock.ts'
import type { Oid, Tid } from '../core/ids.ts'
import type { OptionsOf, OptionsSpec } from '../core/options.ts'

export type { Awaitable }

// --- What a storage can do ------------------------------------------------------------------------------------------

/**
 * Who may use one store at the same time: one event loop; the threads of one process (through `share`); processes of
 * one machine; processes anywhere.
 */
export type Reach = 'isolate' | 'process' | 'host' | 'network'

/**
 * What a commit survives once `finish` has returned. `memory`: nothing, it dies with the process. `os`: the process
 * being killed. `full`: loss of power. `replicated`: loss of the machine. Contenders of different tiers are never
 * ranked together silently.
 */
export type Durability = 'memory' | 'os' | 'full' | 'replicated'

/** Facts about a storage under given options. They select conformance topics, filter plans, and are shown in reports. */
export interface Capabilities {
  readonly reach: Reach
  readonly durability: Durability
  /** What was committed is there again after `close` and `open` on the same store. */
  readonly persistent: boolean
  /** Calls may block the event loop for as long as the work takes (a synchronous driver). */
  readonly blocking: boolean
  /** `loadBefore` finds revisions that are no longer current. Without it, only what open snapshots need is kept. */
  readonly history: boolean
  /** Merges concurrent changes through `OpenContext.resolveConflict`. */
  readonly conflictResolution: boolean
  /** `Transaction.delete` exists. */
  readonly deletion: boolean
  /** `StorageInstance.history`, `Transaction.undo`. */
  readonly undo: boolean
  /** `Storage.iterate` and `Storage.restore`. */
  readonly iteration: boolean
  /** `Storage.pack`. */
  readonly pack: boolean
  /** `StorageInstance.prefetch`, and `loadMany` is one request. */
  readonly prefetch: boolean
  /** `Transaction.storeBlob`, `StorageInstance.openBlob`; with `iteration`, records carry their blobs. */
  readonly blobs: boolean
}

// --- The module -----------------------------------------------------------------------------------------------------

/**
 * The default export of a storage's file, made with `defineStorage`. Modules are loaded by URL in every thread and
 * process that needs them, so the file must not do anything on import.
 */
export interface StorageModule<S extends OptionsSpec = OptionsSpec, Shared = unknown> {
  /** As said on the command line. Letters, digits and hyphens. */
  readonly name: string
  /** One line for `shootout list`. */
  readonly summary: string
  readonly options: S
  /** Version of the contract it was written for, put here by `defineStorage`. Without it, the present one. */
  readonly contract?: number
  /** The facts under these options. Must be quick and open nothing. */
  capabilities(options: OptionsOf<S>): Capabilities
  /**
   * Called once per run, in the coordinating process: finds a server or starts one, checks a driver. Left out by
   * storages that need nothing but their options.
   */
  provision?(options: OptionsOf<S>, context: ProvisionContext): Awaitable<Provision<S> | Unavailable>
  /**
   * Called once in each process that opens the store, before any `open`: what the threads of that process have in
   * common. `state` must survive a structured clone; SharedArrayBuffers in it are shared. Left out by storages of
   * reach `isolate`, and by those whose threads share nothing.
   */
  share?(options: OptionsOf<S>, context: OpenContext): Awaitable<SharedState<Shared>>
  /** Opens the store in this isolate. `shared` is the `state` of this process when the module has `share`. */
  open(options: OptionsOf<S>, context: OpenContext, shared: Shared | undefined): Awaitable<Storage>
}

/** What `share` made: the state to hand to each `open`, and how to end it once every storage opened with it is closed. */
export interface SharedState<Shared> {
  readonly state: Shared
  close(): Awaitable<void>
}

/** Where `provision` may work. */
export interface ProvisionContext {
  /** A private, existing, empty folder for whatever is provisioned. Removed by the caller after `dispose`. */
  readonly folder: string
  /** Progress and oddities, one line each, for a person. */
  log(message: string): void
}

/** A storage that is ready to make stores. */
export interface Provision<S extends OptionsSpec> {
  readonly available: true
  /**
   * What was found, for the record: server version, settings that bear on durability as read back from the live
   * server, where the data lie.
   */
  readonly facts: Readonly<Record<string, string>>
  /** Read back from the live server where it can differ from `capabilities(options).durability`. */
  readonly durability?: Durability
  /** Makes a fresh, empty store. `name` is unique within the run: lower-case letters, digits, underscores. */
  newStore(name: string): Awaitable<ProvisionedStore<S>>
  /** Ends what `provision` started. Every store has been disposed of before. */
  dispose(): Awaitable<void>
}

/** One store, and how to remove it. Only what was created here is ever removed. */
export interface ProvisionedStore<S extends OptionsSpec> {
  /** Options with which any process of this machine opens this store. Plain data. */
  readonly options: OptionsOf<S>
  /**
   * Roots of the process trees of this machine that work for this store and nobody else: servers that were started for
   * it. The processor time they use is reported beside that of the workers.
   */
  readonly processIds?: readonly number[]
  dispose(): Awaitable<void>
}

/** The storage cannot be used here: a driver, binary or server is missing. Cells of it are skipped with the reason. */
export interface Unavailable {
  readonly available: false
  /** A sentence for the table, with the command that would help where there is one. */
  readonly reason: string
}

/** What a storage is given when it is opened. */
export interface OpenContext {
  readonly clock: Clock
  /** Merges states on conflict. Without it every conflict is an error. */
  readonly resolveConflict?: ConflictResolver
  /** Refuse all writing; never create, never repair. */
  readonly readOnly?: boolean
  /** Oddities worth a person's attention (a torn tail set aside, a stale lock taken over), one line each. */
  log(message: string): void
}

/**
 * Merges two changes of one object: `committed` and `mine` both started from `base`.
 * Pure: same arguments, same answer, no side effect. Throwing, or returning undefined, means "cannot be merged", and
 * the storage then raises ConflictError.
 */
export type ConflictResolver = (
  oid: Oid,
  base: Uint8Array,
  committed: Uint8Array,
  mine: Uint8Array,
) => Uint8Array | undefined

// --- The storage ----------------------------------------------------------------------------------------------------

/** One opened store in one isolate. Serves any number of instances. */
export interface Storage {
  /** Newest transaction whose effects every new snapshot of this storage shows. `noTid` when empty. */
  readonly lastTid: Tid
  /** A view for one connection. Cheap. */
  newInstance(): Awaitable<StorageInstance>
  /** Work done since `open`, in this isolate. Never goes back; a reader subtracts two readings. */
  counters(): StorageCounters
  /** The cache this storage keeps above its backend, where it has one. */
  readonly cache?: StorageCache
  /** What the cache of blobs in a folder did for this storage, where it has one. */
  blobCacheCounters?(): BlobCacheCounters
  /** Destroys all data. The store is then as new. No instance may be in use. */
  zap(): Awaitable<void>
  /**
   * Removes revisions that no snapshot at or after `before` can see and, with `references`, objects that cannot be
   * reached from the root. Commits and reads go on meanwhile. Repeatable: packing a packed store changes nothing.
   */
  pack?(options: PackOptions): Awaitable<PackResult>
  /**
   * Committed transactions in tid order, a snapshot as of the call: later commits are not seen.
   * @param from first tid wanted, `noTid` for all. @param to last tid wanted, inclusive.
   */
  iterate?(from?: Tid, to?: Tid): AsyncIterable<TransactionRecord>
  /**
   * `iterate` yields every transaction after this one whole, as it was committed: of earlier ones something may have been
   * packed away. `noTid` where nothing ever was. A pack raises it before it removes anything, so that it is right also
   * where the pack is stopped or killed. Restoring raises it to what the transaction brings along. An optional help for
   * those who want to know what changed since a tid; left out by storages that drop replaced revisions by themselves.
   */
  wholeSince?(): Awaitable<Tid>
  /**
   * Appends a transaction that was iterated from another storage, with its tid, without checking conflicts.
   * Its tid must be newer than `lastTid`. Where it brings `wholeSince` along, this storage knows from then on, as durably
   * as it has the transaction, that transactions up to there may not be whole, and refuses to undo them.
   */
  restore?(transaction: TransactionRecord): Awaitable<void>
  /**
   * `restore` for each of these, which ascend, in one durable step: an optional shortcut. After a crash, or an error, a
   * first part of them is there, perhaps none.
   */
  restoreMany?(transactions: readonly TransactionRecord[]): Awaitable<void>
  /**
   * Ends everything, waiting for commits that have voted. Later calls on the storage or its instances raise
   * ClosedError. Closing twice is fine.
   */
  close(): Awaitable<void>
}

/** The cache a storage keeps between its instances and its backend. */
export interface StorageCache {
  /** Forgets everything, also what is shared between threads. */
  clear(): Awaitable<void>
  readonly entries: number
  /** Bytes in use, overhead included; never above `bytesLimit`. */
  readonly bytes: number
  readonly bytesLimit: number
}

/** Counts since `open`, in this isolate. */
export interface BlobCacheCounters {
  /** Blobs that were opened and found in the cache. */
  readonly hits: number
  /** Blobs that were opened where the storage keeps them. */
  readonly misses: number
  /** Content read from the cache. */
  readonly bytesRead: number
  /** Content of blobs that this storage has put into the cache. */
  readonly bytesWritten: number
  /** Blobs that this storage has removed to make room. */
  readonly evictions: number
  /** Files that were not what had been written. They were removed. */
  readonly damaged: number
}

/** What `pack` is asked to do. */
export interface PackOptions {
  /** Revisions that were already replaced when this transaction committed may go. */
  readonly before: Tid
  /** Finds the oids a record refers to. Without it nothing is collected, only old revisions go. */
  readonly references?: (data: Uint8Array) => Iterable<Oid>
  readonly signal?: AbortSignal
  /** Progress from 0 to 1; the last is 1. */
  onProgress?(fraction: number): void
}

/** What `pack` has done. */
export interface PackResult {
  readonly removedRevisions: number
  readonly removedObjects: number
  /** Of the whole store, blobs included. */
  readonly bytesBefore: number
  readonly bytesAfter: number
}

/** One committed transaction, whole. */
export interface TransactionRecord {
  readonly tid: Tid
  readonly metadata: TransactionMetadata
  readonly records: readonly ObjectRecord[]
  /**
   * Of the storage that it was iterated from: of transactions up to this one, of the earlier ones and perhaps of this,
   * something may be gone. On every transaction, also on those that are newer; left out where nothing is gone. It may lie
   * behind the last transaction that is left, so whoever restores needs it, not only which transactions there are.
   */
  readonly wholeSince?: Tid
}

/** One object revision inside a transaction. */
export interface ObjectRecord {
  readonly oid: Oid
  /** Null: the object was deleted, or its creation undone. */
  readonly data: Uint8Array | null
  /** The blob of this revision, where it has one. Usable until the iterator asks for the next transaction. */
  readonly blob?: RecordedBlob
}

/** A blob inside an iterated transaction. */
export interface RecordedBlob {
  readonly bytes: number
  /** The content from the start, in chunks of the storage's choice. Each call starts anew. */
  chunks(): AsyncIterable<Uint8Array>
}

/** Who committed, and why. Kept by storages with `iteration`, ignored by others. */
export interface TransactionMetadata {
  /** At most 65 535 bytes of UTF-8, like `description`. */
  readonly user: string
  readonly description: string
  /** Anything of the application's. At most 65 535 bytes. */
  readonly extension: Uint8Array
}

/** Of a transaction about which nothing is known. */
export const emptyMetadata: TransactionMetadata = { user: '', description: '', extension: new Uint8Array(0) }

// --- One connection's view ------------------------------------------------------------------------------------------

/** One revision of an object. */
export interface Revision {
  readonly data: Uint8Array
  /** Tid of the transaction that wrote it. */
  readonly serial: Tid
}

/**
 * What changed between two snapshots of an instance: oids whose cached state is out of date (created ones too, since
 * "does not exist" may have been cached), or `'all'` when it cannot be told: drop everything.
 */
export type Invalidations = ReadonlySet<Oid> | 'all'

/**
 * One connection's view of a storage. Used by one task at a time.
 *
 * Reading happens in a *snapshot*: every load answers as of `snapshotTid`, whatever is committed meanwhile, by this
 * instance or by others. A new instance has no snapshot; `pollInvalidations` opens one, and opens the next.
 *
 * The rule on which correctness rests: *if a snapshot shows transaction T, the polls of this instance up to that
 * snapshot have reported every object that T changed* (except T's own changes when this instance committed T). Taking
 * the snapshot and taking the list of changes is therefore one atomic step, and no `await` may separate them.
 */
export interface StorageInstance {
  /** Newest transaction that the snapshot shows. `noTid` before the first poll. */
  readonly snapshotTid: Tid
  /**
   * Ends the snapshot, if there is one, and opens a new one that shows at least every transaction that was committed
   * through this storage before the call. Returns what changed since the previous snapshot of this instance.
   */
  pollInvalidations(): Awaitable<Invalidations>
  /**
   * The revision of `oid` that the snapshot shows.
   * @throws ObjectNotFoundError when there is none (never created, deleted, or created later)
   * @throws StorageTransactionError when no snapshot is open
   */
  load(oid: Oid): Awaitable<Revision>
  /** As `load`, for many objects in one request where the backend can; undefined for those that do not exist. */
  loadMany(oids: readonly Oid[]): Awaitable<readonly (Revision | undefined)[]>
  /**
   * The newest revision older than `before`, and the tid of the revision that replaced it (undefined while it is
   * current). Undefined when the object is younger than that. Needs no snapshot.
   * @throws ObjectNotFoundError when there never was such an object, or it was deleted at that time
   */
  loadBefore(oid: Oid, before: Tid): Awaitable<RevisionSpan | undefined>
  /**
   * Brings objects into the storage's cache, in as few requests as it can; a hint. Resolves when they are there, or the
   * snapshot has ended.
   * @param signal calls it off, where the storage can: what has not come then need not come, and it resolves
   */
  prefetch?(oids: readonly Oid[], signal?: AbortSignal): Awaitable<void>
  /**
   * Opens the blob of the revision of `oid` that the snapshot shows; undefined when that revision has none. The reader
   * is independent of the snapshot: it answers until it is closed, also after the blob was replaced or packed away.
   * `release` of the instance, and `close` of the storage, close it too.
   * @throws ObjectNotFoundError, StorageTransactionError as `load` does
   */
  openBlob?(oid: Oid): Awaitable<BlobReader | undefined>
  /** Object ids that nobody has ever been given, in ascending order. */
  newOids(count: number): Awaitable<readonly Oid[]>
  /** Revisions of one object, newest first. @throws ObjectNotFoundError */
  history?(oid: Oid, count: number): Awaitable<readonly HistoryEntry[]>
  /**
   * Begins a transaction. Takes no lock and touches no backend.
   * @throws StorageTransactionError when this instance has one open, or has no snapshot
   * @throws ReadOnlyError
   */
  begin(metadata?: TransactionMetadata): Transaction
  /** The application's transaction ended, by commit or abort: end the snapshot and hold nothing open. */
  afterCompletion(): Awaitable<void>
  /** Ends this instance, aborting its transaction if one is open. Releasing twice is fine. */
  release(): Awaitable<void>
}

/**
 * A blob: bytes that belong to one revision of an object and may be more than fit in memory, so they are streamed both
 * ways. Immutable like the revision; replaced by storing the object anew.
 */
export interface BlobReader {
  /** Tid of the transaction that wrote it. */
  readonly serial: Tid
  readonly bytes: number
  /**
   * `length` bytes from `position`, fewer where the blob ends before, none beyond its end. Reads may overlap in time.
   * @throws CorruptDataError when what is read is not what was stored
   * @throws ClosedError
   */
  read(position: number, length: number): Awaitable<Uint8Array>
  /** Frees what is held open. Closing twice is fine. */
  close(): Awaitable<void>
}

/**
 * Where the bytes of a new blob come from: chunks of any size, empty ones too, taken once, in order: the next is asked
 * for when the one before has arrived. Iteration that ends early is ended with `return`, as `for await` does.
 */
export type BlobSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** A revision and when it was replaced. */
export interface RevisionSpan extends Revision {
  readonly nextSerial: Tid | undefined
}

/** One revision of an object, as `history` lists it. */
export interface HistoryEntry {
  readonly tid: Tid
  readonly metadata: TransactionMetadata
  /** Bytes of the revision; 0 for a deletion. */
  readonly bytes: number
}

// --- Two-phase commit -----------------------------------------------------------------------------------------------

/**
 * An open transaction. The order of the two-phase commit is the type: a `Transaction` can only vote, and only what
 * `vote` returned can finish. After `vote`, or after any method has thrown anything but a misuse, the only call left
 * on it is `abort`.
 *
 * Calls in the wrong order raise StorageTransactionError and change nothing.
 */
export interface Transaction {
  /**
   * Adds a revision. A second store of the same object replaces the first.
   * @param serial the revision this change started from; `noTid` for a new object
   * @throws ConflictError when somebody else committed a newer revision and it cannot be merged (or at vote)
   */
  store(oid: Oid, serial: Tid, data: Uint8Array): Awaitable<void>
  /**
   * As `store`, with a blob: the bytes of `source` belong to this revision. Resolves when all of them were taken and
   * written down, so that nothing of the blob is held in memory; `bytesWritten` counts them as they are written. Not
   * more than a few MiB are taken ahead of that. One call of the transaction at a time: no other before it resolves,
   * except `abort` (or `release`), which ends it: it takes no more chunks and raises StorageTransactionError.
   *
   * What `source` throws is thrown here, and the transaction can then only abort. A plain `store` makes a revision
   * without blob, whatever the one before had, and so does `delete`; a second `store` or `storeBlob` of the same object
   * replaces the first. A conflict on an object where the revision on either side, committed or mine, has a blob is
   * never resolved: there is no merging of blobs. `undo` brings the blob back with the revision, under the same rule:
   * a later revision that differs in its data or in its blob is in the way, and is not merged.
   */
  storeBlob?(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void>
  /**
   * Declares that this transaction is only right if `serial` is still the current revision of `oid` when it commits.
   * After a successful vote it stays current until the transaction ends.
   * @throws ReadConflictError here or at vote
   */
  readCurrent(oid: Oid, serial: Tid): Awaitable<void>
  /** Deletes an object: snapshots from this transaction on do not have it, older ones do. */
  delete?(oid: Oid, serial: Tid): Awaitable<void>
  /**
   * Adds revisions that undo what transaction `tid` did, merging later changes where they can be merged. Returns the
   * objects it changes back.
   * @throws ShootoutError `undo` when later changes are in the way
   */
  undo?(tid: Tid): Awaitable<readonly Oid[]>
  /**
   * The last point that may fail. Detects conflicts, resolves what can be resolved, takes the locks.
   * @throws ConflictError, ReadConflictError, CommitLockTimeoutError, DisconnectedError; StorageTransactionError when
   *   the transaction is aborted while the vote waits
   */
  vote(): Awaitable<VotedTransaction>
  /**
   * `vote` and, if it succeeds, `finish`, where the two together take less than one after the other: a storage behind
   * a network sends both at once. For a caller that has nothing to do in between; throws what either would throw.
   */
  commit?(onTid?: (tid: Tid) => void): Awaitable<CommittedTransaction>
  /** Ends the transaction without effect. Never throws for its state; aborting twice is fine. */
  abort(): Awaitable<void>
}

/** What `commit` did. */
export interface CommittedTransaction {
  readonly tid: Tid
  /** As in `VotedTransaction`. */
  readonly resolvedOids: readonly Oid[]
}

/** A transaction that has voted: it will succeed, unless the world ends. */
export interface VotedTransaction {
  /** Objects stored with another state than the caller's (conflicts that were resolved, undone objects). */
  readonly resolvedOids: readonly Oid[]
  /**
   * Commits. In this order: the transaction becomes durable (to the tier of the storage); `onTid` is called, once,
   * synchronously; it becomes visible to the other instances of this storage; the promise resolves with the tid. So
   * whoever sees the transaction, `onTid` has run before.
   * An exception in `onTid` does not undo the commit; it is thrown by `finish` after all is done.
   */
  finish(onTid?: (tid: Tid) => void): Awaitable<Tid>
  /** Ends the transaction without effect. */
  abort(): Awaitable<void>
}

// --- Counters -------------------------------------------------------------------------------------------------------

/**
 * Work a storage did. All are counts or bytes since `open`, in this isolate. They stand beside every time in the
 * results and are compared exactly by the gate, so they count what really happened, not what was asked for.
 */
export interface StorageCounters {
  /** Revisions handed to callers of load, loadMany, loadBefore. */
  readonly loads: number
  /** Those of them that the storage's own cache could not answer. Equal to `loads` where there is no cache. */
  readonly backendLoads: number
  readonly loadedBytes: number
  /** Revisions committed, and the bytes of their data. Blobs do not count here, but in `bytesWritten`. */
  readonly stores: number
  readonly storedBytes: number
  readonly commits: number
  /** ConflictError and ReadConflictError raised. */
  readonly conflicts: number
  readonly resolvedConflicts: number
  /** Requests to another process, awaited one after the other. 0 for storages in this process. */
  readonly roundTrips: number
  /** SQL statements executed. */
  readonly statements: number
  /** Bytes read from and written to the backend: file, socket or driver. */
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Calls of fsync or fdatasync by this process. A group of commits that shares one counts it once. */
  readonly syncs: number
}

/** Names of all counters, in the order in which reports show them. */
export const counterNames = [
  'loads',
  'backendLoads',
  'loadedBytes',
  'stores',
  'storedBytes',
  'commits',
  'conflicts',
  'resolvedConflicts',
  'roundTrips',
  'statements',
  'bytesRead',
  'bytesWritten',
  'syncs',
] as const satisfies readonly (keyof StorageCounters)[]

/** Counters that a storage counts up. */
export type MutableCounters = { -readonly [K in keyof StorageCounters]: number }

/** All zero. */
export function zeroCounters(): MutableCounters {
  return Object.fromEntries(counterNames.map((name) => [name, 0])) as MutableCounters
}

/** `a + sign × b`, for sums over isolates and differences over time. */
export function combineCounters(a: StorageCounters, b: StorageCounters, sign: 1 | -1 = 1): StorageCounters {
  const result = zeroCounters()
  for (const name of counterNames) result[name] = a[name] + sign * b[name]
  return result
}

// --- Making a module ------------------------------------------------------------------------------------------------

/**
 * Version of this contract. Raised when a storage that was right before would be used wrongly now, or the other way
 * round; what is added as an optional ability does not raise it.
 */
export const storageContract = 1

/** Types a storage module. A storage's file ends with `export default defineStorage({ … })`. */
export function defineStorage<const S extends OptionsSpec, Shared = undefined>(
  module: StorageModule<S, Shared>,
): StorageModule<S, Shared> {
  return { contract: storageContract, ...module }
}

/** What is missing for `value` to be a storage module, or undefined when nothing is. */
export function storageModuleProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'its default export is not made with defineStorage'
  const module = value as Partial<Record<keyof StorageModule, unknown>>
  if (typeof module.name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(module.name)) {
    return '`name` must be lower-case letters, digits and hyphens'
  }
  if (typeof module.summary !== 'string') return '`summary` is missing'
  if (typeof module.options !== 'object' || module.options === null)
    return '`options` is missing (use {} for none)'
  if (typeof module.capabilities !== 'function') return '`capabilities` must be a function of the options'
  if (typeof module.open !== 'function') return '`open` is missing'
  return undefined
}
