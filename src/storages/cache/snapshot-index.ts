/**
 * The state cache as the snapshots of one isolate see it: which revision of an object a snapshot shows, and its bytes
 * if they are here. One `SnapshotIndex` per opened storage, one `SnapshotView` per storage instance.
 *
 * The rule: *a view never answers with a revision that its snapshot does not show.* When it cannot be sure it answers
 * undefined, and the storage asks its backend.
 *
 * How a storage instance uses its view:
 *
 *     const since = view.beginPoll()                    // what to ask the backend for
 *     … open a new snapshot; its newest tid is `horizon`, `changes` are all changes in (since, horizon] …
 *     const changed = view.polled(horizon, since, changes)    // what to report to the connection
 *     view.find(oid)                                    // the revision, or undefined: then
 *     const { snapshot } = view                         // remember which snapshot is asked,
 *     … load it from the backend …
 *     view.loaded(oid, serial, data, snapshot)          // and say that it showed this
 *     index.committed(tid, records, previous)           // after finish
 *
 * A view keeps its place from one poll to the next, also while no snapshot is open, so that all connections of a
 * storage ask the backend only for what is new to the first of them. A view that falls so far behind that too many
 * changes would have to be remembered for it is *detached*: it then asks for its own changes, and until its next poll
 * finds only what is known without the index. Its connection need not drop anything.
 */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Revision } from '../storage.ts'
import { type Change, ChangeLog } from './change-log.ts'
import { SnapshotView } from './snapshot-view.ts'
import type { StateCache } from './state-cache.ts'
import type { TraceRecorder } from './trace-recorder.ts'

export type { Change } from './change-log.ts'

export interface SnapshotIndexOptions {
  /** Objects that changed lately and are remembered, per isolate. About 50 bytes each. Default 200 000. */
  readonly changedMax?: number
  /** Changes remembered for views that are behind, before the hindmost are detached. Default 200 000. */
  readonly behindMax?: number
  /** Where to record what is asked for. */
  readonly recorder?: TraceRecorder
}

export class SnapshotIndex {
  readonly cache: StateCache
  readonly #changedMax: number
  readonly #behindMax: number
  readonly #recorder: TraceRecorder | undefined
  #log: ChangeLog | undefined
  #generation: number
  /** Where attached views stand, and from where polls under way ask, with their number. */
  readonly #places = new Map<Tid, number>()
  readonly #views = new Set<SnapshotView>()

  constructor(cache: StateCache, options: SnapshotIndexOptions = {}) {
    this.cache = cache
    this.#changedMax = options.changedMax ?? 200_000
    this.#behindMax = options.behindMax ?? 200_000
    this.#recorder = options.recorder
    this.#generation = cache.generation
  }

  newView(): SnapshotView {
    const view = new SnapshotView(this, this.#recorder)
    this.#views.add(view)
    return view
  }

  /**
   * A transaction of this storage committed: its revisions may be useful to whoever polls next.
   * @param previous the newest transaction before it. Where that is the horizon, this commit is all that is new, and
   *   the next poll need not ask for it. Left out: it is not known
   */
  committed(
    tid: Tid,
    records: Iterable<{ readonly oid: Oid; readonly data: Uint8Array | null }>,
    previous?: Tid,
  ): void {
    const changes: Change[] = []
    for (const { oid, data } of records) {
      changes.push({ oid, tid })
      if (data === null) continue
      this.cache.add(oid, tid, data, tid, this.#generation)
      this.#recorder?.stored(oid, tid, data.length)
    }
    const isNext = previous !== undefined && previous === this.#log?.horizon
    if (!isNext || this.#generation !== this.cache.generation) return
    this.#extend(tid, changes)
    this.#limit()
  }

  /** The state of an older transaction came by: it is kept as it is, whatever shows it. */
  passedBy(oid: Oid, tid: Tid, data: Uint8Array): void {
    this.cache.add(oid, tid, data, tid, this.#generation)
  }

  /** Forgets what changed when; for a doubt about what was told. The bytes stay, and are checked before use. */
  forget(): void {
    this.#detachAll()
    this.#log = undefined
  }

  /** Newest snapshot that all is known of; undefined before the first poll. */
  get horizon(): Tid | undefined {
    return this.#log?.horizon
  }

  get generation(): number {
    return this.#generation
  }

  /** For tests and the curious. */
  get depth(): { readonly ranges: number; readonly entries: number } {
    return { ranges: this.#log?.rangeCount ?? 0, entries: this.#log?.rangeEntries ?? 0 }
  }

  /** Whether exactly this revision is what the horizon shows, as far as is known. */
  isCurrent(oid: Oid, tid: Tid, through: Tid): boolean {
    if (this.#log === undefined || tid > this.#log.horizon) return false
    const known = this.#log.lookup(oid, this.#log.horizon)
    return known.tid === noTid ? through >= known.unchangedSince : known.tid === tid
  }

  /** Whether the horizon is known to show another revision than this one. */
  contradicts(oid: Oid, tid: Tid): boolean {
    if (this.#log === undefined || tid > this.#log.horizon) return false
    const known = this.#log.lookup(oid, this.#log.horizon)
    return known.tid === noTid ? tid > known.unchangedSince : known.tid !== tid
  }

  // --- For the views ---

  sinceFor(view: SnapshotView): Tid | undefined {
    this.noticeNewStore()
    // Of a poll that failed.
    this.#unpin(view)
    const isNew = view.horizon === undefined || view.isOutlived
    if (this.#log !== undefined && (view.isAttached || isNew)) {
      view.pinned = this.#log.horizon
      this.#enter(view.pinned)
      return view.pinned
    }
    if (!isNew) return view.horizon
    const origin = this.cache.origin
    return origin === noTid ? undefined : origin
  }

  /** Takes in what a poll of the view found, moves the view, and says what changed since its previous poll. */
  polled(
    view: SnapshotView,
    horizon: Tid,
    since: Tid | undefined,
    changes: Iterable<Change> | 'all',
    generation: number,
  ): readonly Change[] | 'all' {
    this.noticeNewStore()
    const previous = view.horizon
    const list = changes === 'all' || since === undefined ? 'all' : [...changes]
    const seen = Math.max(since ?? noTid, view.isOutlived ? noTid : (previous ?? noTid))
    if (horizon < seen && generation === this.#generation) {
      // Time went back: another store, one from a backup, or a replica that is behind. Nothing we know can be trusted.
      this.cache.startNewStore()
      this.noticeNewStore()
    }
    if (!this.#views.has(view) || generation !== this.#generation) {
      // The snapshot was opened before the store was replaced, or for nobody: it learns and teaches nothing.
      this.#unpin(view)
      view.moveDetached(horizon)
      view.outlive()
      return 'all'
    }
    const known = this.#log?.horizon
    if (known === undefined || (horizon > known && (list === 'all' || since! > known))) {
      this.#start(horizon, since, list)
    } else if (horizon > known && list !== 'all') {
      this.#extend(horizon, list)
    }
    const log = this.#log!
    const isBoundary =
      log.isBoundary(horizon) || (list !== 'all' && since !== undefined && log.split(horizon, since, list))
    const report = this.#report(view, horizon, since, list)
    const place = view.isAttached ? previous : undefined
    if (isBoundary) this.#enter(horizon)
    if (isBoundary) view.attach(horizon)
    else view.moveDetached(horizon)
    if (place !== undefined) this.#leave(place)
    this.#unpin(view)
    this.#limit()
    return report
  }

  #extend(horizon: Tid, changes: readonly Change[]): void {
    const log = this.#log!
    const { horizon: known, complete } = log
    log.extend(horizon, changes, this.#places.size > 0)
    if (!this.#places.has(known)) log.leave(known, this.#hindmost())
    if (log.complete > complete) this.cache.raiseOrigin(log.complete)
  }

  /** Starts over, with nothing known but these changes. */
  #start(horizon: Tid, since: Tid | undefined, changes: readonly Change[] | 'all'): void {
    this.#detachAll()
    const isComplete = changes !== 'all' && since !== undefined && since <= horizon
    this.#log = new ChangeLog(isComplete ? since : horizon, this.#changedMax)
    if (isComplete) this.#log.extend(horizon, changes, false)
    this.cache.proposeOrigin(this.#log.complete)
  }

  #report(
    view: SnapshotView,
    horizon: Tid,
    since: Tid | undefined,
    list: readonly Change[] | 'all',
  ): readonly Change[] | 'all' {
    const previous = view.horizon
    if (view.isOutlived) return 'all'
    if (previous === undefined) return []
    if (list !== 'all' && since! <= previous) return list.filter((change) => change.tid > previous)
    const between = view.isAttached ? this.#log!.changesBetween(previous, horizon) : undefined
    if (between !== undefined) return between
    // The snapshot lies between boundaries: what the others saw up to `since`, and the list from there.
    if (list === 'all' || !view.isAttached) return 'all'
    const upToSince = this.#log!.changesBetween(previous, since!)
    return upToSince === undefined ? 'all' : [...upToSince, ...list.filter((change) => change.tid > since!)]
  }

  find(oid: Oid, at: Tid, isAttached: boolean, generation: number): Revision | undefined {
    // The view's snapshot is of a store that has been replaced since.
    if (generation !== this.cache.generation) return undefined
    if (!isAttached || this.#log === undefined) return this.cache.find(oid, at, at)
    const known = this.#log.lookup(oid, at)
    if (known.tid !== noTid) return this.cache.get(oid, known.tid, at)
    return this.cache.find(oid, at, known.unchangedSince)
  }

  /** Whether a snapshot shows this revision, where it is known that the snapshot `through` does. */
  shows(oid: Oid, tid: Tid, through: Tid, at: Tid, isAttached: boolean, generation: number): boolean {
    if (generation !== this.cache.generation || tid > at) return false
    if (!isAttached || this.#log === undefined) return through >= at
    const known = this.#log.lookup(oid, at)
    return known.tid === noTid ? through >= known.unchangedSince : known.tid === tid
  }

  release(view: SnapshotView): void {
    this.#views.delete(view)
    this.#unpin(view)
    if (view.isAttached && view.horizon !== undefined) this.#leave(view.horizon)
    view.detach()
  }

  /** Another thread may have emptied the store: then nothing we know is true any more. */
  noticeNewStore(): void {
    const generation = this.cache.generation
    if (generation === this.#generation) return
    this.forget()
    this.#generation = generation
    for (const view of this.#views) view.outlive()
  }

  #detachAll(): void {
    for (const view of this.#views) {
      view.detach()
      view.pinned = undefined
    }
    this.#places.clear()
  }

  /** Its poll has been answered, or never will be. */
  #unpin(view: SnapshotView): void {
    const place = view.pinned
    if (place === undefined) return
    view.pinned = undefined
    this.#leave(place)
  }

  #enter(place: Tid): void {
    this.#places.set(place, (this.#places.get(place) ?? 0) + 1)
  }

  #leave(place: Tid): void {
    const others = this.#places.get(place)! - 1
    if (others > 0) {
      this.#places.set(place, others)
      return
    }
    this.#places.delete(place)
    this.#log?.leave(place, this.#hindmost())
  }

  #hindmost(): Tid | undefined {
    let oldest: Tid | undefined
    for (const place of this.#places.keys()) if (oldest === undefined || place < oldest) oldest = place
    return oldest
  }

  /** Detaches the hindmost views until what is remembered for those behind is within the limit. */
  #limit(): void {
    const log = this.#log!
    while (log.rangeEntries > this.#behindMax) {
      const place = this.#hindmost()
      if (place === undefined || place === log.horizon) return
      for (const view of this.#views) {
        if (view.isAttached && view.horizon === place) view.detach()
        if (view.pinned === place) view.pinned = undefined
      }
      this.#places.delete(place)
      log.leave(place, this.#hindmost())
    }
  }
}
