/**
 * What a client keeps in memory of what it has read and written: the state cache, shared by the threads of a process,
 * and an index of what changed when, fed by the answers to polls.
 *
 * Which revision a snapshot shows is only ever believed of what the server has said of this store. When another run of
 * a server is found behind the address, nothing that was learnt before is used until the first poll there has been
 * answered: it names a revision, the *witness*, and where the history of what is served now has it, all is believed as
 * before, and the answer tells what was missed. Otherwise everything that is kept has to be verified, one by one.
 */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Change } from '../cache/change-log.ts'
import { checksumOf, type DiskCache } from '../cache/disk/disk-cache.ts'
import { defaultPolicy } from '../cache/policies/index.ts'
import { SnapshotIndex } from '../cache/snapshot-index.ts'
import type { SnapshotMark, SnapshotView } from '../cache/snapshot-view.ts'
import { createStateCache, StateCache, type StateCacheMemory } from '../cache/state-cache.ts'
import type { Invalidations, Revision, StorageCache } from '../storage.ts'
import { AheadCounts } from './ahead-counts.ts'
import { sameBytes } from './client-session.ts'
import type { Welcome } from './handshake.ts'
import type { Link } from './link.ts'
import type { ChangedState, Kept, PollQuestion, SnapshotWithChanges } from './messages.ts'
import { nonceBytes } from './protocol.ts'

/** What the threads of a process have in common. */
export interface SharedClientCache {
  readonly memory: StateCacheMemory
  /** Of which run of which server, after how many zaps, the contents are. */
  readonly origin: SharedArrayBuffer
}

export function shareClientCache(bytesLimit: number, policy = defaultPolicy): SharedClientCache {
  return {
    memory: createStateCache({ bytesLimit, policy }),
    origin: new SharedArrayBuffer(nonceBytes + 4),
  }
}

export interface ClientCacheOptions {
  /** What is kept from one process to the next; only this storage uses it. */
  readonly disk?: DiskCache
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
  readonly disk: DiskCache | undefined
  readonly ahead = new AheadCounts()
  /** Called when there is something of which nobody knows whether it is current. */
  onDoubt: () => void = () => {}
  readonly #origin: Uint8Array
  readonly #underWay = new Map<Oid, UnderWay>()
  /** Snapshots before this one may be of another store: nothing is asked since. */
  #floor: Tid = noTid
  /** The server runs anew, and whether its store is the one that we know is not known yet. */
  #undecided: Welcome | undefined

  constructor(shared: SharedClientCache, options: ClientCacheOptions = {}) {
    this.states = new StateCache(shared.memory)
    this.index = new SnapshotIndex(this.states)
    this.disk = options.disk
    this.withStates = options.updateStates ?? false
    this.#origin = new Uint8Array(shared.origin)
  }

  /** The first connection is there: what other storages of this process left is of use if it is of the same store. */
  begin(welcome: Welcome): void {
    const origin = originOf(welcome)
    if (!sameBytes(this.#origin, origin)) {
      const isNew = this.#origin.every((byte) => byte === 0)
      this.#origin.set(origin)
      if (!isNew) this.states.startNewStore()
    }
    const { disk } = this
    if (disk === undefined) return
    // Of the same run, and the first to be here: then the changes since are all there is to ask for.
    const isSame = disk.isOf(origin)
    if (isSame || disk.horizon === noTid || welcome.lastTid < disk.horizon)
      disk.begin(origin, welcome.lastTid)
    else this.#undecided = welcome
    if (disk.horizon !== noTid) this.states.proposeOrigin(disk.horizon)
  }

  /** Another run of a server is behind the address. */
  doubt(welcome: Welcome): void {
    this.#origin.set(originOf(welcome))
    this.#undecided = welcome
    this.#underWay.clear()
    const known = this.index.horizon ?? noTid
    // What is newer than all that has been told, by whoever, cannot be proven to be of this store; a load brings it back.
    for (const { oid, tid, through } of this.#keys())
      if (tid > known || through > welcome.lastTid) this.states.delete(oid, tid)
  }

  /** The store was emptied. */
  startNewStore(): void {
    this.states.startNewStore()
    this.disk?.clear()
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

  /** A snapshot, and every change since another one. */
  heard(snapshot: Tid, since: Tid, changes: readonly Change[] | 'all'): void {
    this.disk?.advance(snapshot, since, changes)
    if (changes === 'all') {
      if (this.entries > 0 || (this.disk?.entries ?? 0) > 0) this.onDoubt()
      return
    }
    if (this.disk === undefined) return
    // What this storage has committed itself is in memory, and current from now on.
    for (const { oid, tid } of changes) {
      const data = this.states.peek(oid, tid)
      if (data !== undefined) this.keepOnDisk(oid, tid, data, tid)
    }
  }

  /** @param through a snapshot that shows this */
  keepOnDisk(oid: Oid, tid: Tid, data: Uint8Array, through: Tid): void {
    if (this.disk === undefined || this.index.horizon !== this.disk.horizon) return
    if (this.index.isCurrent(oid, tid, through)) this.disk.put(oid, tid, data)
  }

  /** @param since the newest snapshot of which all is known */
  question(since: Tid | undefined): PollQuestion {
    const { withStates } = this
    if (since === undefined || since < this.#floor) return { since: noTid, withStates }
    if (this.#undecided === undefined) return { since, withStates }
    const witness = this.#newest(since)
    return witness === undefined ? { since: noTid, withStates } : { since, withStates, witness }
  }

  /** What is to be believed of an answer. */
  judge(
    { since, witness }: PollQuestion,
    { tid, changes }: SnapshotWithChanges,
  ): SnapshotWithChanges['changes'] {
    // Asked before it was decided otherwise.
    const isForgotten = since !== noTid && since < this.#floor
    const believed = isForgotten || since === noTid || this.#contradicts(since, changes) ? 'all' : changes
    if (this.#undecided !== undefined && (witness !== undefined || since === noTid))
      this.#decide(this.#undecided, believed !== 'all', tid)
    return believed
  }

  /** What is told of the time before `since` is known; where it is told otherwise, another store is there. */
  #contradicts(since: Tid, changes: SnapshotWithChanges['changes']): boolean {
    if (changes === 'all') return false
    return changes.some(
      ({ oid, serial }) => serial !== noTid && serial <= since && this.index.contradicts(oid, serial),
    )
  }

  /** The first poll of a run has been answered. */
  #decide(welcome: Welcome, isSame: boolean, snapshot: Tid): void {
    this.#undecided = undefined
    if (isSame) {
      this.disk?.adopt(originOf(welcome))
      return
    }
    this.#floor = snapshot
    this.index.forget()
    this.states.raiseOrigin(snapshot)
    this.disk?.begin(originOf(welcome), welcome.lastTid)
  }

  /** The newest revision up to `since`, in memory or on the disk. */
  #newest(since: Tid): Kept | undefined {
    let [oid, tid]: [Oid | undefined, Tid] = [undefined, noTid]
    for (const key of this.#keys()) if (key.tid > tid && key.tid <= since) ({ oid, tid } = key)
    const kept = this.disk?.newest()
    if (kept !== undefined && kept.tid > tid && kept.tid <= since) return kept
    const data = oid === undefined ? undefined : this.states.peek(oid, tid)
    return data === undefined ? undefined : { oid: oid!, tid, checksum: checksumOf(oid!, tid, data) }
  }

  *#keys() {
    for (const keys of this.states.keys()) yield* keys
  }

  // --- StorageCache ---

  clear(): void {
    this.states.clear()
    this.disk?.clear()
    this.#underWay.clear()
  }

  close(): void {
    this.disk?.close()
  }

  /** In memory. */
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
    return this.#cache.question(this.#view.beginPoll())
  }

  /** The answer, at the moment it arrives. Returns what has changed since the previous snapshot of this view. */
  arrived(question: PollQuestion, snapshot: SnapshotWithChanges): Invalidations {
    const { since } = question
    const { tid } = snapshot
    const changes = this.#cache.judge(question, snapshot)
    const list = changes === 'all' ? 'all' : changes.map((change) => changeAt(change, tid))
    const changed = this.#view.polled(tid, list === 'all' ? undefined : since, list)
    this.#cache.heard(tid, since, list)
    const mark = this.mark
    if (changes !== 'all' && mark !== undefined) {
      for (const { oid, serial, data } of changes)
        if (data !== undefined) this.keep(oid, { serial, data }, mark)
    }
    return changed === 'all' ? 'all' : new Set(changed.map(({ oid }) => oid))
  }

  /** The snapshot of the last answer, for `keep`. */
  get mark(): SnapshotMark | undefined {
    return this.#view.snapshot
  }

  /** What the snapshot shows, where that is known and here. */
  find(oid: Oid): Revision | undefined {
    return this.#view.find(oid) ?? this.#findOnDisk(oid)
  }

  #findOnDisk(oid: Oid): Revision | undefined {
    const { disk } = this.#cache
    const serial = disk?.find(oid)
    const { mark } = this
    if (disk === undefined || serial === undefined || mark === undefined) return undefined
    if (!this.#view.shows(oid, serial, disk.horizon)) return undefined
    const data = disk.read(oid)
    if (data === undefined) return undefined
    this.#view.loaded(oid, serial, data, mark)
    return { serial, data }
  }

  /** Whether exactly that revision is here. */
  has(oid: Oid, serial: Tid): boolean {
    return this.#cache.states.has(oid, serial)
  }

  /** The server has said that the snapshot `mark` shows this; it may have ended long ago. */
  keep(oid: Oid, { serial, data }: Revision, mark: SnapshotMark): void {
    this.#view.loaded(oid, serial, data, mark)
    if (mark.generation === this.#cache.states.generation)
      this.#cache.keepOnDisk(oid, serial, data, mark.horizon)
  }

  /** As `keep`, of what nobody has loaded. */
  keepAhead(oid: Oid, revision: Revision, mark: SnapshotMark): void {
    const { serial, data } = revision
    const wasHere = this.has(oid, serial)
    this.keep(oid, revision, mark)
    this.#cache.ahead.came(oid, data.length, !wasHere && this.has(oid, serial))
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
