/**
 * Who waits for which flush, over the threads of a process. Two things depend on it:
 *
 * - When a flush begins. If it began as soon as one committer was ready, it would leave out those that are about to
 *   come, and they would need a flush of their own: two groups would take turns, each with half of the committers. So
 *   it is held back for threads that use to come back soon. The last of them begins it, and nobody has to be woken.
 * - Whom its end wakes: only those that it was for. Others would look, find nothing, and be in the way of those that
 *   have something to do.
 *
 * All this concerns when things happen, never what: a committer that nobody wakes looks by itself a little later.
 */

import { systemClock } from '../../core/clock.ts'
import { seatCount } from './seats.ts'

/** However slow the disk, no flush is held back longer: a stall of the disk should not be followed by one of ours. */
const holdMsMax = 1

/** 32-bit words of the shared memory. The first two are the time of the last end, a 64-bit float. */
const word = {
  /** Counts the flushes that have begun: the number of the next. */
  begun: 2,
  /** How many threads the next flush is held back for. */
  expected: 3,
  /** Of those that wait for the next flush: how many use to come back soon. */
  quick: 4,
  /** The same of those that the last flush was for. */
  returning: 5,
  /** How long the last flush took, in microseconds. */
  flushUs: 6,
  /** How many threads have come for the flush with an even number, and for that with an odd one. */
  counts: 8,
  /** Their seats, in the order in which they came; then those of the odd one. */
  lists: 10,
  /** For each seat a word that its thread sleeps on. */
  calls: 10 + 2 * seatCount,
} as const

export const gatheringBytes = (word.calls + seatCount + 1) * 4

export class Gathering {
  readonly words: Int32Array
  /** The word that this thread sleeps on. */
  readonly call: number
  readonly #endedNs: Float64Array
  readonly #seat: number
  readonly #nowNs: () => number
  /** Number of the flush that this thread has come for last. */
  #cameFor = -1
  #cameFirst = false
  /** When the flush ended that confirmed the last commit of this thread. */
  #confirmedNs = 0
  #wasQuick = false

  /** @param nowNs real time, whatever clock the storage was given: it only tells how long to wait */
  constructor(buffer: SharedArrayBuffer, seat: number, nowNs = systemClock.monotonicNs) {
    this.words = new Int32Array(buffer)
    this.#endedNs = new Float64Array(buffer, 0, 1)
    this.#seat = seat
    this.#nowNs = nowNs
    this.call = word.calls + seat
  }

  /** What to expect of the next flush. */
  get flushMs(): number {
    return Atomics.load(this.words, word.flushUs) / 1000
  }

  /** For how long the next flush is to be held back from now on; 0 or less: it can begin. */
  get holdMs(): number {
    const { words } = this
    const count = Atomics.load(words, word.counts + (Atomics.load(words, word.begun) & 1))
    if (count >= Atomics.load(words, word.expected)) return 0
    return this.#holdMsMax - this.#msSince(this.#endedNs[0]!)
  }

  /** True if this thread is the one that keeps the time while a flush is held back. */
  get isFirst(): boolean {
    return this.#cameFirst
  }

  /**
   * Those that come within the time of a flush are worth waiting for: without them the next flush would have to take
   * turns with one of theirs.
   */
  get #holdMsMax(): number {
    return Math.min(this.flushMs, holdMsMax)
  }

  #msSince(timeNs: number): number {
    return (this.#nowNs() - timeNs) / 1e6
  }

  /** This thread has appended a transaction. Call it with the mutex held. */
  come(): void {
    const { words } = this
    const flush = words[word.begun]!
    if (this.#cameFor === flush) return
    this.#cameFor = flush
    const list = flush & 1
    const before = words[word.counts + list]!
    words[word.lists + list * seatCount + before] = this.#seat
    Atomics.store(words, word.counts + list, before + 1)
    this.#cameFirst = before === 0
    const isQuick = this.#msSince(this.#confirmedNs) < this.#holdMsMax
    // Once may be chance.
    if (isQuick && this.#wasQuick) words[word.quick]!++
    this.#wasQuick = isQuick
  }

  /** A commit of this thread was found to be confirmed. */
  noteConfirmed(): void {
    this.#confirmedNs = this.#endedNs[0]!
  }

  /** A flush begins, for all that have come. Call it with the mutex held. @returns its number */
  begin(): number {
    const { words } = this
    const flush = words[word.begun]!
    words[word.counts + ((flush + 1) & 1)] = 0
    words[word.returning] = words[word.quick]!
    words[word.quick] = 0
    Atomics.store(words, word.expected, 0)
    Atomics.store(words, word.begun, flush + 1)
    return flush
  }

  /**
   * A flush has ended. Call it with the mutex held.
   * @returns the seats to wake: of all that it was for, and of one that waits for the next, to see to it
   */
  end(flush: number, flushMs: number): readonly number[] {
    const { words } = this
    Atomics.store(words, word.flushUs, Math.min(flushMs * 1000, 0x7fff_ffff))
    this.#endedNs[0] = this.#nowNs()
    const next = this.#seatsOf(flush + 1)
    Atomics.store(words, word.expected, words[word.returning]! + next.length)
    return [...this.#seatsOf(flush), ...next.slice(0, 1)]
  }

  #seatsOf(flush: number): Int32Array {
    const list = flush & 1
    const start = word.lists + list * seatCount
    return this.words.subarray(start, start + this.words[word.counts + list]!)
  }

  wake(seats: readonly number[]): void {
    for (const seat of seats) {
      if (seat === this.#seat) continue
      Atomics.add(this.words, word.calls + seat, 1)
      Atomics.notify(this.words, word.calls + seat)
    }
  }
}
