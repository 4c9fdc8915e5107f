/** A set of object ids with one bit for each, in pages, since ids are dense where there are any. */

import type { Oid } from './ids.ts'

/** Ids in a page: 4 KB of bits. */
const pageSize = 32_768

export class OidSet {
  readonly #pages = new Map<number, Uint8Array>()

  /** True when it was not there before. */
  add(oid: Oid): boolean {
    const pageNumber = Math.floor(oid / pageSize)
    let page = this.#pages.get(pageNumber)
    if (page === undefined) {
      page = new Uint8Array(pageSize / 8)
      this.#pages.set(pageNumber, page)
    }
    const index = oid - pageNumber * pageSize
    const bit = 1 << (index & 7)
    if ((page[index >> 3]! & bit) !== 0) return false
    page[index >> 3]! |= bit
    return true
  }

  has(oid: Oid): boolean {
    const pageNumber = Math.floor(oid / pageSize)
    const page = this.#pages.get(pageNumber)
    if (page === undefined) return false
    const index = oid - pageNumber * pageSize
    return (page[index >> 3]! & (1 << (index & 7))) !== 0
  }
}
