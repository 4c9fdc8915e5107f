/**
 * One storage instance's view of the state cache: the snapshot of its last poll, and whether the index of the storage
 * (`snapshot-index.ts`, which says how a view is used) knows what has changed since.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Revision } from '../storage.ts'
import type { Change } from './change-log.ts'
import type { SnapshotIndex } from './snapshot-index.ts'
import type { TraceRecorder } from './trace-recorder.ts'

/** Names a snapshot, of a store that may be replaced meanwhile. */
export interface SnapshotMark {
  readonly horizon: Tid
  readonly generation: number
}

export class SnapshotView {
  readonly #index: SnapshotIndex
  readonly #recorder: TraceRecorder | undefined
  #horizon: Tid | undefined
  #snapshot: SnapshotMark | undefined
  #isAttached = false
  #isOutlived = false
  /** Of the store that is asked for the next snapshot. */
  #askedGeneration: number

  /** Made by `SnapshotIndex.newView`. */
  constructor(index: SnapshotIndex, recorder: TraceRecorder | undefined) {
    this.#index = index
    this.#recorder = recorder
    this.#askedGeneration = index.generation
  }

  /** The snapshot of the last poll; undefined before the first. */
  get horizon(): Tid | undefined {
    return this.#horizon
  }

  /** The index knows all changes since this view's snapshot. */
  get isAttached(): boolean {
    return this.#isAttached
  }

  /**
   * To be called before the backend is asked for a new snapshot.
   * @returns the poll should ask for the changes after this; undefined: it need not ask for changes at all
   */
  beginPoll(): Tid | undefined {
    const since = this.#index.sinceFor(this)
    this.#askedGeneration = this.#index.generation
    return since
  }

  /**
   * A poll opened a new snapshot.
   * @param horizon the newest transaction that the snapshot shows
   * @param since what `beginPoll` said
   * @param changes every object that changed in (since, horizon], deletions included, at least once with its newest
   *   tid; `'all'` when the backend cannot tell
   * @returns what changed since the previous poll of this view, each object with the tid of its newest change
   *   (`noTid` where that was forgotten); nothing for the first poll
   */
  polled(horizon: Tid, since: Tid | undefined, changes: Iterable<Change> | 'all'): readonly Change[] | 'all' {
    const changed = this.#index.polled(this, horizon, since, changes, this.#askedGeneration)
    this.#snapshot = { horizon, generation: this.#askedGeneration }
    return changed
  }

  /** A copy of the revision that the snapshot shows, or undefined when that is not known or not here. */
  find(oid: Oid): Revision | undefined {
    if (this.#horizon === undefined) return undefined
    const revision = this.#index.find(oid, this.#horizon, this.#isAttached, this.#snapshot!.generation)
    if (revision !== undefined) this.#recorder?.loaded(oid, revision.serial, revision.data.length)
    return revision
  }

  /** Whether the snapshot shows this revision, of which it is known that the snapshot `through` does. */
  shows(oid: Oid, tid: Tid, through: Tid): boolean {
    if (this.#horizon === undefined) return false
    return this.#index.shows(oid, tid, through, this.#horizon, this.#isAttached, this.#snapshot!.generation)
  }

  /** The snapshot of the last poll, for `loaded`. */
  get snapshot(): SnapshotMark | undefined {
    return this.#snapshot
  }

  /**
   * The backend answered a load.
   * @param snapshot as it was when the load was begun; it may have ended meanwhile
   */
  loaded(oid: Oid, serial: Tid, data: Uint8Array, snapshot: SnapshotMark): void {
    this.#index.cache.add(oid, serial, data, snapshot.horizon, snapshot.generation)
    this.#recorder?.loaded(oid, serial, data.length)
  }

  /** The storage instance is released. */
  release(): void {
    this.#index.release(this)
  }

  // --- For the index ---

  /**
   * From where the poll under way asks. The index keeps that place apart, because what the poll finds continues from there,
   * however many commits are heard of meanwhile.
   */
  pinned: Tid | undefined

  /** The store that this view's connection knew has been replaced. */
  get isOutlived(): boolean {
    return this.#isOutlived
  }

  outlive(): void {
    this.#isOutlived = this.#isOutlived || this.#horizon !== undefined
  }

  attach(horizon: Tid): void {
    this.#horizon = horizon
    this.#isAttached = true
    this.#isOutlived = false
  }

  moveDetached(horizon: Tid): void {
    this.#horizon = horizon
    this.#isAttached = false
    this.#isOutlived = false
  }

  detach(): void {
    this.#isAttached = false
  }
}
