/**
 * How an instance reads: from what was prefetched for it, from the cache of the storage, and else from the server, which
 * may be asked for more than that (client-ahead.ts). Every answer names the snapshot in which it was evaluated, which must be the one it was asked in. What comes late, when
 * the instance has gone on, is kept as what it is: a revision that an earlier snapshot shows.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { SnapshotMark } from '../cache/snapshot-view.ts'
import type { Awaitable, Revision } from '../storage.ts'
import type { BodyReader } from './body.ts'
import { type AheadHost, ClientAhead } from './client-ahead.ts'
import type { CachedView } from './client-cache.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import {
  type Allowance,
  type Kept,
  readVerified,
  type SentObject,
  type Verified,
  writeKept,
  writeLoad,
} from './messages.ts'
import { absentLength, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

type Found = Revision | undefined

/** Bytes that are held for an instance because there is no cache, or it did not take them. */
const prefetchedBytesMax = 16 * 1024 ** 2

export class ClientReads implements AheadHost {
  readonly cached: CachedView | undefined
  readonly #storage: ClientStorage
  readonly #view: number
  readonly #isOpen: (snapshot: Tid) => boolean
  /** Prefetched, and not in the cache: there is none, or it did not take them. */
  readonly #prefetched = new Map<Oid, Revision>()
  #prefetchedBytes = 0
  /** Of the present snapshot, once something is wanted ahead. */
  #ahead: ClientAhead | undefined

  /** @param isOpen whether the instance is in this snapshot */
  constructor(storage: ClientStorage, view: number, isOpen: (snapshot: Tid) => boolean) {
    this.#storage = storage
    this.#view = view
    this.#isOpen = isOpen
    this.cached = storage.cache?.newView()
  }

  /** The snapshot has ended. */
  forget(): void {
    this.#prefetched.clear()
    this.#prefetchedBytes = 0
    const ahead = this.#ahead
    this.#ahead = undefined
    ahead?.end()
  }

  load(link: Link, snapshot: Tid, oid: Oid): Awaitable<Revision> {
    const known = this.#take(link, snapshot, oid)
    if (known !== undefined) return known
    const { cache } = this.#storage
    const underWay = cache?.underWay(link, snapshot, oid)
    if (underWay !== undefined) return this.#join(underWay)
    cache?.ahead.missed(oid)
    const loading = this.#request(link, snapshot, oid)
    cache?.setUnderWay(link, snapshot, oid, loading)
    return loading
  }

  #request(link: Link, snapshot: Tid, oid: Oid): Promise<Revision> {
    this.#storage.counted.roundTrips++
    const mark = this.#markOf(snapshot)
    const ahead = this.#ahead
    let isUsed = false
    // Called by the answer, or before it by the same object that was prefetched.
    const use = (revision: Revision): Revision => {
      if (isUsed) return revision
      isUsed = true
      this.#arrived(oid, revision, mark)
      ahead?.arrived(oid, revision)
      this.#follow(link, snapshot, revision)
      return revision
    }
    const fields = writeLoad(link.fields, oid, this.#along(link))
    const loading = link.call(types.load, this.#view, fields, (body) => {
      checkSnapshot(body.tid(), snapshot)
      const serial = body.tid()
      return use({ serial, data: body.rest() })
    })
    return ahead?.isExpected(oid) === true ? ahead.overtake(oid, loading, use) : loading
  }

  /** What the server may send along. Without a cache there would be nowhere to put it. */
  #along(link: Link): Allowance | undefined {
    const { readAhead } = this.#storage
    if (readAhead === undefined || readAhead.neighbours === 0 || this.cached === undefined) return undefined
    if (!link.welcome.sendsNeighbours) return undefined
    return { objects: readAhead.neighbours, bytes: readAhead.bytesMax }
  }

  async #join(underWay: Promise<Revision>): Promise<Revision> {
    return this.#counted(await underWay)
  }

  loadMany(link: Link, snapshot: Tid, oids: readonly Oid[]): Awaitable<readonly Found[]> {
    const found = oids.map((oid) => this.#take(link, snapshot, oid))
    const missing = oids.filter((_oid, index) => found[index] === undefined)
    if (missing.length === 0) return found
    return this.#loadMissing(link, snapshot, found, missing)
  }

  async #loadMissing(
    link: Link,
    snapshot: Tid,
    found: readonly Found[],
    missing: readonly Oid[],
  ): Promise<Found[]> {
    const mark = this.#markOf(snapshot)
    const revisions = await this.#requestMany(link, snapshot, missing)
    revisions.forEach((revision, index) => {
      if (revision === undefined) return
      this.#arrived(missing[index]!, revision, mark)
      this.#ahead?.arrived(missing[index]!, revision)
      this.#follow(link, snapshot, revision)
    })
    const loaded = revisions.values()
    return found.map((revision) => revision ?? loaded.next().value)
  }

  prefetch(link: Link, snapshot: Tid, oids: readonly Oid[], signal: AbortSignal | undefined): Promise<void> {
    return this.#aheadOf(link, snapshot).prefetch(oids, signal)
  }

  /** Objects have come along, or were prefetched. Those of a snapshot that has been left are of no use any more. */
  received(snapshot: Tid, objects: readonly SentObject[]): void {
    const mark = this.#markOf(snapshot)
    const ahead = this.#ahead?.snapshot === snapshot ? this.#ahead : undefined
    for (const { oid, serial, data } of objects) {
      const revision = { serial, data }
      if (mark !== undefined) this.cached!.keepAhead(oid, revision, mark)
      const isNamed = ahead?.arrived(oid, revision) === true
      if (isNamed && this.cached?.has(oid, serial) !== true) this.#hold(oid, revision)
    }
  }

  #hold(oid: Oid, revision: Revision): void {
    if (this.#prefetchedBytes + revision.data.length > prefetchedBytesMax) return
    this.#prefetchedBytes += revision.data.length
    this.#prefetched.set(oid, revision)
  }

  #aheadOf(link: Link, snapshot: Tid): ClientAhead {
    this.#ahead ??= new ClientAhead(this, link, this.#view, snapshot, this.#storage.readAhead)
    return this.#ahead
  }

  /**
   * What a loaded object refers to is fetched, unless it has come late, when its snapshot has been left.
   * @param isHere the server was not asked for it, so it sends no neighbours
   */
  #follow(link: Link, snapshot: Tid, { data }: Revision, isHere = false): void {
    const { readAhead } = this.#storage
    if (readAhead === undefined || this.#markOf(snapshot) === undefined || !this.#isOpen(snapshot)) return
    if (readAhead.depth > 0) this.#aheadOf(link, snapshot).follow(data, readAhead.depth, readAhead.objectsMax)
    else if (isHere && link.welcome.sendsNeighbours)
      this.#aheadOf(link, snapshot).follow(data, 1, readAhead.neighbours)
  }

  // --- For reading ahead ---

  get counted() {
    return this.#storage.counted
  }

  here(oid: Oid): Uint8Array | undefined {
    return (this.#prefetched.get(oid) ?? this.cached?.find(oid))?.data
  }

  loading(link: Link, snapshot: Tid, oid: Oid): Promise<unknown> | undefined {
    return this.#storage.cache?.underWay(link, snapshot, oid)
  }

  /** Asks whether the snapshot shows these revisions. */
  verify(link: Link, kept: readonly Kept[]): Promise<Verified> {
    this.#storage.counted.roundTrips++
    return link.call(types.verify, this.#view, writeKept(link.fields, kept), readVerified)
  }

  async #requestMany(link: Link, snapshot: Tid, oids: readonly Oid[]): Promise<Found[]> {
    if (oids.length === 0) return []
    this.#storage.counted.roundTrips++
    const revisions: Found[] = []
    for (const oid of oids) link.fields.id(oid)
    const part = (body: BodyReader) => readRevisions(body, snapshot, revisions)
    await link.call(types.loadMany, this.#view, link.fields.take(), () => {}, part)
    if (revisions.length !== oids.length) throw new ProtocolError('a bulk answer is not complete')
    return revisions
  }

  /** What is here, counted as handed out. */
  #take(link: Link, snapshot: Tid, oid: Oid): Found {
    const prefetched = this.#prefetched.get(oid)
    if (prefetched !== undefined) {
      this.#prefetched.delete(oid)
      this.#prefetchedBytes -= prefetched.data.length
      this.#storage.counted.backendLoads++
      return this.#counted(prefetched)
    }
    const cached = this.cached?.find(oid)
    if (cached === undefined) return undefined
    // The reader has come to what was fetched for it: so what that refers to is next.
    if (this.#storage.cache!.ahead.found(oid)) this.#follow(link, snapshot, cached, true)
    return this.#counted(cached)
  }

  #arrived(oid: Oid, revision: Revision, mark: SnapshotMark | undefined): Revision {
    if (mark !== undefined) this.cached!.keep(oid, revision, mark)
    this.#storage.counted.backendLoads++
    return this.#counted(revision)
  }

  #counted(revision: Revision): Revision {
    const { counted } = this.#storage
    counted.loads++
    counted.loadedBytes += revision.data.length
    return revision
  }

  #markOf(snapshot: Tid): SnapshotMark | undefined {
    const mark = this.cached?.mark
    return mark?.horizon === snapshot ? mark : undefined
  }
}

function checkSnapshot(evaluatedAt: Tid, expected: Tid): void {
  if (evaluatedAt === expected) return
  throw new ProtocolError(`a load was answered from snapshot ${evaluatedAt}, not ${expected}`)
}

function readRevisions(body: BodyReader, snapshot: Tid, revisions: Found[]): void {
  checkSnapshot(body.tid(), snapshot)
  const count = body.count(12)
  const serials = new Array<Tid>(count)
  const lengths = new Array<number>(count)
  for (let index = 0; index < count; index++) {
    serials[index] = body.tid()
    lengths[index] = body.u32()
  }
  for (let index = 0; index < count; index++) {
    const length = lengths[index]!
    revisions.push(length === absentLength ? undefined : { serial: serials[index]!, data: body.raw(length) })
  }
  body.end()
}
