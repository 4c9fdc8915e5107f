/**
 * What a client keeps in memory of what it has read and written: the state cache, shared by the threads of a process,
 * and an index of what changed when, fed by the answers to polls.
 *
 * Which revision a snapshot shows is only ever believed of what the present run of the server has said. When another
 * run is found behind the address, nothing that was learnt before is used until the first poll there has been answered.
 */

import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { SnapshotIndex, type SnapshotMark, type SnapshotView } from '../cache/snapshot-index.ts'
import { createStateCache, StateCache, type StateCacheMemory } from '../cache/state-cache.ts'
import type { Revision, StorageCache } from '../storage.ts'
import { sameBytes } from './client-session.ts'
import type { Link } from './link.ts'
import type { ChangedState, PollQuestion, SnapshotWithChanges, Welcome } from './messages.ts'
import { nonceBytes } from './protocol.ts'

/** What the threads of a process have in common. */
export interface SharedClientCache {
  readonly memory: StateCacheMemory
  /** Of which run of which server, after how many zaps, the contents are. */
  readonly origin: SharedArrayBuffer
}

export function shareClientCache(bytesLimit: number): SharedClientCache {
  return {
    memory: createStateCache({ bytesLimit }),
    origin: new SharedArrayBuffer(nonceBytes + 4),
  }
}

export interface ClientCacheOptions {
  /** New states of small objects come with the notice of their change. */
  readonly updateStates?: boolean
}

interface UnderWay {
  readonly link: Link
  readonly snapshot: Tid
  readonly loading: Promise<Revision>
}

export class ClientCache implements StorageCache {
  readonly states: StateCache
  readonly index: SnapshotIndex
  readonly withStates: boolean
  readonly #origin: Uint8Array
  readonly #underWay = new Map<Oid, UnderWay>()
  /** Snapshots before this one are not of the present run. `maxTid`: none is known to be. */
  #floor: Tid = noTid

  constructor(shared: SharedClientCache, options: ClientCacheOptions = {}) {
    this.states = new StateCache(shared.memory)
    this.index = new SnapshotIndex(this.states)
    this.withStates = options.updateStates ?? false
    this.#origin = new Uint8Array(shared.origin)
  }

  /** The first connection is there: what other storages of this process left is of use if it is of the same store. */
  begin(welcome: Welcome): void {
    const origin = originOf(welcome)
    if (sameBytes(this.#origin, origin)) return
    const isNew = this.#origin.every((byte) => byte === 0)
    this.#origin.set(origin)
    if (!isNew) this.states.startNewStore()
  }

  /** Another run of the server is behind the address. */
  doubt(welcome: Welcome): void {
    this.#origin.set(originOf(welcome))
    this.#floor = maxTid
    this.index.forget()
    this.#underWay.clear()
  }

  /** The store was emptied. */
  startNewStore(): void {
    this.states.startNewStore()
    this.#underWay.clear()
  }

  newView(): CachedView {
    return new CachedView(this, this.index.newView())
  }

  committed(tid: Tid, records: Iterable<{ readonly oid: Oid; readonly data: Uint8Array | null }>): void {
    this.index.committed(tid, records)
  }

  /** The same object for the same snapshot is asked for once, whoever wants it. */
  underWay(link: Link, snapshot: Tid, oid: Oid): Promise<Revision> | undefined {
    const found = this.#underWay.get(oid)
    return found?.link === link && found.snapshot === snapshot ? found.loading : undefined
  }

  setUnderWay(link: Link, snapshot: Tid, oid: Oid, loading: Promise<Revision>): void {
    const one = { link, snapshot, loading }
    this.#underWay.set(oid, one)
    const end = () => {
      if (this.#underWay.get(oid) === one) this.#underWay.delete(oid)
    }
    loading.then(end, end)
  }

  // --- For the views ---

  /** From when on changes may be asked for. */
  usable(since: Tid | undefined): Tid {
    return since === undefined || since < this.#floor ? noTid : since
  }

  /** A poll of the present run has been answered. */
  answered(snapshot: Tid): void {
    if (this.#floor !== maxTid) return
    this.#floor = snapshot
    this.states.raiseOrigin(snapshot)
  }

  // --- StorageCache ---

  clear(): void {
    this.states.clear()
    this.#underWay.clear()
  }

  get entries(): number {
    return this.states.entries
  }

  get bytes(): number {
    return this.states.bytes
  }

  get bytesLimit(): number {
    return this.states.bytesLimit
  }
}

/** One instance's view of the cache. */
export class CachedView {
  readonly #cache: ClientCache
  readonly #view: SnapshotView

  constructor(cache: ClientCache, view: SnapshotView) {
    this.#cache = cache
    this.#view = view
  }

  /** To be called before the server is asked for a new snapshot. */
  ask(): PollQuestion {
    return { since: this.#cache.usable(this.#view.beginPoll()), withStates: this.#cache.withStates }
  }

  /** The answer, at the moment it arrives. */
  arrived({ since }: PollQuestion, { tid, changes }: SnapshotWithChanges): void {
    if (since === noTid || changes === 'all') this.#view.polled(tid, undefined, 'all')
    else
      this.#view.polled(
        tid,
        since,
        changes.map((change) => changeAt(change, tid)),
      )
    this.#cache.answered(tid)
    if (changes === 'all') return
    const mark = this.mark
    if (mark === undefined) return
    for (const { oid, serial, data } of changes)
      if (data !== undefined) this.keep(oid, { serial, data }, mark)
  }

  /** The snapshot of the last answer, for `keep`. */
  get mark(): SnapshotMark | undefined {
    return this.#view.snapshot
  }

  /** What the snapshot shows, where that is known and here. */
  find(oid: Oid): Revision | undefined {
    return this.#view.find(oid)
  }

  /** Whether exactly that revision is here. */
  has(oid: Oid, serial: Tid): boolean {
    return this.#cache.states.has(oid, serial)
  }

  /** The server has said that the snapshot `mark` shows this; it may have ended long ago. */
  keep(oid: Oid, { serial, data }: Revision, mark: SnapshotMark): void {
    this.#view.loaded(oid, serial, data, mark)
  }

  release(): void {
    this.#view.release()
  }
}

/** An object that does not exist in the snapshot has no revision; nothing in the cache can be it. */
function changeAt({ oid, serial }: ChangedState, snapshot: Tid): { oid: Oid; tid: Tid } {
  return { oid, tid: serial === noTid ? snapshot : serial }
}

function originOf({ run, zaps }: Welcome): Uint8Array {
  const bytes = new Uint8Array(nonceBytes + 4)
  bytes.set(run)
  new DataView(bytes.buffer).setUint32(nonceBytes, zaps)
  return bytes
}
