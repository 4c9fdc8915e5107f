/**
 * Hands out object ids from ranges leased in the database, so that most requests cost nothing. What is left of a range
 * when the storage closes is never used; there are 2⁵³ of them.
 */

import { chain, isPromise } from '../../core/awaitable.ts'
import type { Oid } from '../../core/ids.ts'
import type { Awaitable } from '../storage.ts'

/** Ids leased at once. At one durable write per lease this makes an id cost about a thousandth of a commit. */
export const leaseSize = 1024

export class OidLease {
  readonly #lease: (count: number) => Awaitable<Oid>
  readonly #group: number
  #next = 0
  #end = 0
  /** Leases are asked for one at a time, so that ranges come in ascending order. */
  #pending: Promise<unknown> | undefined

  /** @param group ids are leased, and handed out, in multiples of this */
  constructor(lease: (count: number) => Awaitable<Oid>, group: number) {
    this.#lease = lease
    this.#group = group
  }

  /** At least `count` ids, in whole groups. */
  take(count: number): Awaitable<readonly Oid[]> {
    if (this.#pending !== undefined) return this.#pending.then(() => this.take(count))
    return this.#take(Math.ceil(count / this.#group) * this.#group)
  }

  #take(count: number): Awaitable<readonly Oid[]> {
    if (this.#end - this.#next >= count) return this.#cut(count)
    const wanted = Math.max(leaseSize, count)
    const first = this.#lease(wanted)
    if (isPromise(first)) {
      const lease = first.then((oid) => this.#begin(oid, wanted))
      const settled = lease.catch(() => {})
      this.#pending = settled
      void settled.then(() => {
        this.#pending = undefined
      })
      return lease.then(() => this.#cut(count))
    }
    return chain(first, (oid) => {
      this.#begin(oid, wanted)
      return this.#cut(count)
    })
  }

  /** An id that somebody chose is never handed out by us. */
  skip(oid: Oid): void {
    if (oid < this.#next || oid >= this.#end) return
    this.#next = Math.min(this.#end, (Math.floor(oid / this.#group) + 1) * this.#group)
  }

  #begin(first: Oid, count: number): void {
    // A range that follows on the old one continues it.
    if (first !== this.#end) this.#next = first
    this.#end = first + count
  }

  #cut(count: number): readonly Oid[] {
    const first = this.#next
    this.#next += count
    return Array.from({ length: count }, (_, index) => (first + index) as Oid)
  }
}
