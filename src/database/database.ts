/**
 * A storage as applications see it: connections that hold live objects, over any storage. The harness opens the storage
 * and hands a `Database` to scenarios; an application does the same for itself.
 */

import { randomUUID } from 'node:crypto'
import { ClosedError, ConflictError, ObjectNotFoundError } from '../core/errors.ts'
import { noTid, rootOid } from '../core/ids.ts'
import { Random } from '../core/random.ts'
import { settled } from '../core/settled.ts'
import { type Awaitable, emptyMetadata, type Storage } from '../storages/storage.ts'
import type { ClassRegistry } from './class-registry.ts'
import { Connection, type TransferCounts } from './connection.ts'
import { PersistentMap } from './persistent-map.ts'
import { encodeRecord } from './record-encoder.ts'
import { type RetryOptions, withRetries } from './retry.ts'
import { standardClasses } from './standard-classes.ts'

/** How much its connections keep, and which classes they know. */
export interface DatabaseOptions {
  /** Objects with state that each connection keeps after a transaction. Default 50 000. */
  readonly cacheObjectsLimit?: number
  /** Bytes of records whose objects each connection keeps after a transaction. Default 32 MiB. */
  readonly cacheBytesLimit?: number
  /** Closed connections kept to be opened again, with all they have loaded. Default 8. */
  readonly poolSize?: number
  /** Default: the standard classes and those added with `registerClass`. */
  readonly classes?: ClassRegistry
}

/** Transactions run by `transact`. */
export interface TransactionCounts {
  readonly committed: number
  /** Runs of the work. */
  readonly attempts: number
  /** Runs after the first, of transactions that were committed in the end. */
  readonly repeated: number
  /** Runs that failed, for whatever reason. */
  readonly failed: number
}

/** Retries of `transact`, unless said otherwise: with doubling waits about a third of a second. */
const retriesDefault = 12

/** A storage as applications see it: connections that hold live objects. */
export class Database {
  readonly storage: Storage
  readonly options: DatabaseOptions
  readonly #connections = new Set<Connection>()
  /** Closed connections, the one closed last at the end. */
  readonly #pool: Connection[] = []
  readonly #random = new Random(randomUUID())
  #ready: Promise<void> | undefined
  /** Of connections that are gone. */
  #transfers: TransferCounts = { loads: 0, stores: 0 }
  readonly #transactions = { committed: 0, attempts: 0, repeated: 0, failed: 0 }
  #closed = false

  constructor(storage: Storage, options: DatabaseOptions = {}) {
    this.storage = storage
    this.options = options
  }

  /**
   * A connection of the caller's own, until it closes it. The first one writes the root object into an empty store.
   * @throws ReadOnlyError when the store is empty and cannot be written
   */
  async openConnection(): Promise<Connection> {
    this.#mustBeOpen()
    await this.#rootIsThere()
    const pooled = this.#pool.pop()
    if (pooled !== undefined) {
      pooled.reopen()
      return pooled
    }
    const instance = await this.storage.newInstance()
    if (this.#closed) {
      await instance.release()
      this.#mustBeOpen()
    }
    const { cacheObjectsLimit = 50_000, cacheBytesLimit = 32 * 1024 ** 2 } = this.options
    const connection = new Connection({
      instance,
      classes: this.options.classes ?? standardClasses,
      limits: { objects: cacheObjectsLimit, bytes: cacheBytesLimit },
      giveBack: (one) => this.#takeBack(one),
    })
    this.#connections.add(connection)
    return connection
  }

  /**
   * Runs `work` in a transaction of a connection of its own and commits. After a transient error (a conflict, above all)
   * it waits a little and runs all of it again, so `work` must do nothing that cannot be done twice.
   * @throws what `work` or the commit threw last
   */
  async transact<T>(
    work: (connection: Connection) => Awaitable<T>,
    options: Partial<RetryOptions> = {},
  ): Promise<T> {
    const connection = await this.openConnection()
    try {
      const { retries = retriesDefault, random = this.#random } = options
      const counts = this.#transactions
      const attempt = async (): Promise<T> => {
        counts.attempts++
        await connection.begin()
        const value = await work(connection)
        await connection.commit()
        return value
      }
      const recover = (): Awaitable<void> => {
        counts.failed++
        return connection.abort()
      }
      const outcome = await withRetries({ retries, random }, attempt, recover)
      counts.committed++
      counts.repeated += outcome.attempts - 1
      return outcome.value
    } finally {
      await connection.close()
    }
  }

  /** What `transact` has done so far. */
  transactionCounts(): TransactionCounts {
    return { ...this.#transactions }
  }

  /** Objects that all connections together loaded from, and stored into, the storage. */
  transferCounts(): TransferCounts {
    let { loads, stores } = this.#transfers
    for (const connection of this.#connections) {
      const counts = connection.transferCounts()
      loads += counts.loads
      stores += counts.stores
    }
    return { loads, stores }
  }

  /**
   * Ends all connections, open ones without commit. The storage stays open; who opened it closes it.
   * @throws the first error of a connection that could not be ended, when all the others are
   */
  async close(): Promise<void> {
    this.#closed = true
    this.#pool.length = 0
    await settled([...this.#connections].map((connection) => this.#drop(connection)))
  }

  async #takeBack(connection: Connection): Promise<void> {
    if (this.#closed || this.#pool.length >= (this.options.poolSize ?? 8)) await this.#drop(connection)
    else this.#pool.push(connection)
  }

  async #drop(connection: Connection): Promise<void> {
    if (!this.#connections.delete(connection)) return
    const { loads, stores } = connection.transferCounts()
    this.#transfers = { loads: this.#transfers.loads + loads, stores: this.#transfers.stores + stores }
    await connection.release()
  }

  /** Asked once, unless it failed: then whoever opens the next connection tries again. */
  #rootIsThere(): Promise<void> {
    this.#ready ??= this.#makeRoot().catch((error: unknown) => {
      this.#ready = undefined
      throw error
    })
    return this.#ready
  }

  /** Makes sure that there is a root object. Others may do so at the same time; one of them wins, and that is enough. */
  async #makeRoot(): Promise<void> {
    const instance = await this.storage.newInstance()
    try {
      await instance.pollInvalidations()
      try {
        await instance.load(rootOid)
        return
      } catch (error) {
        if (!(error instanceof ObjectNotFoundError)) throw error
      }
      const transaction = instance.begin({ ...emptyMetadata, description: 'root object' })
      try {
        const root = new PersistentMap()
        await transaction.store(rootOid, noTid, encodeRecord(root.className, root.getState()))
        const voted = await transaction.vote()
        await voted.finish()
      } catch (error) {
        await transaction.abort()
        if (!(error instanceof ConflictError)) throw error
      }
    } finally {
      await instance.afterCompletion()
      await instance.release()
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClosedError('the database')
  }
}
