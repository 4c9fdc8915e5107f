/**
 * Two independent samples, as from two results files: by how much do they differ? The estimate is Hodges and Lehmann's
 * (the median of all differences), the interval is the exact one of Mann and Whitney's test. Neither assumes a shape,
 * only that one distribution is the other, shifted; on logarithms, the shift is a ratio.
 */

import type { Interval } from './median-interval.ts'
import { median, sorted } from './quantiles.ts'

export interface Shift {
  /** Median of all differences `b − a`. */
  readonly estimate: number
  /** Undefined where the samples are too small for the confidence asked. */
  readonly interval: Interval | undefined
}

export function shift(a: readonly number[], b: readonly number[], confidence = 0.95): Shift {
  const differences = sorted(b.flatMap((later) => a.map((earlier) => later - earlier)))
  return {
    estimate: median(differences),
    interval: shiftInterval(differences, a.length, b.length, confidence),
  }
}

/** The d-th smallest to the d-th largest difference, with d as large as the confidence allows. */
function shiftInterval(differences: readonly number[], m: number, n: number, confidence: number) {
  const probabilities = mannWhitney(m, n)
  let depth = 0
  let outside = 0
  // The interval from the d-th difference misses the shift to one side with P(U ≤ d − 1).
  while (depth < Math.floor(differences.length / 2)) {
    const next = outside + probabilities[depth]!
    if (1 - 2 * next < confidence) break
    outside = next
    depth++
  }
  if (depth === 0) return undefined
  return {
    low: differences[depth - 1]!,
    high: differences[differences.length - depth]!,
    level: 1 - 2 * outside,
  }
}

/**
 * P(U = u) for u = 0 … m·n, when both samples come from one distribution without ties: each of the C(m+n, m) orders
 * is equally likely, and U counts the pairs in which the second is smaller.
 */
export function mannWhitney(m: number, n: number): readonly number[] {
  const key = `${m}/${n}`
  const known = distributions.get(key)
  if (known !== undefined) return known
  const made = countOrders(m, n)
  distributions.set(key, made)
  return made
}

/** The cells of a file mostly have equally many forks. */
const distributions = new Map<string, readonly number[]>()

function countOrders(m: number, n: number): readonly number[] {
  // rows[j] holds the distribution of U for i and j values; the greatest of the i + j belongs to one of the samples:
  // to the first with probability i / (i + j), and then it is above all j of the second.
  let rows: number[][] = Array.from({ length: n + 1 }, () => [1])
  for (let i = 1; i <= m; i++) {
    const next: number[][] = [[1]]
    for (let j = 1; j <= n; j++) {
      const without = rows[j]!
      const before = next[j - 1]!
      next.push(
        Array.from(
          { length: i * j + 1 },
          (_, u) => ((without[u - j] ?? 0) * i + (before[u] ?? 0) * j) / (i + j),
        ),
      )
    }
    rows = next
  }
  return rows[n]!
}

/** One-sided p of the hypothesis that `b` is not greater than `a`: exact without ties, careful with them, which count half. */
export function isGreaterP(a: readonly number[], b: readonly number[]): number {
  const probabilities = mannWhitney(a.length, b.length)
  let tail = 0
  for (let value = 0; value <= Math.ceil(smallerPairs(a, b)); value++) tail += probabilities[value]!
  return Math.min(1, tail)
}

/** Pairs in which the second is smaller. */
function smallerPairs(a: readonly number[], b: readonly number[]): number {
  let u = 0
  for (const x of a) for (const y of b) u += y < x ? 1 : y === x ? 0.5 : 0
  return u
}

/** Two-sided p of the hypothesis that there is no shift: exact without ties, careful with them, which count half. */
export function mannWhitneyP(a: readonly number[], b: readonly number[]): number {
  return Math.min(1, 2 * Math.min(isGreaterP(a, b), isGreaterP(b, a)))
}
