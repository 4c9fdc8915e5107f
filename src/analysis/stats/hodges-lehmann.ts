/**
 * By how much do paired differences lie above zero? Hodges and Lehmann's estimate: the median of the means of all
 * pairs of them, each value with itself included (Walsh averages). Its interval holds the values that the signed-rank
 * test would not reject, so estimate, interval and test never contradict each other (Hodges and Lehmann 1963).
 */

import type { Interval } from './median-interval.ts'
import { signedRankDistribution } from './signed-rank.ts'

export interface Centre {
  readonly estimate: number
  /** Undefined where there are too few values for the confidence asked: below 6 for 95 %. */
  readonly interval: Interval | undefined
}

/** At least one value. */
export function centreOf(values: readonly number[], confidence = 0.95): Centre {
  const averages = walshAverages(values)
  const middle = averages.length >> 1
  const estimate =
    averages.length % 2 === 1 ? averages[middle]! : (averages[middle - 1]! + averages[middle]!) / 2
  return { estimate, interval: intervalOf(averages, values.length, confidence) }
}

/** The n(n+1)/2 means of two values, in ascending order. */
export function walshAverages(values: readonly number[]): Float64Array {
  const n = values.length
  const averages = new Float64Array((n * (n + 1)) / 2)
  let count = 0
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) averages[count++] = (values[i]! + values[j]!) / 2
  return averages.sort()
}

/** From the d-th smallest to the d-th largest average; it misses to one side with P(W ≤ d − 1). */
function intervalOf(averages: Float64Array, n: number, confidence: number): Interval | undefined {
  const probabilities = signedRankDistribution(n)
  let depth = 0
  let outside = 0
  while (depth < averages.length >> 1) {
    const next = outside + probabilities[depth]!
    if (1 - 2 * next < confidence) break
    outside = next
    depth++
  }
  if (depth === 0) return undefined
  return {
    low: averages[depth - 1]!,
    high: averages[averages.length - depth]!,
    level: 1 - 2 * outside,
  }
}
