/** A fixed piece of computing, timed again and again: how much does this machine differ from itself? */

import { quantile, sorted } from '../../analysis/stats/quantiles.ts'
import { systemClock } from '../../core/clock.ts'

const lengths = 60
/** Some 5 ms each, as long as a batch. */
const rounds = 4_000_000

export interface RulerReading {
  readonly medianNs: number
  /** From the first to the ninth tenth of the times, over the median: 0.05 is 5 %. */
  readonly spread: number
}

export function readRuler(): RulerReading {
  const times: number[] = []
  let state = 1
  for (let length = 0; length < lengths; length++) {
    const startNs = systemClock.monotonicNs()
    for (let round = 0; round < rounds; round++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    times.push(systemClock.monotonicNs() - startNs)
  }
  // The first ones are compiled while they run. Using the result keeps the loop from being left out.
  const settled = sorted(times.slice(state === 0 ? 9 : 10))
  const medianNs = quantile(settled, 0.5)
  return {
    medianNs: Math.round(medianNs),
    spread: (quantile(settled, 0.9) - quantile(settled, 0.1)) / medianNs,
  }
}
