/**
 * The storage as its clients have it. Everything is kept by the server; here are the connection, the instances, and
 * what all instances have in common: the newest transaction known, leased object ids, counters.
 */

import { ClosedError, ReadOnlyError } from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { BlobCache } from '../cache/blobs/blob-cache.ts'
import {
  type BlobCacheCounters,
  type Capabilities,
  type MutableCounters,
  type OpenContext,
  type PackOptions,
  type PackResult,
  type Storage,
  type StorageCounters,
  type TransactionRecord,
  zeroCounters,
} from '../storage.ts'
import type { AheadSettings } from './client-ahead.ts'
import type { ClientCache } from './client-cache.ts'
import { iterateThere, restoreThere } from './client-copy.ts'
import { ClientInstance } from './client-instance.ts'
import { packThere } from './client-pack.ts'
import { ClientSession } from './client-session.ts'
import type { ClientTransaction } from './client-transaction.ts'
import { verifyCache } from './client-verification.ts'
import type { ServerPlace } from './dialer.ts'
import type { Link } from './link.ts'
import { readObjects } from './messages.ts'
import { OidLease } from './oid-lease.ts'
import { types } from './protocol.ts'
import { systemTimers, type Timers } from './timers.ts'

export interface ClientSettings {
  /** Tried in this order. */
  readonly servers: readonly ServerPlace[]
  /** A read-only server will do while no other answers. */
  readonly readOnlyFallback?: boolean
  readonly token?: string
  /** How long a call waits for a connection, ms; 0: not at all. */
  readonly waitMs?: number
  /** Every snapshot asks the server, even when the newest one known would do. */
  readonly alwaysAsk?: boolean
  readonly timers?: Timers
  /** Without it no cache is kept. */
  readonly cache?: ClientCache
  /** Without it blobs are read from the server. */
  readonly blobCache?: BlobCache
  /** Needs a cache. */
  readonly readAhead?: AheadSettings
}

/** Connects. @throws DisconnectedError, or what the server answers: `wrong-token`, `protocol-version` … */
export async function openClient(settings: ClientSettings, context: OpenContext): Promise<ClientStorage> {
  const storage = new ClientStorage(settings, context)
  await storage.session.open()
  storage.start()
  return storage
}

export class ClientStorage implements Storage {
  iterate?: (from?: Tid, to?: Tid) => AsyncIterable<TransactionRecord>
  restore?: (transaction: TransactionRecord) => Promise<void>
  pack?: (options: PackOptions) => Promise<PackResult>
  blobCacheCounters?: () => BlobCacheCounters
  readonly context: OpenContext
  readonly session: ClientSession
  readonly counted: MutableCounters = zeroCounters()
  readonly lease: OidLease
  readonly alwaysAsk: boolean
  readonly cache?: ClientCache
  readonly blobCache?: BlobCache
  readonly readAhead?: AheadSettings
  /** Instances that hold a snapshot ahead of its use. */
  readonly ahead = new Set<ClientInstance>()
  readonly #instances = new Map<number, ClientInstance>()
  readonly #voted = new Set<ClientTransaction>()
  #capabilities!: Capabilities
  #lastTid: Tid = noTid
  #wasEmptied = false
  #lastView = 0
  #lastTransaction = 0
  #closing: Promise<void> | undefined
  #whenNoneVoted: (() => void) | undefined

  constructor(settings: ClientSettings, context: OpenContext) {
    this.context = context
    this.alwaysAsk = settings.alwaysAsk ?? false
    if (settings.cache !== undefined) this.cache = settings.cache
    const { blobCache } = settings
    if (blobCache !== undefined) {
      this.blobCache = blobCache
      this.blobCacheCounters = () => blobCache.counters()
    }
    if (settings.readAhead !== undefined) this.readAhead = settings.readAhead
    this.lease = new OidLease(this)
    this.session = new ClientSession(
      {
        token: '',
        waitMs: 30_000,
        readOnlyFallback: false,
        timers: systemTimers,
        ...settings,
        readOnly: context.readOnly ?? false,
        log: (message) => context.log(message),
      },
      {
        changed: (body) => this.advance(body.tid()),
        zapped: () => this.#onZapped(),
        objects: (link, view, body) => {
          const { snapshot, objects } = readObjects(body)
          this.#instances.get(view)?.received(link, snapshot, objects)
        },
        restarted: (welcome) => this.cache?.doubt(welcome),
        lost: () => {
          for (const instance of this.#instances.values()) instance.loseLink()
        },
      },
    )
  }

  /** The first connection is there. */
  start(): void {
    const { welcome } = this.session
    const { capabilities, lastTid } = welcome
    if (this.cache !== undefined) {
      const { cache } = this
      cache.onDoubt = () => verifyCache(this, cache)
      cache.begin(welcome)
    }
    this.#capabilities = capabilities
    if (capabilities.pack) this.pack = (options) => packThere(this, options)
    this.advance(lastTid)
    if ((this.readAhead?.neighbours ?? 0) > 0 && !welcome.sendsNeighbours)
      this.context.log('zeo: the server does not find references, and sends no neighbours along')
    if (capabilities.iteration) {
      this.iterate = (from, to) => this.#iterate(from, to)
      this.restore = (transaction) => restoreThere(this, transaction)
    }
  }

  /** Of what is served. */
  get capabilities(): Capabilities {
    return this.#capabilities
  }

  get lastTid(): Tid {
    return this.#lastTid
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * By which the cache of blobs knows what is served there: nobody but this run of the server can say that it is the same.
   * Undefined: revisions cannot be told from those of before a zap, so there is no caching until the storage is opened anew.
   */
  blobStoreAt({ welcome }: Link): string | undefined {
    if (this.#wasEmptied) return undefined
    return `zeo ${Buffer.from(welcome.run).toString('hex')} ${welcome.zaps}`
  }

  newInstance(): ClientInstance {
    this.checkOpen()
    const instance = new ClientInstance(this, ++this.#lastView)
    this.#instances.set(instance.number, instance)
    return instance
  }

  forgetInstance(instance: ClientInstance): void {
    this.#instances.delete(instance.number)
    this.ahead.delete(instance)
  }

  nextTransactionNumber(): number {
    return ++this.#lastTransaction
  }

  /** The server shows `tid`. Snapshots that were opened ahead and do not show it are of no use any more. */
  advance(tid: Tid): void {
    if (tid <= this.#lastTid) return
    this.#lastTid = tid
    this.session.seen(tid)
    for (const instance of this.ahead) instance.dropAhead(tid)
  }

  /** The store was packed: snapshots that were opened ahead may still show what has gone. */
  packed(): void {
    // Objects that were garbage go without a commit, so no snapshot reports them.
    this.cache?.clear()
    for (const instance of this.ahead) instance.dropAhead(maxTid)
  }

  /** One request to be awaited. */
  async request<T>(send: (link: Link) => Promise<T>): Promise<T> {
    this.checkOpen()
    this.counted.roundTrips++
    const link = this.session.link()
    return await send(link instanceof Promise ? await link : link)
  }

  counters(): StorageCounters {
    return {
      ...this.counted,
      bytesRead: this.session.bytesRead,
      bytesWritten: this.session.bytesWritten,
    }
  }

  async zap(): Promise<void> {
    this.checkWritable()
    for (const instance of this.#instances.values()) instance.prepareZap()
    await this.request((link) =>
      // What follows happens when the answer arrives, before anything newer does.
      link.call(types.zap, 0, nothing, () => this.#onZapped()),
    )
  }

  #onZapped(): void {
    this.#lastTid = noTid
    this.#wasEmptied = true
    this.cache?.startNewStore()
    this.session.forget()
    this.lease.forget()
    for (const instance of this.#instances.values()) instance.loseTrack()
  }

  #iterate(from: Tid = noTid, to: Tid = this.#lastTid): AsyncIterable<TransactionRecord> {
    this.checkOpen()
    // The range is fixed now, whenever the first step is taken.
    return iterateThere(this, from, Math.min(to, this.#lastTid) as Tid)
  }

  // --- The end --------------------------------------------------------------------------------------------------------

  /** A transaction has voted: closing waits for it. */
  voted(transaction: ClientTransaction): void {
    this.#voted.add(transaction)
  }

  ended(transaction: ClientTransaction): void {
    this.#voted.delete(transaction)
    if (this.#voted.size === 0) this.#whenNoneVoted?.()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#voted.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenNoneVoted = resolve
      })
    }
    this.session.close()
    this.cache?.close()
    await Promise.all([...this.#instances.values()].map((instance) => instance.closeBlobs()))
    await this.blobCache?.close()
  }

  checkOpen(): void {
    if (this.isClosed) throw new ClosedError('the storage')
  }

  /** @throws ClosedError, ReadOnlyError */
  checkWritable(): void {
    this.checkOpen()
    if (this.context.readOnly === true) throw new ReadOnlyError('the storage')
    if (this.session.welcome.isReadOnly) throw new ReadOnlyError('the server')
  }

  /** For `newOids`: asks for a range. */
  async requestOids(count: number): Promise<readonly Oid[]> {
    return await this.request((link) =>
      link.call(types.newOids, 0, link.fields.u32(count).take(), (body) => body.oids()),
    )
  }
}

const nothing = new Uint8Array(0)
