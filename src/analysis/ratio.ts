/**
 * How one contender compares with another. Forks of the same number were alive together and took turns, so whatever
 * slowed the machine down slowed both: the ratio is taken fork by fork, and its spread is what counts.
 */

import { estimate } from './estimate.ts'
import type { Estimate, ForkSummary, PairedRatio, Verdict } from './model.ts'

/** Times closer than this are the same for every purpose we know of. */
export const equalShare = 0.02

/**
 * The half-width of an interval is about two standard errors; to see a difference in 8 of 10 runs it must be
 * 0.84 standard errors further away.
 */
const powerFactor = (1.96 + 0.84) / 1.96

/** Own time over the other's, per fork number that both have. */
export function pairedRatios(
  own: readonly ForkSummary[],
  other: readonly ForkSummary[],
): ReadonlyMap<number, number> {
  const others = new Map(other.map((fork) => [fork.fork, fork.timePerOperationNs]))
  const ratios = new Map<number, number>()
  for (const { fork, timePerOperationNs } of own) {
    const otherNs = others.get(fork)
    if (otherNs !== undefined) ratios.set(fork, timePerOperationNs / otherNs)
  }
  return ratios
}

/** At least one value. */
export function judge(ratios: readonly number[]): PairedRatio {
  const summary = estimate(ratios)
  return { estimate: summary, verdict: verdictOf(summary), detectable: detectableOf(summary) }
}

function verdictOf({ interval }: Estimate): Verdict {
  if (interval === undefined) return 'unclear'
  const { low, high } = interval
  // First, because a difference that is proven but smaller than this is of no use to anybody.
  if (high <= 1 + equalShare && low >= 1 / (1 + equalShare)) return 'equal'
  if (low > 1) return 'slower'
  if (high < 1) return 'faster'
  return 'unclear'
}

function detectableOf({ interval }: Estimate): number | undefined {
  if (interval === undefined) return undefined
  return Math.exp((powerFactor * Math.log(interval.high / interval.low)) / 2) - 1
}
