/**
 * How many forks a run takes, where the user gave a budget or a precision instead of a number. The first stage is
 * looked at once, for what it cost or how it spread, never for who was faster; then the number is fixed. Stopping when
 * an interval looks narrow enough would make it too narrow.
 */

/**
 * Numbers of forks for which the order-statistic interval of the median has a level only just above 95 %. Others,
 * such as 8 or 10, pay for a fork without getting a narrower interval.
 */
export const forkLadder: readonly number[] = [6, 9, 12, 15, 17, 20]

/** Forks of the first stage when a precision is wanted, and the most there may be in the end. */
export const pilotForks = 6
export const precisionForksMax = 60

/** The least the second stage may bring the number to. */
const precisionForksMin = 9

/** Student's t, 97.5 %, for the 5 degrees of freedom of the pilot. */
const pilotT = 2.571

/**
 * The most forks of the ladder that fit.
 * @param blockNs what one fork of every cell costs
 * @param leftNs what is left of the budget after the first block
 * @param most the most there may be
 * @returns undefined when even the fewest do not fit
 */
export function forksWithin(blockNs: number, leftNs: number, most: number): number | undefined {
  return forkLadder.filter((forks) => forks <= most && (forks - 1) * blockNs <= leftNs).at(-1)
}

/**
 * Forks needed for intervals of the wanted half-width (two-stage sampling after Stein, on logarithms).
 * @param pilots per contender, the time per operation of each pilot fork
 * @param precision half-width as a share of the median: 0.02
 */
export function forksForPrecision(pilots: readonly (readonly number[])[], precision: number): number {
  let needed = precisionForksMin
  for (const times of pilots) {
    if (times.length < 2) continue
    const forks = Math.ceil(((pilotT * deviationOfLogs(times)) / precision) ** 2)
    needed = Math.max(needed, forks)
  }
  return Math.min(precisionForksMax, needed)
}

function deviationOfLogs(values: readonly number[]): number {
  const logs = values.map(Math.log)
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length
  return Math.sqrt(logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (logs.length - 1))
}
