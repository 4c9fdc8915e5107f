/**
 * Numbers by object id, zero where nothing was set, in private memory: pages of 512, as in the index, because ids are
 * given out one after the other. For packing, which must remember something of every object.
 */

import type { Oid } from '../../core/ids.ts'
import { slotsPerPage } from './position-index.ts'

export class PagedArray<Page extends Float64Array | Uint8Array> {
  readonly #pages = new Map<number, Page>()
  readonly #newPage: (length: number) => Page
  /** The page used last: objects that were made together are asked for together. */
  #number = -1
  #page: Page | undefined

  constructor(newPage: (length: number) => Page) {
    this.#newPage = newPage
  }

  get(oid: Oid): number {
    const number = Math.floor(oid / slotsPerPage)
    const page = this.#find(number)
    return page === undefined ? 0 : page[oid - number * slotsPerPage]!
  }

  set(oid: Oid, value: number): void {
    const number = Math.floor(oid / slotsPerPage)
    let page = this.#find(number)
    if (page === undefined) {
      page = this.#newPage(slotsPerPage)
      this.#pages.set(number, page)
      this.#page = page
    }
    page[oid - number * slotsPerPage] = value
  }

  /** The page that begins with object `start`. */
  page(start: Oid): Page | undefined {
    return this.#find(start / slotsPerPage)
  }

  /** Every object with a value other than zero. */
  *oids(): Generator<Oid> {
    for (const [number, page] of this.#pages) {
      for (let slot = 0; slot < slotsPerPage; slot++) {
        if (page[slot] !== 0) yield (number * slotsPerPage + slot) as Oid
      }
    }
  }

  #find(number: number): Page | undefined {
    if (number !== this.#number) {
      this.#number = number
      this.#page = this.#pages.get(number)
    }
    return this.#page
  }
}

/** Positions by object id. */
export function newPositions(): PagedArray<Float64Array> {
  return new PagedArray((length) => new Float64Array(length))
}
