/**
 * A storage over any SQL adapter: sessions, object ids, counters, and what concerns the whole store. What one
 * connection sees is `instance.ts`; how it commits is `transaction.ts`.
 */

import { attempt, chain } from '../../core/awaitable.ts'
import { ClosedError, ReadOnlyError, StorageTransactionError } from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { BlobCache } from '../cache/blobs/blob-cache.ts'
import type { BlobKey } from '../cache/blobs/blob-file.ts'
import type { IncomingBlob } from '../cache/blobs/incoming-blob.ts'
import { SnapshotIndex } from '../cache/snapshot-index.ts'
import { StateCache, type StateCacheMemory } from '../cache/state-cache.ts'
import type {
  Awaitable,
  BlobSource,
  MutableCounters,
  OpenContext,
  PackOptions,
  PackResult,
  Storage,
  StorageCounters,
  StorageInstance,
  TransactionRecord,
} from '../storage.ts'
import {
  type Reader,
  restoreOrderError,
  type SqlAdapter,
  type StoredTransaction,
  type Writer,
} from './adapter.ts'
import { recordedBlob, type StoredBlob, uploadBlob } from './blobs.ts'
import { CommitOrder } from './commit-order.ts'
import { SqlInstance } from './instance.ts'
import { OidLease } from './oid-lease.ts'
import { SessionPool } from './session-pool.ts'

/**
 * Transactions fetched at once while iterating. Few at first; then as many as make a page of moderate size, so that
 * memory is bounded and the cost of a request is small beside them.
 */
const firstPageTransactions = 10
const pageTransactionsMax = 1000
const pageBytes = 4 * 1024 * 1024

export interface SqlStoreSetup {
  readonly context: OpenContext
  /** Those that the adapter counts up too. */
  readonly counters: MutableCounters
  /** What the threads of this process share. Undefined: no cache is kept. */
  readonly cache: StateCacheMemory | undefined
  /** Undefined: blobs are read from the database. */
  readonly blobCache: BlobCache | undefined
}

/** What instances and transactions of one storage have in common. */
export class SqlStore {
  readonly adapter: SqlAdapter
  readonly context: OpenContext
  readonly counters: MutableCounters
  readonly oids: OidLease
  readonly readers: SessionPool<Reader>
  readonly writers: SessionPool<Writer>
  /** Which revisions the snapshots of this isolate show, over the cache that its threads share. Undefined: no cache. */
  readonly index: SnapshotIndex | undefined
  readonly blobCache: BlobCache | undefined
  readonly instances = new Set<SqlInstance>()
  /** Transactions of this storage that are being committed, with an object that each of them changes. */
  readonly finishing = new Map<Promise<unknown>, Oid>()
  readonly commitOrder = new CommitOrder(() => this.lastTid)
  /** Transactions that have voted and not ended. Closing waits for them. */
  readonly voted = new Set<Promise<void>>()
  lastTid: Tid = noTid
  /** Of the store that is in the cache. */
  #life: number | undefined
  closed = false

  constructor(adapter: SqlAdapter, { context, counters, cache, blobCache }: SqlStoreSetup) {
    this.adapter = adapter
    this.context = context
    this.counters = counters
    this.index = cache && new SnapshotIndex(new StateCache(cache))
    this.blobCache = blobCache
    this.oids = new OidLease((count) => adapter.leaseOids(count), adapter.oidGroup)
    const idleLimit = (): number => Math.max(2, this.instances.size)
    this.readers = new SessionPool(() => adapter.openReader(), idleLimit)
    this.writers = new SessionPool(() => adapter.openWriter(), idleLimit)
  }

  /** @throws ClosedError */
  assertOpen(): void {
    if (this.closed) throw new ClosedError(this.adapter.title)
  }

  /** @throws ClosedError, ReadOnlyError */
  assertWritable(): void {
    this.assertOpen()
    if (this.context.readOnly === true) throw new ReadOnlyError(this.adapter.title)
  }

  /** Time goes forward. */
  sawTid(tid: Tid): void {
    if (tid > this.lastTid) this.lastTid = tid
  }

  /** A poll or the opening named the life of the store. In another life, a tid may name another state. */
  sawLife(life: number): void {
    if (this.#life !== undefined && this.#life !== life) this.index?.cache.startNewStore()
    this.#life = life
  }

  /** Runs `use` with a reader that has no snapshot. */
  withReader<T>(use: (reader: Reader) => Awaitable<T>): Awaitable<T> {
    return chain(this.readers.take(), (reader) =>
      attempt(
        () =>
          chain(use(reader), (result) =>
            chain(this.readers.giveBack(reader), () => this.#afterFinishing(result)),
          ),
        (error) => chain(reader.close(), () => Promise.reject(error)),
      ),
    )
  }

  /**
   * @param assertWanted as for `uploadBlob`
   * @param copies gets a copy for the cache of blobs, where there is one, by the id of the blob
   */
  async uploadBlob(
    source: BlobSource,
    assertWanted: () => void = () => {},
    copies?: Map<number, IncomingBlob>,
  ): Promise<StoredBlob> {
    const writer = await this.writers.take()
    const copy = copies && this.blobCache?.incoming(writer.blobs.chunkBytes)
    try {
      const blob = await uploadBlob(writer.blobs, copy?.copyOf(source) ?? source, assertWanted)
      if (copy !== undefined) copies?.set(blob.id, copy)
      return blob
    } catch (error) {
      copy?.drop()
      throw error
    } finally {
      await this.writers.giveBack(writer)
    }
  }

  /** By which the cache of blobs knows a revision. A copy of a store has its life too, so the place counts as well. */
  blobKey(life: number, oid: Oid, tid: Tid): BlobKey {
    return { store: `${this.adapter.title}, life ${life}`, oid, tid }
  }

  /** Removes those of them that are still pending. */
  async dropBlobs(ids: readonly number[]): Promise<void> {
    const writer = await this.writers.take()
    try {
      await writer.blobs.drop(ids)
    } finally {
      await this.writers.giveBack(writer)
    }
  }

  /** What was read may show a commit whose `finish` has not heard of it yet. Nobody hears of it earlier. */
  #afterFinishing<T>(result: T): Awaitable<T> {
    return this.finishing.size === 0 ? result : Promise.all(this.finishing.keys()).then(() => result)
  }
}

class SqlStorage implements Storage {
  readonly cache?: StateCache
  readonly blobCacheCounters?: NonNullable<Storage['blobCacheCounters']>
  readonly iterate?: NonNullable<Storage['iterate']>
  readonly wholeSince?: NonNullable<Storage['wholeSince']>
  readonly restore?: NonNullable<Storage['restore']>
  readonly restoreMany?: NonNullable<Storage['restoreMany']>
  readonly #store: SqlStore
  /** The end of the last pack. Packs go one after the other, and closing waits for them. */
  #packed: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(store: SqlStore) {
    this.#store = store
    if (store.index !== undefined) this.cache = store.index.cache
    const { blobCache } = store
    if (blobCache !== undefined) this.blobCacheCounters = () => blobCache.counters()
    if (store.adapter.keepsHistory) {
      this.iterate = (from = noTid, to = maxTid) => this.#iterate(from, to)
      this.wholeSince = () => {
        store.assertOpen()
        return store.withReader((reader) => reader.packed())
      }
      this.restore = (transaction) => this.#restore([transaction])
      this.restoreMany = (transactions) => this.#restore(transactions)
    }
  }

  get lastTid(): Tid {
    return this.#store.lastTid
  }

  newInstance(): StorageInstance {
    this.#store.assertOpen()
    return new SqlInstance(this.#store)
  }

  counters(): StorageCounters {
    return { ...this.#store.counters }
  }

  async zap(): Promise<void> {
    this.#store.assertWritable()
    for (const instance of this.#store.instances) {
      if (instance.hasTransaction)
        throw new StorageTransactionError('zap: an instance has an open transaction')
      await instance.afterCompletion()
    }
    await this.#store.adapter.zap()
    // What other threads are still reading of the store of before is refused from now on.
    this.#store.sawLife((await this.#store.adapter.state()).life)
    this.#store.lastTid = noTid
  }

  pack(options: PackOptions): Promise<PackResult> {
    const packing = this.#packed.then(() => {
      this.#store.assertWritable()
      options.signal?.throwIfAborted()
      return this.#store.adapter.pack(options, (oids) => {
        for (const oid of oids) this.cache?.deleteObject(oid)
      })
    })
    // Only the caller of a pack hears of its failure; the next one starts afresh.
    this.#packed = packing.catch(() => {})
    return packing
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const store = this.#store
    store.closed = true
    // Who has voted was promised success. Everything else ends here.
    await Promise.all([...store.voted, this.#packed])
    await Promise.all([...store.instances].map((instance) => instance.release()))
    await store.blobCache?.close()
    await store.readers.close()
    await store.writers.close()
    await store.adapter.close()
  }

  /** Not itself a generator: the range is fixed at the call, not at the first step. */
  #iterate(from: Tid, to: Tid): AsyncIterable<TransactionRecord> {
    this.#store.assertOpen()
    return this.#transactions(from, Math.min(to, this.#store.lastTid) as Tid)
  }

  async *#transactions(from: Tid, to: Tid): AsyncGenerator<TransactionRecord> {
    const reader = await this.#store.readers.take()
    try {
      await reader.poll(undefined)
      let after = Math.max(noTid, from - 1) as Tid
      let count = firstPageTransactions
      for (;;) {
        const page = await reader.transactions(after, to, count)
        const packed = await reader.packed()
        for (const transaction of await withBlobs(reader, page))
          yield packed === noTid ? transaction : { ...transaction, wholeSince: packed }
        if (page.length < count) break
        after = page.at(-1)!.tid
        count = nextPageCount(page)
      }
    } finally {
      await reader.close()
    }
  }

  async #restore(transactions: readonly TransactionRecord[]): Promise<void> {
    const store = this.#store
    store.assertWritable()
    let last = store.lastTid
    let packed: Tid = noTid
    for (const { tid, wholeSince = noTid } of transactions) {
      if (tid <= last) throw restoreOrderError(tid, last)
      last = tid
      packed = Math.max(packed, wholeSince) as Tid
    }
    if (transactions.length === 0) return
    const uploaded: number[] = []
    const stored: StoredTransaction[] = []
    try {
      for (const { tid, metadata, records } of transactions) {
        const changes: StoredTransaction['records'][number][] = []
        for (const { oid, data, blob } of records) {
          const copied = blob && (await store.uploadBlob(blob.chunks()))
          if (copied !== undefined) uploaded.push(copied.id)
          changes.push({ oid, data, blob: copied })
        }
        stored.push({ tid, metadata, records: changes })
      }
      const writer = await store.writers.take()
      try {
        await writer.restore(stored, packed)
        await store.writers.giveBack(writer)
      } catch (error) {
        await writer.close()
        throw error
      }
    } catch (error) {
      if (uploaded.length > 0) await store.dropBlobs(uploaded)
      throw error
    }
    store.counters.commits += transactions.length
    for (const { records } of transactions) {
      store.counters.stores += records.length
      for (const { oid, data } of records) {
        store.oids.skip(oid)
        store.counters.storedBytes += data?.length ?? 0
      }
    }
    store.sawTid(last)
  }
}

/** Blobs are asked for by the page, and read when somebody wants them. */
async function withBlobs(
  reader: Reader,
  page: readonly TransactionRecord[],
): Promise<readonly TransactionRecord[]> {
  if (page.length === 0) return page
  const blobs = await reader.blobs.between(page[0]!.tid, page.at(-1)!.tid)
  if (blobs.length === 0) return page
  const found = new Map(blobs.map((blob) => [`${blob.tid} ${blob.oid}`, blob]))
  return page.map((transaction) => ({
    ...transaction,
    records: transaction.records.map((record) => {
      const blob = found.get(`${transaction.tid} ${record.oid}`)
      return blob === undefined ? record : { ...record, blob: recordedBlob(reader.blobs, blob) }
    }),
  }))
}

function nextPageCount(page: readonly TransactionRecord[]): number {
  let bytes = 1
  for (const { records } of page) for (const { data } of records) bytes += data?.length ?? 0
  return Math.max(1, Math.min(pageTransactionsMax, Math.floor((pageBytes * page.length) / bytes)))
}

/** The storage over an adapter whose schema is in place. */
export async function openSqlStorage(adapter: SqlAdapter, setup: SqlStoreSetup): Promise<Storage> {
  const store = new SqlStore(adapter, setup)
  const { tid, life } = await adapter.state()
  store.lastTid = tid
  store.sawLife(life)
  return new SqlStorage(store)
}
