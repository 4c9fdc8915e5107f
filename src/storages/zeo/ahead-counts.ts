/** What reading ahead was worth, counted in the client's cache. */

import type { Oid } from '../../core/ids.ts'

/** Twice as many objects are watched for being used, 50 bytes each. */
const unusedMax = 16 * 1024

/**
 * What came without being waited for: sent along with something else, or prefetched. What was not used counts as
 * wasted until it is.
 */
export class AheadCounts {
  received = 0
  receivedBytes = 0
  /** Found in the cache when it was loaded. */
  used = 0
  usedBytes = 0
  /** In the cache and not used yet, with their bytes: the newest, and those before them. Older ones are forgotten. */
  #unused = new Map<Oid, number>()
  #older = new Map<Oid, number>()

  get wastedBytes(): number {
    return this.receivedBytes - this.usedBytes
  }

  /** @param isNew the cache did not have it, and has it now */
  came(oid: Oid, bytes: number, isNew: boolean): void {
    this.received++
    this.receivedBytes += bytes
    if (!isNew) return
    if (this.#unused.size === unusedMax) {
      this.#older = this.#unused
      this.#unused = new Map()
    }
    this.#older.delete(oid)
    this.#unused.set(oid, bytes)
  }

  /** The object was found in the cache. Returns whether it came ahead, and is used for the first time. */
  found(oid: Oid): boolean {
    if (this.#unused.size + this.#older.size === 0) return false
    const bytes = this.#unused.get(oid) ?? this.#older.get(oid)
    if (bytes === undefined) return false
    this.missed(oid)
    this.used++
    this.usedBytes += bytes
    return true
  }

  /** The object was not found in the cache. */
  missed(oid: Oid): void {
    if (!this.#unused.delete(oid)) this.#older.delete(oid)
  }
}
