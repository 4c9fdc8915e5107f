/**
 * A mutex for the threads of one process, in one word of shared memory. It is held for microseconds, or for one write
 * to the log, never across an `await`; so who finds it taken sleeps in the kernel instead of yielding to its event
 * loop. Not reentrant.
 */

import { CommitLockTimeoutError } from '../../core/errors.ts'

const free = 0
const taken = 1
/** Taken, and somebody sleeps. */
const contended = 2

/** A holder that needs longer is a thread that was terminated inside, or a disk that hangs. */
const waitMsMax = 60_000

export class Mutex {
  readonly #words: Int32Array
  readonly #at: number

  constructor(words: Int32Array, at: number) {
    this.#words = words
    this.#at = at
  }

  /** @throws CommitLockTimeoutError after a minute */
  lock(): void {
    const words = this.#words
    const at = this.#at
    if (Atomics.compareExchange(words, at, free, taken) === free) return
    // The holder is usually done within a few hundred nanoseconds, less than it takes to sleep and be woken.
    for (let attempt = 0; attempt < 200; attempt++) {
      if (Atomics.compareExchange(words, at, free, taken) === free) return
    }
    const until = performance.now() + waitMsMax
    while (Atomics.exchange(words, at, contended) !== free) {
      if (Atomics.wait(words, at, contended, until - performance.now()) === 'timed-out') {
        throw new CommitLockTimeoutError(
          'file: another thread has held the log for a minute; it was terminated while committing, or the disk hangs. Close the store and open it again',
        )
      }
    }
  }

  unlock(): void {
    if (Atomics.exchange(this.#words, this.#at, free) === contended) {
      Atomics.notify(this.#words, this.#at, 1)
    }
  }
}
