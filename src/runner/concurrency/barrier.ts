/**
 * The barrier: all seats of a fork start each timed section together, and none goes on before the last has finished.
 *
 * Two phases. When the last seat has arrived for the start, the release names an instant slightly in the future on the
 * machine-wide monotonic clock, so that late delivery of a message does not stagger the start. When the last has
 * arrived with its section, the release names the *common window*: from the last start to the first end.
 *
 * The hub sits where all seats are in reach: in the isolate for `async`, in the main thread for `threads`, in the
 * coordinator for `processes`.
 */

import type { Clock } from '../../core/clock.ts'
import { ShootoutError } from '../../core/errors.ts'
import type { Release, Section } from '../assignment.ts'

export class BarrierHub {
  readonly #seats: number
  readonly #leadNs: number
  readonly #clock: Clock
  readonly #release: (release: Release) => void
  #arrived = 0
  #sections: Section[] = []

  /**
   * @param leadNs how far ahead the start instant lies: longer than a message takes to everybody
   * @param release tells all seats
   */
  constructor(seats: number, leadNs: number, clock: Clock, release: (release: Release) => void) {
    this.#seats = seats
    this.#leadNs = leadNs
    this.#clock = clock
    this.#release = release
  }

  /** A seat arrives: for the start without a section, for the end with the one it has just timed. */
  arrive(section?: Section): void {
    this.#arrived++
    if (section !== undefined) this.#sections.push(section)
    if (this.#arrived < this.#seats) return
    const sections = this.#sections
    this.#arrived = 0
    this.#sections = []
    if (sections.length === 0) {
      this.#release({ phase: 'start', startAtNs: this.#clock.monotonicNs() + this.#leadNs })
      return
    }
    if (sections.length !== this.#seats) {
      throw new ShootoutError(
        'barrier',
        'the workers disagree: some start a timed section that others end; all must call time() equally often',
      )
    }
    const starts = sections.map((one) => one.startNs)
    const ends = sections.map((one) => one.endNs)
    const startNs = Math.max(...starts)
    this.#release({
      phase: 'end',
      window: { startNs, endNs: Math.max(startNs, Math.min(...ends)) },
      skewNs: startNs - Math.min(...starts),
    })
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Blocks this thread until the instant: asleep while it is far, spinning for the last stretch, because a sleep may end
 * some 50 µs late. Blocking is meant: nothing else may run in this isolate just before the start.
 */
export function waitUntil(instantNs: number, clock: Clock): void {
  const spinNs = 100_000
  const sleepMs = (instantNs - spinNs - clock.monotonicNs()) / 1e6
  if (sleepMs > 0) Atomics.wait(sleeper, 0, 0, sleepMs)
  while (clock.monotonicNs() < instantNs) {
    // spin
  }
}
