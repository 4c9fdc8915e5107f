/**
 * One task's view of a database: a snapshot of objects, and the changes it will commit. Transactions are explicit:
 * `begin`, then read and change, then `commit` or `abort`. Whatever was loaded stays loaded for the next transaction
 * unless somebody else changed it.
 *
 * A connection is used by one task at a time. Objects belong to the connection that made them and must not be handed
 * to another.
 */

import { isPromise } from '../core/awaitable.ts'
import { CorruptDataError, ShootoutError, StorageTransactionError } from '../core/errors.ts'
import { type Oid, rootOid, type Tid } from '../core/ids.ts'
import {
  type Awaitable,
  type BlobReader,
  emptyMetadata,
  type Invalidations,
  type StorageInstance,
  type TransactionMetadata,
} from '../storages/storage.ts'
import type { ClassRegistry } from './class-registry.ts'
import { carryOutCommit } from './commit.ts'
import { ObjectCache, type ObjectCacheLimits } from './object-cache.ts'
import { ObjectReader } from './object-reader.ts'
import { OpenBlobs } from './open-blobs.ts'
import { notLoaded, type ObjectOwner, type Persistent } from './persistent.ts'
import { PersistentMap } from './persistent-map.ts'
import { type Phase, wrongPhase } from './phase.ts'

/** Objects that went between connections and storage. */
export interface TransferCounts {
  readonly loads: number
  readonly stores: number
}

/** What a database gives each of its connections. */
export interface ConnectionSetup {
  readonly instance: StorageInstance
  readonly classes: ClassRegistry
  readonly limits: ObjectCacheLimits
  /** Takes the connection back when it is closed. */
  readonly giveBack: (connection: Connection) => Awaitable<void>
}

/** One task's view of a database: a snapshot of objects, and the changes it will commit. */
export class Connection implements ObjectOwner {
  readonly #setup: ConnectionSetup
  readonly #instance: StorageInstance
  readonly #cache: ObjectCache
  readonly #reader: ObjectReader
  #phase: Phase = 'idle'
  /** Counts transactions, so that a load that comes back too late is noticed. */
  #transaction = 0
  readonly #changed = new Set<Persistent>()
  readonly #readCurrent = new Set<Persistent>()
  readonly #blobs = new OpenBlobs()
  /** What went wrong after the last commit was done; the next `begin` throws it. */
  #lateError: unknown
  #loads = 0
  #stores = 0

  constructor(setup: ConnectionSetup) {
    this.#setup = setup
    this.#instance = setup.instance
    this.#cache = new ObjectCache(setup.limits)
    this.#reader = new ObjectReader(this, setup.classes, this.#cache)
  }

  /** Objects loaded from, and stored into, the storage so far. */
  transferCounts(): TransferCounts {
    return { loads: this.#loads, stores: this.#stores }
  }

  /** Objects that have their state, and the bytes of their records. */
  get cached(): { readonly objects: number; readonly bytes: number } {
    return { objects: this.#cache.size, bytes: this.#cache.bytes }
  }

  /** The newest transaction that this one sees. */
  get snapshotTid(): Tid {
    return this.#instance.snapshotTid
  }

  // --- Reading ------------------------------------------------------------------------------------------------------

  /** The object from which all others are reached, loaded. */
  get root(): Awaitable<PersistentMap> {
    const root = this.get(rootOid)
    return isPromise(root) ? root.then(rootMap) : rootMap(root)
  }

  /**
   * The object of this oid, loaded.
   * @throws ObjectNotFoundError, CorruptDataError
   */
  get(oid: Oid): Awaitable<Persistent> {
    const known = this.#cache.find(oid)
    if (known !== undefined) return this.activate(known)
    this.#mustBeOpen()
    this.#loads++
    const revision = this.#instance.load(oid)
    if (!isPromise(revision)) return this.#reader.read(oid, revision)
    const transaction = this.#transaction
    return revision.then((arrived) => {
      this.#mustStillBe(transaction)
      return this.#reader.read(oid, arrived)
    })
  }

  /**
   * Gives an object its state, if it has none, and returns it: at once where the storage answers at once. Test for a
   * promise before you wait, and reading what is loaded costs nanoseconds.
   * @throws ObjectNotFoundError, CorruptDataError, StorageTransactionError
   */
  activate<T extends Persistent>(object: T): Awaitable<T> {
    if (object.status !== 'ghost') {
      object.recentlyUsed = true
      return object
    }
    const oid = this.#loadable(object)
    this.#loads++
    const revision = this.#instance.load(oid)
    if (!isPromise(revision)) return this.#reader.fill(object, oid, revision)
    const transaction = this.#transaction
    return revision.then((arrived) => {
      this.#mustStillBe(transaction)
      return this.#reader.fill(object, oid, arrived)
    })
  }

  /** As `activate`, for many objects in one request to the storage. */
  activateMany(objects: readonly Persistent[]): Awaitable<void> {
    const ghosts = objects.filter((object) => object.status === 'ghost')
    for (const object of objects) object.recentlyUsed = true
    if (ghosts.length === 0) return
    const oids = ghosts.map((object) => this.#loadable(object))
    this.#loads += oids.length
    const revisions = this.#instance.loadMany(oids)
    if (!isPromise(revisions)) return this.#reader.fillMany(ghosts, oids, revisions)
    const transaction = this.#transaction
    return revisions.then((arrived) => {
      this.#mustStillBe(transaction)
      this.#reader.fillMany(ghosts, oids, arrived)
    })
  }

  /**
   * Asks the storage to bring objects near in one request; a hint, for `activate` afterwards. Nothing happens where the
   * storage has no cache to bring them to.
   * @param signal calls it off
   */
  prefetch(objects: readonly Persistent[], signal?: AbortSignal): Awaitable<void> {
    const oids: Oid[] = []
    for (const object of objects) if (object.status === 'ghost') oids.push(this.#loadable(object))
    if (oids.length > 0) return this.#instance.prefetch?.(oids, signal)
  }

  /** For `PersistentBlob.open`. Whoever forgets to close the reader has it closed with the connection. */
  async openBlob(object: Persistent): Promise<BlobReader | undefined> {
    const oid = this.#loadable(object)
    const transaction = this.#transaction
    const reader = await this.#instance.openBlob?.(oid)
    if (reader === undefined) return undefined
    if (this.#transaction !== transaction) {
      await reader.close()
      this.#mustStillBe(transaction)
    }
    return this.#blobs.add(reader)
  }

  /** Forgets the state of all unchanged objects. */
  minimizeCache(): void {
    this.#cache.makeAllGhosts()
  }

  /** Gives this connection's cache other limits than the database's, until it is closed. */
  limitCache(limits: ObjectCacheLimits): void {
    this.#cache.limits = limits
  }

  /** Forgets least used objects until the cache's limits hold. Every transaction boundary does this by itself. */
  collectCache(): void {
    this.#cache.collect()
  }

  // --- Transactions -------------------------------------------------------------------------------------------------

  /**
   * Begins a transaction that sees everything committed through this database before now.
   * @throws StorageTransactionError when one is open
   */
  begin(): Awaitable<void> {
    if (this.#phase !== 'idle') wrongPhase(this.#phase, 'begin')
    const lateError = this.#lateError
    if (lateError !== undefined) {
      this.#lateError = undefined
      throw lateError
    }
    this.#transaction++
    const invalidations = this.#instance.pollInvalidations()
    if (isPromise(invalidations)) return invalidations.then((arrived) => this.#beginWith(arrived))
    this.#beginWith(invalidations)
  }

  /** Makes a new object part of the next commit. It gets its oid then. Whatever it refers to is added by itself. */
  add<T extends Persistent>(object: T): T {
    this.#mustBeOpen()
    if (object.owner === this) return object
    if (object.owner !== undefined || object.status !== 'new') throw foreign(object)
    object.owner = this
    this.#changed.add(object)
    return object
  }

  /**
   * Makes the commit fail if somebody changes `object`, which this transaction has read, before it is done.
   * @throws ShootoutError `object-not-loaded` for a ghost: what was not read cannot have been relied on
   */
  readCurrent(object: Persistent): void {
    this.#mustBeOpen()
    if (object.status === 'ghost') throw notLoaded(object)
    if (object.status === 'new') return
    if (object.owner !== this) throw foreign(object)
    this.#readCurrent.add(object)
  }

  /**
   * Makes all changes permanent and ends the transaction. Returns its tid, or the tid of the snapshot when there was
   * nothing to commit. After an error the transaction has had no effect (for a lost connection: perhaps none), and the
   * connection is good for `abort` only.
   * @throws ConflictError, ReadConflictError and other transient errors: abort and repeat the whole transaction
   */
  async commit(metadata: TransactionMetadata = emptyMetadata): Promise<Tid> {
    if (this.#phase !== 'open') wrongPhase(this.#phase, 'commit')
    if (this.#changed.size === 0 && this.#readCurrent.size === 0) {
      const seen = this.#instance.snapshotTid
      const ended = this.#end()
      if (isPromise(ended)) await ended
      return seen
    }
    this.#phase = 'committing'
    let tid: Tid
    try {
      const outcome = await carryOutCommit(
        this.#instance,
        this,
        this.#setup.classes,
        metadata,
        this.#changed,
        this.#readCurrent,
      )
      tid = outcome.tid
      for (const { object, oid, recordBytes } of outcome.written) {
        object.serial = tid
        this.#cache.hold(oid, object, recordBytes)
      }
      for (const oid of outcome.resolvedOids) this.#cache.makeGhost(oid)
      this.#stores += outcome.written.length
    } catch (error) {
      this.#phase = 'failed'
      this.#forgetConflicting(error)
      throw error
    }
    try {
      const ended = this.#end()
      if (isPromise(ended)) await ended
    } catch (error) {
      // The transaction is committed. Thrown here, the error would say that it is not, and the work would be repeated.
      this.#lateError = error
    }
    return tid
  }

  /** Drops all changes and ends the transaction. Does nothing when none is open. */
  abort(): Awaitable<void> {
    if (this.#phase === 'committing') wrongPhase(this.#phase, 'abort')
    if (this.#phase === 'idle' || this.#phase === 'closed') return
    for (const object of this.#changed) {
      if (object.status === 'new') {
        object.oid = undefined
        object.owner = undefined
      } else this.#cache.makeGhost(object.oid!)
    }
    return this.#end()
  }

  /**
   * Moves on to the newest snapshot in the middle of a transaction that has changed nothing.
   * @throws StorageTransactionError when there are changes: they were made to objects as they are in this snapshot
   */
  sync(): Awaitable<void> {
    this.#mustBeOpen()
    if (this.#changed.size > 0) {
      throw new StorageTransactionError(
        'the transaction has changed objects; commit or abort it before you sync',
      )
    }
    this.#readCurrent.clear()
    this.#phase = 'idle'
    return this.begin()
  }

  /**
   * Gives the connection back to its database. An open transaction that changed nothing is ended.
   * @throws StorageTransactionError when there are changes: commit or abort them first
   */
  async close(): Promise<void> {
    if (this.#phase === 'closed') return
    if (this.#phase === 'committing' || (this.#phase === 'open' && this.#changed.size > 0)) {
      throw new StorageTransactionError('the connection has uncommitted changes; commit or abort them first')
    }
    await this.abort()
    this.#phase = 'closed'
    this.#cache.limits = this.#setup.limits
    try {
      await this.#blobs.closeAll()
    } finally {
      await this.#setup.giveBack(this)
    }
  }

  /** For the database, when it takes the connection from its pool. */
  reopen(): void {
    this.#phase = 'idle'
  }

  /** For the database: ends it for good, whatever it is doing. */
  async release(): Promise<void> {
    this.#phase = 'closed'
    await this.#instance.release()
  }

  // --- For persistent objects ---------------------------------------------------------------------------------------

  willChange(object: Persistent): void {
    this.#mustBeOpen()
    object.status = 'changed'
    this.#changed.add(object)
  }

  // --- Inside -------------------------------------------------------------------------------------------------------

  #beginWith(invalidations: Invalidations): void {
    if (invalidations === 'all') this.#cache.makeAllGhosts()
    else for (const oid of invalidations) this.#cache.makeGhost(oid)
    this.#phase = 'open'
  }

  #end(): Awaitable<void> {
    this.#changed.clear()
    this.#readCurrent.clear()
    this.#transaction++
    this.#phase = 'idle'
    this.#cache.collect()
    return this.#instance.afterCompletion()
  }

  /** The object that somebody else changed is out of date here, even if it was only read. */
  #forgetConflicting(error: unknown): void {
    const oid = error instanceof ShootoutError ? error.details['oid'] : undefined
    if (typeof oid !== 'number') return
    const object = this.#cache.find(oid as Oid)
    if (object?.status === 'saved') this.#cache.makeGhost(oid as Oid)
  }

  #loadable(object: Persistent): Oid {
    this.#mustBeOpen()
    if (object.owner !== this || object.oid === undefined) throw foreign(object)
    return object.oid
  }

  #mustBeOpen(): void {
    if (this.#phase !== 'open') wrongPhase(this.#phase, 'read or change objects')
  }

  #mustStillBe(transaction: number): void {
    if (this.#transaction === transaction && this.#phase === 'open') return
    throw new StorageTransactionError(
      'the transaction ended while an object was being loaded; await every load',
    )
  }
}

function rootMap(root: Persistent): PersistentMap {
  if (root instanceof PersistentMap) return root
  throw new CorruptDataError(`the root object is a ${root.className}, not a map`)
}

function foreign(object: Persistent): ShootoutError {
  return new ShootoutError(
    'foreign-object',
    `object ${object.oid ?? '(new)'} (${object.className}) belongs to another connection; get it again through this one`,
    { details: { oid: object.oid, className: object.className } },
  )
}
