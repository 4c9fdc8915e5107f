/** What packing has to remember of every object: 9 bytes each, in pages of 512. */

import type { Oid } from '../../core/ids.ts'

const pageSlots = 512

/** Cannot be done without: reachable from the root, or from something newer than the pack time. */
export const markReached = 1
/** Has a revision newer than the pack time. */
export const markNewer = 2

/** The newest revision as of the pack time is a deletion. */
export const markDeleted = 4

interface Page {
  readonly positions: Float64Array
  readonly marks: Uint8Array
}

export class PackMarks {
  readonly #pages = new Map<number, Page>()

  /** Position of the newest revision as of the pack time; 0 when there is none. */
  position(oid: Oid): number {
    const page = this.#pages.get(Math.floor(oid / pageSlots))
    return page === undefined ? 0 : page.positions[oid % pageSlots]!
  }

  setPosition(oid: Oid, position: number, isDeletion: boolean): void {
    const { positions, marks } = this.#page(oid)
    const slot = oid % pageSlots
    positions[slot] = position
    marks[slot] = isDeletion ? marks[slot]! | markDeleted : marks[slot]! & ~markDeleted
  }

  /** How many objects have a position and stay. */
  count(stays: (oid: Oid) => boolean): number {
    let count = 0
    for (const [number, { positions }] of this.#pages) {
      for (let slot = 0; slot < pageSlots; slot++) {
        if (positions[slot] !== 0 && stays((number * pageSlots + slot) as Oid)) count++
      }
    }
    return count
  }

  has(oid: Oid, mark: number): boolean {
    const page = this.#pages.get(Math.floor(oid / pageSlots))
    return page !== undefined && (page.marks[oid % pageSlots]! & mark) !== 0
  }

  /** True if the mark was not set before. */
  set(oid: Oid, mark: number): boolean {
    const { marks } = this.#page(oid)
    const before = marks[oid % pageSlots]!
    marks[oid % pageSlots] = before | mark
    return (before & mark) === 0
  }

  #page(oid: Oid): Page {
    const number = Math.floor(oid / pageSlots)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = { positions: new Float64Array(pageSlots), marks: new Uint8Array(pageSlots) }
      this.#pages.set(number, page)
    }
    return page
  }
}
