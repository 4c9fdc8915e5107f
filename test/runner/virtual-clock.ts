/** A clock that moves only when told, for exact assertions about durations. */

import type { Clock } from '../../src/core/clock.ts'

export class VirtualClock implements Clock {
  nowNs = 1_000

  wallUs(): number {
    return this.nowNs / 1e3
  }

  monotonicNs(): number {
    return this.nowNs
  }

  advance(durationNs: number): void {
    this.nowNs += durationNs
  }
}
