/**
 * Whose turn it is to vote. Served storages let votes for different objects stand side by side, but which of several
 * that wait for the same object comes next is left to chance there, and who needs many objects may wait for ever. Here
 * a transaction waits for those that came before it and want the same objects, whether they hold them already or wait
 * themselves, and for nobody else. So nobody overtakes, all that do not meet go on at once, and as everybody waits only
 * for earlier ones, nobody waits in a circle.
 *
 * A place is kept from the vote until the served storage has been asked to finish, or to abort: from then on it knows
 * itself in which order to go on.
 */

import type { Oid } from '../../core/ids.ts'

/** What a transaction changes, and what it relies on. */
export interface WantedObjects {
  readonly writes: ReadonlySet<Oid>
  readonly reads: ReadonlySet<Oid>
}

interface Place {
  readonly wanted: WantedObjects
  /** Earlier ones that it still waits for. */
  waitsFor: number
  /** Later ones that wait for it, in order of arrival. */
  readonly followers: Place[]
  grant: (() => void) | undefined
}

export class CommitQueue {
  /** In order of arrival. */
  readonly #places = new Set<Place>()
  #waiting = 0

  /** Transactions that wait for their turn. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Takes a place at the end.
   * @returns `turn`: undefined where it has come already; it also resolves when the place is left before. `leave`:
   *   lets the next ones go on; leaving twice is fine
   */
  enter(wanted: WantedObjects): { readonly turn: Promise<void> | undefined; leave(): void } {
    const place: Place = { wanted, waitsFor: 0, followers: [], grant: undefined }
    for (const earlier of this.#places) {
      if (!meet(earlier.wanted, wanted)) continue
      earlier.followers.push(place)
      place.waitsFor++
    }
    this.#places.add(place)
    const leave = () => this.#leave(place)
    if (place.waitsFor === 0) return { turn: undefined, leave }
    this.#waiting++
    const turn = new Promise<void>((resolve) => {
      place.grant = resolve
    })
    return { turn, leave }
  }

  #leave(place: Place): void {
    if (!this.#places.delete(place)) return
    this.#grant(place)
    for (const follower of place.followers) {
      follower.waitsFor--
      if (follower.waitsFor === 0) this.#grant(follower)
    }
  }

  #grant(place: Place): void {
    if (place.grant === undefined) return
    this.#waiting--
    place.grant()
    place.grant = undefined
  }
}

/** One of them changes what the other one changes or relies on. */
function meet(a: WantedObjects, b: WantedObjects): boolean {
  return share(a.writes, b.writes) || share(a.writes, b.reads) || share(a.reads, b.writes)
}

function share(a: ReadonlySet<Oid>, b: ReadonlySet<Oid>): boolean {
  const [fewer, more] = a.size < b.size ? [a, b] : [b, a]
  for (const oid of fewer) if (more.has(oid)) return true
  return false
}
