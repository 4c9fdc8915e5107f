/**
 * How many forks a run takes, where the user gave a budget or a precision instead of a number. The first stage is
 * looked at once, for what it cost or how it spread, never for who was faster; then the number is fixed. Stopping when
 * an interval looks narrow enough would make it too narrow.
 */

import type { Durations } from './calibrate.ts'

/**
 * Numbers of forks for which the order-statistic interval of the median has a level only just above 95 %. Others,
 * such as 8 or 10, pay for a fork without getting a narrower interval.
 */
export const forkLadder: readonly number[] = [6, 9, 12, 15, 17, 20]

/** Forks of the first stage when a precision is wanted, and the most there may be in the end. */
export const pilotForks = 6
export const precisionForksMax = 60

/**
 * Pilot forks per cell that show how long warming up takes. They are worth their time from the number of forks on that
 * gives an interval; with a budget, a share of the time goes into warming up instead.
 */
export function warmupPilots(forks: number, hasBudget: boolean): number {
  if (hasBudget || forks < forkLadder[0]!) return 0
  return forks < thoroughForks ? 1 : 3
}

const thoroughForks = 12

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

/** What a measured cell takes in one fork when nothing presses: warm-ups and batches together. */
const cellNs = 550e6
/** With a tight budget, the least. */
const cellNsMin = 60e6
/** Starting processes, filling stores, verifying: for one setting, and for each of its cells. */
const settingOverheadNs = 250e6
const cellOverheadNs = 200e6
/** Share of the budget that is planned; the rest is for calibration and surprises. */
const plannedShare = 0.75
/** Share of a cell's time that goes into warming up. */
const warmupShare = 0.4

/**
 * How long batches may last, so that the fewest forks that give an interval fit into the budget.
 * @param settings with contenders, and the cells of all of them together
 */
export function durationsWithin(
  budgetNs: number | undefined,
  settings: number,
  cells: number,
  batches: number,
): Durations {
  const blockNs =
    budgetNs === undefined ? Number.POSITIVE_INFINITY : (plannedShare * budgetNs) / forkLadder[0]!
  const affordableNs = (blockNs - settings * settingOverheadNs) / Math.max(1, cells) - cellOverheadNs
  const chosenNs = Math.min(cellNs, Math.max(cellNsMin, affordableNs))
  return { warmupNs: chosenNs * warmupShare, batchNs: (chosenNs * (1 - warmupShare)) / batches }
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
