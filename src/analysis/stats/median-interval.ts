/**
 * The exact confidence interval of a median, from order statistics. It assumes nothing about the distribution except
 * that the values are independent: each lies below the true median with probability 1/2, so the number that do is
 * binomial. Ties only make it more careful.
 */

import { coinCumulative } from './binomial.ts'
import { sorted } from './quantiles.ts'

/** A confidence interval. */
export interface Interval {
  readonly low: number
  readonly high: number
  /** Probability with which the interval covers the true value; at least what was asked for. */
  readonly level: number
}

/** From this number of values on, there is a 95 % interval. */
export const valuesMinForInterval = 6

/**
 * The narrowest symmetric pair of order statistics, x(d) and x(n+1−d), that covers the median with at least
 * `confidence`. Undefined where even the whole range does not: below 6 values for 95 %.
 */
export function medianInterval(values: readonly number[], confidence = 0.95): Interval | undefined {
  const n = values.length
  const depth = intervalDepth(n, confidence)
  if (depth === 0) return undefined
  const ordered = sorted(values)
  return { low: ordered[depth - 1]!, high: ordered[n - depth]!, level: intervalLevel(n, depth) }
}

/** Largest d for which x(d) … x(n+1−d) covers with at least `confidence`; 0 if there is none. */
export function intervalDepth(n: number, confidence = 0.95): number {
  // The level falls with the depth, so half of what is left can be ruled out each time.
  let [depth, tooDeep] = [0, Math.floor(n / 2) + 1]
  while (tooDeep - depth > 1) {
    const middle = Math.floor((depth + tooDeep) / 2)
    if (intervalLevel(n, middle) >= confidence) depth = middle
    else tooDeep = middle
  }
  return depth
}

/** Coverage of x(d) … x(n+1−d): 1 − 2·P(Bin(n, 1/2) ≤ d − 1). */
export function intervalLevel(n: number, depth: number): number {
  return 1 - 2 * coinCumulative(depth - 1, n)
}
