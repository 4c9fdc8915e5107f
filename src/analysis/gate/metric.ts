/**
 * Which metric decides in a cell: the quietest of the valid ones, as the pilot saw them. The pilot compares the
 * baseline with itself, so the choice knows nothing of the candidate and costs no level.
 */

import { spreadAround } from '../stats/power.ts'
import { mean } from '../stats/quantiles.ts'
import { type Metric, metrics, type PairValues } from './pair-values.ts'

export interface ChosenMetric {
  readonly metric: Metric
  /** Standard deviation of the pilot's log ratios, robust. Their true centre is known: it is 0. */
  readonly sigma: number
  /** The least that the true spread can reasonably be. */
  readonly sigmaMin: number
}

/** Six pairs tell a spread to within a factor of 1.5, so a rival of the plain time must be quieter by this to win. */
const advantage = 0.8

/**
 * And to give up on a cell before it is measured, the pilot must be too noisy even if the true spread is this much
 * smaller.
 */
const doubt = 0.5

/**
 * @param cpuIsValid the cell does nothing but compute: one worker, no sync, no round trip. Elsewhere CPU time would
 *   not see a candidate that waits
 */
export function chooseMetric(pilot: readonly PairValues[], cpuIsValid: boolean): ChosenMetric {
  let best: ChosenMetric | undefined
  for (const metric of metrics) {
    if (metric === 'cpu' && !cpuIsValid) continue
    const values = pilot.flatMap((pair) => pair[metric] ?? [])
    if (values.length < pilot.length) continue
    const sigma = spreadAround(values)
    if (best !== undefined && sigma >= advantage * best.sigma) continue
    const deviation = Math.sqrt(mean(values.map((value) => value ** 2)))
    best = { metric, sigma, sigmaMin: doubt * Math.min(sigma, deviation) }
  }
  return best!
}
