/** Descriptive statistics of a few numbers. None of them changes its argument; all want at least one value. */

export function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b)
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** All values above 0. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(mean(values.map(Math.log)))
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Linear between the two nearest order statistics (type 7 of Hyndman and Fan, the default of R and NumPy). */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('a quantile of nothing')
  const ordered = sorted(values)
  const position = share * (ordered.length - 1)
  const below = ordered[Math.floor(position)]!
  const above = ordered[Math.ceil(position)]!
  return below + (above - below) * (position - Math.floor(position))
}

/** Median distance from the median. */
export function medianDeviation(values: readonly number[]): number {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

/**
 * Spread of the logarithms, as a standard deviation that outliers do not move: 0.05 means that values differ by about
 * 5 %. The factor makes it equal to the standard deviation for normal values.
 */
export function robustSigmaOfLog(values: readonly number[]): number {
  return 1.4826 * medianDeviation(values.map(Math.log))
}
