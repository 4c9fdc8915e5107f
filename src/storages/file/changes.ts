/**
 * The most recent changes, for polls: a ring of (transaction, object) pairs in commit order, in shared memory.
 * Written with the log's mutex held. Read without it: a reader first learns how many changes there are, which
 * publishes them, and afterwards checks that none it read was overwritten meanwhile.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Invalidations } from '../storage.ts'

/** An instance that missed more changes than this drops its whole cache. */
const capacity = 1 << 16

export const changesBytes = capacity * 16

export class RecentChanges {
  readonly #tids: Float64Array
  readonly #oids: Float64Array

  constructor(buffer: SharedArrayBuffer) {
    this.#tids = new Float64Array(buffer, 0, capacity)
    this.#oids = new Float64Array(buffer, capacity * 8, capacity)
  }

  /** Change number `count`. */
  add(count: number, tid: Tid, oid: Oid): void {
    const at = count & (capacity - 1)
    this.#tids[at] = tid
    this.#oids[at] = oid
  }

  /**
   * Objects changed by transactions up to `upTo`, from change number `from` on, without those of `own` transactions.
   * @param count reads how many changes there are now
   */
  since(
    from: number,
    upTo: Tid,
    own: ReadonlySet<Tid>,
    count: () => number,
  ): { changed: Invalidations; next: number } {
    const changed = new Set<Oid>()
    const end = count()
    let next = from
    for (; next < end && end - from <= capacity; next++) {
      const at = next & (capacity - 1)
      const tid = this.#tids[at] as Tid
      if (tid > upTo) break
      if (!own.has(tid)) changed.add(this.#oids[at] as Oid)
    }
    // What was overwritten before it was read, or while it was read, is lost.
    if (count() - from > capacity) return { changed: 'all', next: this.position(upTo, end) }
    return { changed, next }
  }

  /**
   * Number of the first change after `upTo`, searched back from change `end`. What was overwritten meanwhile is newer
   * still; so the answer may be too low, never too high.
   */
  position(upTo: Tid, end: number): number {
    const oldest = Math.max(0, end - capacity / 2)
    let at = end
    while (at > oldest && this.#tids[(at - 1) & (capacity - 1)]! > upTo) at--
    return at
  }
}
