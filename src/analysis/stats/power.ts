/**
 * What could have been seen? A statement that nothing was found is worth as much as the smallest difference that would
 * have been found.
 */

import { median } from './quantiles.ts'

/**
 * (2.33 + 1.64)² for a one-sided test at 1 % that finds the effect in 95 of 100 cases, over 0.955, the efficiency of
 * the signed-rank test for normal values.
 */
const pairsFactor = 16.5

/** For an interval of 95 % (1.96 standard errors to each side) and a find in 8 of 10 cases (0.84 more). */
const intervalFactor = (1.96 + 0.84) / 1.96

/** Factor that makes a median distance the standard deviation, for normal values. */
const normalFactor = 1.4826

/**
 * Pairs needed to find a ratio of `1 + effect`, and to exclude one.
 * @param sigma standard deviation of the log ratios of pairs
 */
export function pairsNeeded(sigma: number, effect: number): number {
  return Math.ceil(pairsFactor * (sigma / Math.log1p(effect)) ** 2)
}

/** The effect that so many pairs find: 0.03 means 3 %. The inverse of `pairsNeeded`. */
export function detectableEffect(sigma: number, pairs: number): number {
  return Math.expm1(sigma * Math.sqrt(pairsFactor / pairs))
}

/** Standard deviation of values around a known centre, which outliers do not move. At least one value. */
export function spreadAround(values: readonly number[], centre = 0): number {
  return normalFactor * median(values.map((value) => Math.abs(value - centre)))
}

/**
 * Standard deviation of single values as their exact 95 % interval tells it. Unlike `spreadAround` it sees two modes
 * and heavy tails as the test sees them.
 */
export function spreadOfInterval(interval: { readonly low: number; readonly high: number }, n: number) {
  return (Math.sqrt(n) * (interval.high - interval.low)) / (2 * 1.96)
}

/** The effect that an interval of log ratios of this width would probably have shown. */
export function detectableByInterval(interval: { readonly low: number; readonly high: number }): number {
  return Math.expm1((intervalFactor * (interval.high - interval.low)) / 2)
}
