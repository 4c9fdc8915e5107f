/**
 * A storage for tests of what stands on storages: right by being simple. It keeps every revision in a list, and answers
 * with values or, where asked, with promises. A test that needs a lying storage overrides one method.
 */

import { setImmediate } from 'node:timers/promises'
import {
  ConflictError,
  ObjectNotFoundError,
  ReadConflictError,
  StorageTransactionError,
} from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import type {
  Awaitable,
  ConflictResolver,
  Invalidations,
  MutableCounters,
  Revision,
  RevisionSpan,
  Storage,
  StorageCache,
  StorageInstance,
  Transaction,
  VotedTransaction,
} from '../../src/storages/storage.ts'
import { zeroCounters } from '../../src/storages/storage.ts'

export interface TestStorageOptions {
  /** Every answer is a promise that takes a turn of the event loop. */
  readonly waits?: boolean
  /** Has a cache: loads of the same revision reach the backend once, until it is cleared. */
  readonly cached?: boolean
  readonly resolveConflict?: ConflictResolver
}

export class TestStorage implements Storage {
  readonly options: TestStorageOptions
  readonly revisions = new Map<Oid, Revision[]>()
  readonly log: { readonly tid: Tid; readonly oids: readonly Oid[] }[] = []
  readonly counts: MutableCounters = zeroCounters()
  readonly cache?: StorageCache
  readonly cachedOids = new Set<string>()
  /** Calls in order: `store 1`, `vote`, `finish` … */
  readonly calls: string[] = []
  lastTid = noTid
  nextOid = 1

  constructor(options: TestStorageOptions = {}) {
    this.options = options
    if (options.cached === true) {
      const entries = this.cachedOids
      this.cache = {
        clear: () => entries.clear(),
        get entries() {
          return entries.size
        },
        bytes: 0,
        bytesLimit: 1 << 30,
      }
    }
  }

  newInstance(): Awaitable<StorageInstance> {
    return this.answer(new TestInstance(this))
  }

  counters(): MutableCounters {
    return this.counts
  }

  zap(): void {
    this.revisions.clear()
    this.log.length = 0
  }

  close(): void {}

  answer<T>(value: T): Awaitable<T> {
    return this.options.waits === true ? setImmediate(value) : value
  }

  currentOf(oid: Oid): Revision | undefined {
    return this.revisions.get(oid)?.at(-1)
  }

  /** Where a lie is easily told. */
  commit(changes: ReadonlyMap<Oid, Uint8Array>): Tid {
    const tid = (this.lastTid + 1) as Tid
    for (const [oid, data] of changes) {
      const list = this.revisions.get(oid) ?? []
      list.push({ data, serial: tid })
      this.revisions.set(oid, list)
      this.counts.stores++
      this.counts.storedBytes += data.length
    }
    this.counts.commits++
    this.log.push({ tid, oids: [...changes.keys()] })
    this.lastTid = tid
    return tid
  }

  read(oid: Oid, snapshot: Tid): Revision | undefined {
    return this.revisions.get(oid)?.findLast((one) => one.serial <= snapshot)
  }
}

class TestInstance implements StorageInstance {
  readonly storage: TestStorage
  snapshotTid = noTid
  /** Transactions committed through this instance: their changes are not reported to it. */
  readonly ownTids = new Set<Tid>()
  #hasSnapshot = false
  #transaction: TestTransaction | undefined

  constructor(storage: TestStorage) {
    this.storage = storage
  }

  pollInvalidations(): Awaitable<Invalidations> {
    const changed = new Set<Oid>()
    for (const { tid, oids } of this.storage.log) {
      if (tid > this.snapshotTid && !this.ownTids.has(tid)) for (const oid of oids) changed.add(oid)
    }
    this.snapshotTid = this.storage.lastTid
    this.#hasSnapshot = true
    this.storage.calls.push('poll')
    return this.storage.answer(changed)
  }

  load(oid: Oid): Awaitable<Revision> {
    this.storage.calls.push(`load ${oid}`)
    const revision = this.#read(oid)
    if (revision === undefined) throw new ObjectNotFoundError(oid)
    return this.storage.answer(revision)
  }

  loadMany(oids: readonly Oid[]): Awaitable<readonly (Revision | undefined)[]> {
    this.storage.calls.push(`loadMany ${oids.length}`)
    return this.storage.answer(oids.map((oid) => this.#read(oid)))
  }

  prefetch(oids: readonly Oid[]): Awaitable<void> {
    this.storage.calls.push(`prefetch ${oids.length}`)
    const { cachedOids, counts } = this.storage
    counts.roundTrips++
    for (const oid of oids) cachedOids.add(`${oid}@${this.storage.read(oid, this.snapshotTid)?.serial}`)
    return this.storage.answer(undefined)
  }

  #read(oid: Oid): Revision | undefined {
    if (!this.#hasSnapshot) throw new StorageTransactionError('no snapshot')
    const revision = this.storage.read(oid, this.snapshotTid)
    if (revision === undefined) return undefined
    const { counts, cachedOids, cache } = this.storage
    counts.loads++
    counts.loadedBytes += revision.data.length
    const key = `${oid}@${revision.serial}`
    if (cache === undefined || !cachedOids.has(key)) counts.backendLoads++
    if (cache !== undefined) cachedOids.add(key)
    return revision
  }

  loadBefore(): Awaitable<RevisionSpan | undefined> {
    throw new Error('not asked for in these tests')
  }

  newOids(count: number): Awaitable<readonly Oid[]> {
    this.storage.calls.push(`newOids ${count}`)
    const first = this.storage.nextOid
    this.storage.nextOid += count
    return this.storage.answer(Array.from({ length: count }, (_, index) => (first + index) as Oid))
  }

  begin(): Transaction {
    if (this.#transaction !== undefined) throw new StorageTransactionError('a transaction is open')
    this.storage.calls.push('begin')
    this.#transaction = new TestTransaction(this.storage, (tid) => {
      this.#transaction = undefined
      if (tid !== undefined) this.ownTids.add(tid)
    })
    return this.#transaction
  }

  afterCompletion(): Awaitable<void> {
    this.#hasSnapshot = false
    this.storage.calls.push('afterCompletion')
    return this.storage.answer(undefined)
  }

  release(): Awaitable<void> {
    this.storage.calls.push('release')
    return this.storage.answer(undefined)
  }
}

class TestTransaction implements Transaction, VotedTransaction {
  readonly #storage: TestStorage
  readonly #end: (tid?: Tid) => void
  readonly #changes = new Map<Oid, { serial: Tid; data: Uint8Array }>()
  readonly #reads = new Map<Oid, Tid>()
  readonly resolvedOids: Oid[] = []

  constructor(storage: TestStorage, end: (tid?: Tid) => void) {
    this.#storage = storage
    this.#end = end
  }

  store(oid: Oid, serial: Tid, data: Uint8Array): Awaitable<void> {
    this.#storage.calls.push(`store ${oid}`)
    this.#changes.set(oid, { serial, data })
    return this.#storage.answer(undefined)
  }

  readCurrent(oid: Oid, serial: Tid): Awaitable<void> {
    this.#storage.calls.push(`readCurrent ${oid}`)
    this.#reads.set(oid, serial)
    return this.#storage.answer(undefined)
  }

  /** Detection and commit are one step here, in `finish`: nothing of others comes between. */
  vote(): Awaitable<VotedTransaction> {
    this.#storage.calls.push('vote')
    this.#detect()
    return this.#storage.answer(this)
  }

  #detect(): void {
    const { counts } = this.#storage
    for (const [oid, serial] of this.#reads) {
      const current = this.#storage.currentOf(oid)?.serial ?? noTid
      if (current === serial) continue
      counts.conflicts++
      throw new ReadConflictError(oid, current, serial)
    }
    for (const [oid, change] of this.#changes) {
      const current = this.#storage.currentOf(oid)
      if ((current?.serial ?? noTid) === change.serial) continue
      const base = this.#storage.read(oid, change.serial)
      const merged =
        current === undefined || base === undefined
          ? undefined
          : this.#storage.options.resolveConflict?.(oid, base.data, current.data, change.data)
      if (merged === undefined) {
        counts.conflicts++
        throw new ConflictError(oid, current?.serial ?? noTid, change.serial)
      }
      counts.resolvedConflicts++
      this.#changes.set(oid, { serial: current!.serial, data: merged })
      this.resolvedOids.push(oid)
    }
  }

  finish(onTid?: (tid: Tid) => void): Awaitable<Tid> {
    this.#storage.calls.push('finish')
    this.#detect()
    const tid = this.#storage.commit(new Map([...this.#changes].map(([oid, { data }]) => [oid, data])))
    onTid?.(tid)
    this.#end(tid)
    return this.#storage.answer(tid)
  }

  abort(): Awaitable<void> {
    this.#storage.calls.push('abort')
    this.#end()
    return this.#storage.answer(undefined)
  }
}
