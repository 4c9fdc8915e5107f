/**
 * Tells commits in the order of their tids. The answers of several sessions may arrive in another order than that in
 * which the database committed, but nobody may hear of a transaction before an earlier one of the same storage.
 *
 * A commit knows which tid came just before its own. If that one has been told, or seen by a snapshot, it goes at once.
 * Else it may belong to another process or to a commit whose answer is still on the way; so it waits for the answers
 * that are on the way now. What is sent later gets a later tid.
 */

import type { Tid } from '../../core/ids.ts'
import type { Committed } from './adapter.ts'

/** A commit that was sent; where the answer goes when its turn has come. */
interface Sent {
  readonly tell: () => void
}

interface Arrived {
  readonly sent: Sent
  readonly commit: Committed
  /** Commits whose answers are on the way and might be earlier. */
  readonly earlier: Set<Sent>
}

export class CommitOrder {
  /** Newest transaction that was told or seen. */
  readonly #newest: () => Tid
  readonly #onTheWay = new Set<Sent>()
  /** In the order of their tids. */
  readonly #arrived: Arrived[] = []

  constructor(newest: () => Tid) {
    this.#newest = newest
  }

  /**
   * Resolves with the answer in its turn. Whoever is told must make `newest` move before anything else happens.
   * @param answer undefined: there was no commit, and nothing is told
   */
  follow<T>(answer: Promise<Committed | undefined>, told: (commit: Committed) => T): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let commit: Committed | undefined
      const sent: Sent = {
        tell: () => {
          try {
            resolve(told(commit!))
          } catch (error) {
            reject(error)
          }
        },
      }
      this.#onTheWay.add(sent)
      answer.then(
        (committed) => {
          commit = committed
          if (committed !== undefined) this.#arrive(sent, committed)
          else {
            this.#forget(sent)
            resolve(undefined)
            this.#tellReady()
          }
        },
        (error) => {
          this.#forget(sent)
          reject(error)
          this.#tellReady()
        },
      )
    })
  }

  #arrive(sent: Sent, commit: Committed): void {
    this.#forget(sent)
    const place = this.#arrived.findIndex((other) => other.commit.tid > commit.tid)
    const arrived = { sent, commit, earlier: new Set(this.#onTheWay) }
    this.#arrived.splice(place === -1 ? this.#arrived.length : place, 0, arrived)
    this.#tellReady()
  }

  #forget(sent: Sent): void {
    this.#onTheWay.delete(sent)
    for (const { earlier } of this.#arrived) earlier.delete(sent)
  }

  #tellReady(): void {
    for (let first = this.#arrived[0]; first !== undefined; first = this.#arrived[0]) {
      if (first.commit.previous > this.#newest() && first.earlier.size > 0) return
      this.#arrived.shift()
      first.sent.tell()
    }
  }
}
