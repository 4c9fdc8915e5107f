/**
 * Object ids in store: asking the server for a few more than needed saves most of the round trips. What is not used
 * is lost, which costs nothing: there are 2⁵³ of them.
 */

import type { Oid } from '../../core/ids.ts'

/** Who hands out ranges. */
export interface OidSource {
  requestOids(count: number): Promise<readonly Oid[]>
}

/** The first lease; each further one doubles it, up to the last. */
const leaseMin = 32
const leaseMax = 4096
/** The server gives at most so many at once. */
const requestMax = 100_000

export class OidLease {
  readonly #source: OidSource
  #oids: readonly Oid[] = []
  #used = 0
  #size = leaseMin
  /** One request at a time, so that later callers get later ids. */
  #turn: Promise<unknown> = Promise.resolve()
  #epoch = 0

  constructor(source: OidSource) {
    this.#source = source
  }

  /** `count` ids in ascending order. */
  take(count: number): readonly Oid[] | Promise<readonly Oid[]> {
    return this.#takeLeased(count) ?? this.#takeAfterAsking(count)
  }

  /** A caller creates an object under an id of its own choice: it is not given out any more. */
  avoid(oid: Oid): void {
    const last = this.#oids.at(-1)
    if (last === undefined || oid > last) return
    while (this.#used < this.#oids.length && this.#oids[this.#used]! <= oid) this.#used++
  }

  /** The store was emptied, and gives the same ids again. */
  forget(): void {
    this.#epoch++
    this.#oids = []
    this.#used = 0
  }

  #takeLeased(count: number): readonly Oid[] | undefined {
    if (this.#oids.length - this.#used < count) return undefined
    const taken = this.#oids.slice(this.#used, this.#used + count)
    this.#used += count
    return taken
  }

  #takeAfterAsking(count: number): Promise<readonly Oid[]> {
    const taking = this.#turn.then(async () => {
      for (;;) {
        const taken = this.#takeLeased(count)
        if (taken !== undefined) return taken
        await this.#ask(count)
      }
    })
    // Only who asked hears of a failure.
    this.#turn = taking.catch(() => {})
    return taking
  }

  async #ask(count: number): Promise<void> {
    const epoch = this.#epoch
    const missing = count - (this.#oids.length - this.#used)
    const wanted = Math.min(Math.max(missing, this.#size), requestMax)
    this.#size = Math.min(this.#size * 2, leaseMax)
    const given = await this.#source.requestOids(wanted)
    if (epoch !== this.#epoch) return
    // A synchronous caller may have taken some meanwhile.
    this.#oids = this.#oids.slice(this.#used).concat(given)
    this.#used = 0
  }
}
