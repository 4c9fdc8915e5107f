/**
 * A mutex for the threads of one process, in one word of shared memory. It is held for microseconds, or for one write
 * to the log, never across an `await`; so who finds it taken sleeps in the kernel instead of yielding to its event
 * loop. Not reentrant.
 */

import { CommitLockTimeoutError } from '../../core/errors.ts'

/** Some tens of microseconds: how often a mutex that is taken is asked for before sleeping. */
const attemptsMax = 2000
const free = 0
const taken = 1
/** Taken, and somebody sleeps. */
const contended = 2

/** A holder that needs longer has a disk that hangs, or is a thread of which the system does not tell that it ended. */
const waitMsMax = 60_000
/** After this long it is asked whether the holder still runs. */
const doubtMs = 250

/** How waiters find out that the holder was terminated inside. */
export interface MutexSeats {
  readonly own: number
  isDead(seat: number): boolean
}

export class Mutex {
  readonly #words: Int32Array
  readonly #at: number
  readonly #ownerAt: number
  readonly #seats: MutexSeats

  /** @param ownerAt the word that has the seat of the holder */
  constructor(words: Int32Array, at: number, ownerAt: number, seats: MutexSeats) {
    this.#words = words
    this.#at = at
    this.#ownerAt = ownerAt
    this.#seats = seats
  }

  /**
   * @returns `taken-over` when the holder was terminated inside: what it was about to change may be half done
   * @throws CommitLockTimeoutError after a minute
   */
  lock(): 'taken-over' | undefined {
    const outcome = this.#acquire()
    Atomics.store(this.#words, this.#ownerAt, this.#seats.own)
    return outcome
  }

  #acquire(): 'taken-over' | undefined {
    const words = this.#words
    const at = this.#at
    if (Atomics.compareExchange(words, at, free, taken) === free) return undefined
    // The holder is usually done within a few hundred nanoseconds, or with one write to the log: less than it takes to
    // sleep and be woken.
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (Atomics.compareExchange(words, at, free, taken) === free) return undefined
    }
    const until = performance.now() + waitMsMax
    while (Atomics.exchange(words, at, contended) !== free) {
      if (Atomics.wait(words, at, contended, doubtMs) !== 'timed-out') continue
      const owner = Atomics.load(words, this.#ownerAt)
      // One of those who wait gets it; the word stays as it is.
      const isAbandoned = owner !== 0 && this.#seats.isDead(owner)
      if (isAbandoned && Atomics.compareExchange(words, this.#ownerAt, owner, this.#seats.own) === owner) {
        return 'taken-over'
      }
      if (performance.now() > until) {
        throw new CommitLockTimeoutError(
          'file: another thread has held the log for a minute; it was terminated while committing, or the disk hangs. Close the store and open it again',
        )
      }
    }
    return undefined
  }

  unlock(): void {
    Atomics.store(this.#words, this.#ownerAt, 0)
    if (Atomics.exchange(this.#words, this.#at, free) === contended) {
      Atomics.notify(this.#words, this.#at, 1)
    }
  }
}
