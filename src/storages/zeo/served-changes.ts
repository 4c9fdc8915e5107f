/**
 * What changed in the served storage, for clients that keep a cache: they ask for everything since a snapshot of
 * theirs, whichever of their views, and whenever, it was.
 *
 * A *watcher* is an instance of the served storage that never commits anything. Its polls name every change, whoever
 * made it, other users of the served storage included. They are kept as a queue of ranges; who asks for a snapshot
 * before its beginning is told that it cannot be told, and verifies what it has (`verify`). Unless it comes from an
 * earlier run of the server, and the served storage has a history: then the queue is extended backwards from there.
 *
 * The watcher polls only after the asker's own snapshot was taken, so the ranges reach beyond it. That is made exact by
 * loading the objects in that snapshot: their serials say whether they changed up to there. As long as a range is the
 * last that names an object, every snapshot from its end on shows the same revision: so it is loaded for the first who
 * asks, and the serial is kept for the others.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { describeError, ObjectNotFoundError } from '../../core/errors.ts'
import { after, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { checksumOf } from '../cache/disk/disk-cache.ts'
import type { Awaitable, Revision, Storage, StorageInstance } from '../storage.ts'
import type { Kept } from './messages.ts'

interface Range {
  readonly to: Tid
  /** What changed, and which serial snapshot `to` shows, once that is known; `noTid`: the object does not exist. */
  readonly serials: Map<Oid, Tid | undefined>
}

/** Objects that changed, each with the last range that names it; `'all'` where that is not known. */
type Found = ReadonlyMap<Oid, Range> | 'all'

/** An object and what a snapshot shows of it. */
export interface ChangedObject {
  readonly oid: Oid
  /** `noTid`: it does not exist there. */
  readonly serial: Tid
  readonly data: Uint8Array | undefined
}

export type Changes = readonly ChangedObject[] | 'all'

/** Changes in all ranges together. */
const queuedMax = 200_000
/** More changes than this are not worth being told one by one. */
const answeredMax = 20_000
/** Nor is reading more history than this, where it has to be read: states that nobody asks for are in between. */
const historyBytesMax = 64 * 1024 ** 2
/** Transactions of the history between two turns of the event loop. */
const transactionsPerTurn = 64

export class ServedChanges {
  readonly #storage: Storage
  readonly #report: (message: string) => void
  #watcher: StorageInstance | undefined
  #polling: Promise<void> | undefined
  #ranges: Range[] = []
  #queued = 0
  /** The ranges cover what came after this; undefined before the first poll. */
  #start: Tid | undefined
  /** The history does not reach back to here. */
  #unreachable: Tid = noTid
  #recalling: Promise<void> | undefined
  /** Counts how often the store was emptied: what a poll of before finds is of no use. */
  #life = 0

  /** @param report for whoever operates the server */
  constructor(storage: Storage, report: (message: string) => void) {
    this.#storage = storage
    this.#report = report
  }

  /**
   * What the snapshot of `instance` shows of all that has changed since `since`.
   * @param withData with states, which otherwise may be left out
   */
  since(instance: StorageInstance, since: Tid, withData: boolean): Awaitable<Changes> {
    const found = this.#since(since, instance.snapshotTid)
    const describe = (changed: Found) => describeChanges(instance, changed, since, withData)
    return found instanceof Promise ? found.then(describe) : describe(found)
  }

  /**
   * As `since`, for a client that knows the store from an earlier run of the server, if it was this store: its newest
   * revision has to be in the history, and its snapshot one of the transactions after it. Two databases that have one
   * past in common are told apart by what each has done since.
   */
  async sinceBefore(
    instance: StorageInstance,
    since: Tid,
    witness: Kept,
    withData: boolean,
  ): Promise<Changes> {
    const upTo = instance.snapshotTid
    const from = Math.min(since, witness.tid) as Tid
    // So that there is a queue.
    await this.#since(upTo, upTo)
    if (this.#storage.wholeSince === undefined || this.#storage.iterate === undefined) return 'all'
    let found: Found = 'all'
    try {
      // Also where there is nothing to recall: what the last transactions did may be all that has been packed away.
      const isWhole = (await this.#storage.wholeSince()) <= from
      if (isWhole) await this.#recall(from)
      const isKnown = isWhole && (await isInHistory(instance, witness)) && (await this.#hasTransaction(since))
      if (isKnown) found = this.#collect(from)
    } catch (error) {
      // Clients can do without; whoever operates the server should know.
      this.#report(`the history since ${from} cannot be read: ${describeError(error)}`)
    }
    return await describeChanges(instance, found, from, withData)
  }

  /** Changes in (since, upTo], and perhaps some later ones. */
  #since(since: Tid, upTo: Tid): Awaitable<Found> {
    if (this.#polling === undefined && this.#watcher !== undefined && this.#watcher.snapshotTid >= upTo) {
      return this.#collect(since)
    }
    return this.#watchUpTo(since, upTo)
  }

  /** Extends the queue backwards to `from`, where the storage has that history, and it is not too much. */
  async #recall(from: Tid): Promise<void> {
    while (this.#recalling !== undefined) await this.#recalling
    if (this.#start === undefined || from >= this.#start || from <= this.#unreachable) return
    this.#recalling = this.#extendBack(from, this.#start).finally(() => {
      this.#recalling = undefined
    })
    await this.#recalling
  }

  async #extendBack(from: Tid, upTo: Tid): Promise<void> {
    const life = this.#life
    const ranges: Range[] = []
    let changes = 0
    let bytes = 0
    let isWhole = (await this.#storage.wholeSince!()) <= from
    for await (const { tid, records } of isWhole ? this.#storage.iterate!(after(from), upTo) : []) {
      ranges.push(
        rangeOf(
          tid,
          records.map(({ oid }) => oid),
        ),
      )
      changes += records.length
      for (const { data } of records) bytes += data?.length ?? 0
      isWhole = changes <= answeredMax && bytes <= historyBytesMax
      if (!isWhole) break
      if (ranges.length % transactionsPerTurn === 0) await nextTurn()
    }
    // A pack may have begun to remove what was to be read.
    isWhole &&= (await this.#storage.wholeSince!()) <= from
    if (life !== this.#life || this.#start !== upTo) return
    if (!isWhole) {
      this.#unreachable = from
      return
    }
    this.#ranges.unshift(...ranges)
    this.#queued += changes
    this.#start = from
  }

  async #hasTransaction(tid: Tid): Promise<boolean> {
    for await (const found of this.#storage.iterate!(tid, tid)) return found.tid === tid
    return false
  }

  /** The store was emptied: tids begin anew. */
  forget(): void {
    const watcher = this.#watcher
    this.#life++
    this.#watcher = undefined
    this.#polling = undefined
    this.#unreachable = noTid
    this.#clear(undefined)
    void watcher?.release()
  }

  close(): void {
    this.forget()
  }

  async #watchUpTo(since: Tid, upTo: Tid): Promise<Found> {
    // Whoever polls now may have begun before our snapshot was taken: then once more.
    for (let attempt = 0; attempt < 2; attempt++) {
      if (this.#polling === undefined) {
        const polling: Promise<void> = this.#poll().finally(() => {
          if (this.#polling === polling) this.#polling = undefined
        })
        this.#polling = polling
      }
      await this.#polling
      if (this.#watcher !== undefined && this.#watcher.snapshotTid >= upTo) return this.#collect(since)
    }
    return 'all'
  }

  async #poll(): Promise<void> {
    const life = this.#life
    const isFirst = this.#watcher === undefined
    const watcher = this.#watcher ?? (await this.#storage.newInstance())
    const changed = await watcher.pollInvalidations()
    // Between polls no snapshot is held open.
    await watcher.afterCompletion()
    if (life !== this.#life) {
      await watcher.release()
      return
    }
    this.#watcher = watcher
    const to = watcher.snapshotTid
    if (isFirst || changed === 'all') {
      this.#clear(to)
    } else if (changed.size > 0) {
      this.#ranges.push(rangeOf(to, changed))
      this.#queued += changed.size
      while (this.#queued > queuedMax) this.#dropOldest()
    }
  }

  #clear(start: Tid | undefined): void {
    this.#ranges = []
    this.#queued = 0
    this.#start = start
  }

  #dropOldest(): void {
    const oldest = this.#ranges.shift()!
    this.#queued -= oldest.serials.size
    this.#start = oldest.to
  }

  #collect(since: Tid): Found {
    if (this.#start === undefined || since < this.#start) return 'all'
    const found = new Map<Oid, Range>()
    for (let at = this.#ranges.length - 1; at >= 0 && this.#ranges[at]!.to > since; at--) {
      const range = this.#ranges[at]!
      for (const oid of range.serials.keys()) if (!found.has(oid)) found.set(oid, range)
      if (found.size > answeredMax) return 'all'
    }
    return found
  }
}

const rangeOf = (to: Tid, oids: Iterable<Oid>): Range => {
  const serials = new Map<Oid, Tid | undefined>()
  for (const oid of oids) serials.set(oid, undefined)
  return { to, serials }
}

async function isInHistory(instance: StorageInstance, { oid, tid, checksum }: Kept): Promise<boolean> {
  try {
    const found = await instance.loadBefore(oid, after(tid))
    return found?.serial === tid && checksumOf(oid, tid, found.data) === checksum
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return false
    throw error
  }
}

/** Those of the revisions that the snapshot of `instance` does not show. */
export async function staleOf(instance: StorageInstance, kept: readonly Kept[]): Promise<Oid[]> {
  const revisions = await instance.loadMany(kept.map(({ oid }) => oid))
  const stale: Oid[] = []
  kept.forEach(({ oid, tid, checksum }, index) => {
    const shown = revisions[index]
    const isSame = shown?.serial === tid && checksumOf(oid, tid, shown.data) === checksum
    if (!isSame) stale.push(oid)
  })
  return stale
}

/** What the snapshot of `instance` shows of these objects, those aside that have not changed since `since`. */
function describeChanges(
  instance: StorageInstance,
  found: Found,
  since: Tid,
  withData: boolean,
): Awaitable<Changes> {
  if (found === 'all' || since === noTid) return 'all'
  const snapshot = instance.snapshotTid
  const changed: ChangedObject[] = []
  const unknown: Oid[] = []
  for (const [oid, { to, serials }] of found) {
    const serial = to <= snapshot && !withData ? serials.get(oid) : undefined
    if (serial === undefined) unknown.push(oid)
    else if (isChange(serial, since)) changed.push({ oid, serial, data: undefined })
  }
  if (unknown.length === 0) return changed
  const add = (revisions: readonly (Revision | undefined)[]): Changes => {
    revisions.forEach((revision, index) => {
      const oid = unknown[index]!
      const serial = revision?.serial ?? noTid
      const { to, serials } = found.get(oid)!
      if (to <= snapshot) serials.set(oid, serial)
      if (isChange(serial, since)) changed.push({ oid, serial, data: revision?.data })
    })
    return changed
  }
  const loading = instance.loadMany(unknown)
  return loading instanceof Promise ? loading.then(add) : add(loading)
}

const isChange = (serial: Tid, since: Tid): boolean => serial === noTid || serial > since
