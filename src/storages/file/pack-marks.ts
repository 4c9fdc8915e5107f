/** What packing has to remember of every object: 9 bytes each. */

import type { Oid } from '../../core/ids.ts'
import { newPositions, PagedArray } from './paged-array.ts'

/** Cannot be done without: reachable from the root, or from something newer than the pack time. */
export const markReached = 1
/** Has a revision newer than the pack time. */
export const markNewer = 2

/** The newest revision as of the pack time is a deletion. */
export const markDeleted = 4

export class PackMarks {
  readonly #positions = newPositions()
  readonly #marks = new PagedArray((length) => new Uint8Array(length))

  /** Position of the newest revision as of the pack time; 0 when there is none. */
  position(oid: Oid): number {
    return this.#positions.get(oid)
  }

  setPosition(oid: Oid, position: number, isDeletion: boolean): void {
    this.#positions.set(oid, position)
    const marks = this.#marks.get(oid)
    const now = isDeletion ? marks | markDeleted : marks & ~markDeleted
    if (now !== marks) this.#marks.set(oid, now)
  }

  /** How many objects have a position and stay. */
  count(stays: (oid: Oid) => boolean): number {
    let count = 0
    for (const oid of this.#positions.oids()) if (stays(oid)) count++
    return count
  }

  has(oid: Oid, mark: number): boolean {
    return (this.#marks.get(oid) & mark) !== 0
  }

  /** True if the mark was not set before. */
  set(oid: Oid, mark: number): boolean {
    const before = this.#marks.get(oid)
    if ((before & mark) !== 0) return false
    this.#marks.set(oid, before | mark)
    return true
  }
}
