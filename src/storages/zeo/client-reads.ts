/**
 * How an instance reads: from what was prefetched for it, from the cache of the storage, and else from the server. Every
 * answer names the snapshot in which it was evaluated, which must be the one it was asked in. What comes late, when
 * the instance has gone on, is kept as what it is: a revision that an earlier snapshot shows.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { SnapshotMark } from '../cache/snapshot-index.ts'
import type { Awaitable, Revision } from '../storage.ts'
import type { BodyReader } from './body.ts'
import type { CachedView } from './client-cache.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { type Kept, readVerified, type Verified, writeKept } from './messages.ts'
import { absentLength, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

type Found = Revision | undefined

export class ClientReads {
  readonly cached: CachedView | undefined
  readonly #storage: ClientStorage
  readonly #view: number
  /** Prefetched, and not in the cache: there is none, or it did not take them. */
  readonly #prefetched = new Map<Oid, Revision>()

  constructor(storage: ClientStorage, view: number) {
    this.#storage = storage
    this.#view = view
    this.cached = storage.cache?.newView()
  }

  /** The snapshot has ended. */
  forget(): void {
    this.#prefetched.clear()
  }

  load(link: Link, snapshot: Tid, oid: Oid): Awaitable<Revision> {
    const known = this.#take(oid)
    if (known !== undefined) return known
    const { cache } = this.#storage
    const underWay = cache?.underWay(link, snapshot, oid)
    if (underWay !== undefined) return this.#join(underWay)
    this.#storage.counted.roundTrips++
    const mark = this.#markOf(snapshot)
    const loading = link.call(types.load, this.#view, link.fields.id(oid).take(), (body) => {
      checkSnapshot(body.tid(), snapshot)
      const serial = body.tid()
      return this.#arrived(oid, { serial, data: body.rest() }, mark)
    })
    cache?.setUnderWay(link, snapshot, oid, loading)
    return loading
  }

  async #join(underWay: Promise<Revision>): Promise<Revision> {
    return this.#counted(await underWay)
  }

  loadMany(link: Link, snapshot: Tid, oids: readonly Oid[]): Awaitable<readonly Found[]> {
    const found = oids.map((oid) => this.#take(oid))
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
    const revisions = await this.#request(link, snapshot, missing)
    revisions.forEach((revision, index) => {
      if (revision !== undefined) this.#arrived(missing[index]!, revision, mark)
    })
    const loaded = revisions.values()
    return found.map((revision) => revision ?? loaded.next().value)
  }

  /** @param isOpen whether the snapshot is still the instance's when the answer has come */
  async prefetch(link: Link, snapshot: Tid, oids: readonly Oid[], isOpen: () => boolean): Promise<void> {
    const missing = oids.filter((oid) => !this.#prefetched.has(oid) && this.cached?.find(oid) === undefined)
    const mark = this.#markOf(snapshot)
    const revisions = await this.#request(link, snapshot, missing)
    revisions.forEach((revision, index) => {
      if (revision === undefined) return
      const oid = missing[index]!
      if (mark !== undefined) this.cached?.keep(oid, revision, mark)
      if (this.cached?.has(oid, revision.serial) !== true && isOpen()) this.#prefetched.set(oid, revision)
    })
  }

  /** Asks whether the snapshot shows these revisions. */
  verify(link: Link, kept: readonly Kept[]): Promise<Verified> {
    this.#storage.counted.roundTrips++
    return link.call(types.verify, this.#view, writeKept(link.fields, kept), readVerified)
  }

  async #request(link: Link, snapshot: Tid, oids: readonly Oid[]): Promise<Found[]> {
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
  #take(oid: Oid): Found {
    const prefetched = this.#prefetched.get(oid)
    if (prefetched !== undefined) {
      this.#prefetched.delete(oid)
      this.#storage.counted.backendLoads++
      return this.#counted(prefetched)
    }
    const cached = this.cached?.find(oid)
    return cached === undefined ? undefined : this.#counted(cached)
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
