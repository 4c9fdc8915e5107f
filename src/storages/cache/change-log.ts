/**
 * What changed when, as far as one isolate has been told: the object index of the state cache. It answers "which
 * revision does snapshot S show?" for what changed, and knows for everything else since when it has not changed.
 *
 *     complete ──────────── boundary ─── boundary ─── horizon
 *        (changed: every object changed since `complete`, with its newest tid)
 *                              (range)      (range): for each object changed in it, the tid before
 *
 * - `horizon`: the newest snapshot we heard of. `changed` says which revision it shows of every object that changed
 *   in (complete, horizon].
 * - *Ranges* cover the time from the oldest snapshot that a view still stands at to the horizon, without gaps; a view
 *   stands only at boundaries. A range names every object that changed in it, and the revision shown just before
 *   (`noTid`: it had not changed since `complete` was reached).
 *
 * Where no view stands, two ranges are joined; before the oldest view, ranges are dropped. So there are never more
 * ranges than views, and a view at the horizon looks into none.
 *
 * What is forgotten is never replaced by a guess: forgetting changes moves `complete` forward, and revisions are then
 * only served if they are known to be shown by a snapshot after it.
 */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'

/** An object that changed, and the transaction that did it. */
export interface Change {
  readonly oid: Oid
  readonly tid: Tid
}

/** Changes in (from, to]: object → the revision that snapshot `from` shows, `noTid` where that is not known. */
interface Range {
  from: Tid
  to: Tid
  before: Map<Oid, Tid>
}

/** What is known of an object at a snapshot. */
export interface Known {
  /** The revision that the snapshot shows; `noTid` when the object has not changed since `unchangedSince`. */
  readonly tid: Tid
  readonly unchangedSince: Tid
}

export class ChangeLog {
  #horizon: Tid
  #complete: Tid
  /** Newest revisions of objects that changed lately; when it is full it becomes `#older`, and `#older` is forgotten. */
  #newer = new Map<Oid, Tid>()
  #older = new Map<Oid, Tid>()
  /** From where `#newer` is complete. */
  #newerSince: Tid
  #ranges: Range[] = []
  readonly #changedMax: number

  /** A log that knows of no change after `complete`, with the horizon there. @param changedMax objects remembered */
  constructor(complete: Tid, changedMax: number) {
    this.#horizon = complete
    this.#complete = complete
    this.#newerSince = complete
    this.#changedMax = Math.max(1, changedMax >>> 1)
  }

  get horizon(): Tid {
    return this.#horizon
  }

  /** All changes after this are known. */
  get complete(): Tid {
    return this.#complete
  }

  get rangeCount(): number {
    return this.#ranges.length
  }

  /** Entries of all ranges together. */
  get rangeEntries(): number {
    return this.#ranges.reduce((sum, range) => sum + range.before.size, 0)
  }

  /** A snapshot at which a view can stand. */
  isBoundary(tid: Tid): boolean {
    return tid === this.#horizon || this.#ranges.some((range) => range.from === tid)
  }

  /** What a view at the boundary `at` is shown of `oid`. */
  lookup(oid: Oid, at: Tid): Known {
    const unchangedSince = at < this.#complete ? at : this.#complete
    if (at !== this.#horizon) {
      for (const range of this.#ranges) {
        if (range.from < at) continue
        const before = range.before.get(oid)
        if (before !== undefined) return { tid: before, unchangedSince }
      }
    }
    return { tid: this.#newest(oid), unchangedSince }
  }

  #newest(oid: Oid): Tid {
    return this.#newer.get(oid) ?? this.#older.get(oid) ?? noTid
  }

  /**
   * Moves the horizon forward.
   * @param changes complete for (horizon, to]; earlier ones may be among them, and objects may be named several times
   * @param isWatched somebody stands at the present horizon or before it
   */
  extend(to: Tid, changes: Iterable<Change>, isWatched: boolean): void {
    const from = this.#horizon
    const before = new Map<Oid, Tid>()
    for (const { oid, tid } of changes) {
      if (tid <= from || tid > to) continue
      const known = this.#newest(oid)
      // Named a second time, with an older transaction.
      if (known >= tid) continue
      if (isWatched && known <= from) before.set(oid, known)
      this.#newer.set(oid, tid)
    }
    if (isWatched) this.#ranges.push({ from, to, before })
    this.#horizon = to
    if (this.#newer.size > this.#changedMax) {
      this.#older = this.#newer
      this.#newer = new Map()
      this.#complete = this.#newerSince
      this.#newerSince = to
    }
  }

  /**
   * Makes a boundary of `at`, inside some range.
   * @param changes complete for (since, at]
   * @returns false where what is known does not suffice
   */
  split(at: Tid, since: Tid, changes: Iterable<Change>): boolean {
    if (this.isBoundary(at)) return true
    const index = this.#ranges.findIndex((range) => range.from < at && at < range.to)
    const range = this.#ranges[index]
    if (range === undefined || since > range.from) return false
    const first = new Map<Oid, Tid>()
    const shown = new Map<Oid, Tid>()
    for (const { oid, tid } of changes) {
      if (tid <= range.from || tid > at || tid <= (shown.get(oid) ?? noTid)) continue
      const before = range.before.get(oid)
      // Whoever reported the range did not know of a change that somebody else saw: trust neither.
      if (before === undefined) return false
      first.set(oid, before)
      shown.set(oid, tid)
    }
    const second = new Map<Oid, Tid>()
    for (const [oid, before] of range.before) {
      const tid = shown.get(oid)
      if (tid === undefined) second.set(oid, before)
      else if (this.#newestIn(index, oid) !== tid) second.set(oid, tid)
    }
    this.#ranges.splice(
      index,
      1,
      { from: range.from, to: at, before: first },
      { from: at, to: range.to, before: second },
    )
    return true
  }

  /** The revision shown at the end of a range that changed the object; `noTid` when that has been forgotten. */
  #newestIn(index: number, oid: Oid): Tid {
    for (let later = index + 1; later < this.#ranges.length; later++) {
      const before = this.#ranges[later]!.before.get(oid)
      if (before !== undefined) return before
    }
    return this.#newest(oid)
  }

  /**
   * Objects changed in (from, to], each with the tid of its newest change there; `noTid` where that was forgotten.
   * @returns undefined unless both are boundaries
   */
  changesBetween(from: Tid, to: Tid): Change[] | undefined {
    if (from === to) return []
    if (!this.isBoundary(from) || !this.isBoundary(to)) return undefined
    const found = new Map<Oid, Tid>()
    this.#ranges.forEach((range, index) => {
      if (range.from < from || range.to > to) return
      for (const oid of range.before.keys()) found.set(oid, this.#newestIn(index, oid))
    })
    return [...found].map(([oid, tid]) => ({ oid, tid }))
  }

  /** Nobody stands at `boundary` any more. @param oldest where the hindmost view stands; undefined when there is none */
  leave(boundary: Tid, oldest: Tid | undefined): void {
    if (oldest === undefined) {
      this.#ranges = []
      return
    }
    let dropped = 0
    while (dropped < this.#ranges.length && this.#ranges[dropped]!.to <= oldest) dropped++
    if (dropped > 0) this.#ranges.splice(0, dropped)
    const index = this.#ranges.findIndex((range) => range.to === boundary)
    const [earlier, later] = [this.#ranges[index], this.#ranges[index + 1]]
    if (earlier === undefined || later === undefined) return
    this.#ranges.splice(index, 2, { from: earlier.from, to: later.to, before: joined(earlier, later) })
  }
}

/** What was shown before the earlier of two ranges holds for both. The smaller map is poured into the larger. */
function joined(earlier: Range, later: Range): Map<Oid, Tid> {
  if (earlier.before.size < later.before.size) {
    for (const [oid, tid] of earlier.before) later.before.set(oid, tid)
    return later.before
  }
  for (const [oid, tid] of later.before) if (!earlier.before.has(oid)) earlier.before.set(oid, tid)
  return earlier.before
}
