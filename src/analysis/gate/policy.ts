/**
 * What the gate promises, as numbers. The defaults keep the probability of failing an unchanged suite below 1 % and
 * find 5 % in 95 of 100 cases; docs/statistics.md has the simulation that shows it.
 */

import { UsageError } from '../../core/errors.ts'

export interface Look {
  /** The data are looked at when there are so many pairs. */
  readonly pairs: number
  /** One-sided level of this look. All looks together spend the level of the gate: a union bound. */
  readonly alpha: number
}

/** A quantity that is watched beside the one that decides, with a wider limit. */
export interface Guard {
  readonly name: GuardName
  /** Ratio minus 1 above which it counts. */
  readonly limit: number
}

export type GuardName = 'mean' | 'p99' | 'memory'

export interface Policy {
  /** Slowdowns below this are the same for every purpose: 0.02 is 2 %. */
  readonly tau: number
  /** The slowdown that must be excluded for a pass. */
  readonly delta: number
  /** Of a gate of one cell. */
  readonly looks: readonly Look[]
  /** Of the confirmation in a suite, whose cells share each level. */
  readonly suiteLooks: readonly Look[]
  /** Level at which "slower by delta or more" must be rejected for a pass. */
  readonly passAlpha: number
  /** The same in the confirmation of a suite, at each look. */
  readonly suitePassAlpha: number
  /** Pairs of the baseline against itself; they choose the metric and predict the number of pairs. */
  readonly pilotPairs: number
  readonly screenPairs: number
  /** With a p above this in the screening, and delta excluded, a cell has passed. */
  readonly screenAlpha: number
  /** Level of the test that the suite as a whole became slower. */
  readonly driftAlpha: number
  readonly guards: readonly Guard[]
  /** Level of each guard at each look, shared among the cells that are confirmed. */
  readonly guardAlpha: number
}

export const defaultPolicy: Policy = {
  tau: 0.02,
  delta: 0.05,
  looks: [
    { pairs: 12, alpha: 0.001 },
    { pairs: 24, alpha: 0.002 },
    { pairs: 36, alpha: 0.003 },
    { pairs: 50, alpha: 0.004 },
  ],
  // Twelve pairs cannot have a p that is small enough for a share of the level.
  suiteLooks: [
    { pairs: 24, alpha: 0.003 },
    { pairs: 50, alpha: 0.007 },
  ],
  passAlpha: 0.02,
  suitePassAlpha: 0.01,
  pilotPairs: 6,
  screenPairs: 12,
  screenAlpha: 0.2,
  driftAlpha: 0.001,
  guards: [
    { name: 'mean', limit: 0.1 },
    { name: 'p99', limit: 0.25 },
    { name: 'memory', limit: 0.25 },
  ],
  // The smallest p that 12 pairs can have is 2⁻¹².
  guardAlpha: 0.00025,
}

/** What a team may want otherwise, for all cells or for those of one scenario. */
export interface Limits {
  readonly tau?: number
  readonly delta?: number
}

/**
 * @param where whose limits they are, for the error
 * @throws UsageError `bad-limits`
 */
export function withLimits(policy: Policy, limits: Limits, where = ''): Policy {
  const { tau, delta } = { ...policy, ...limits }
  if (!(tau >= 0 && tau < delta)) {
    throw new UsageError(
      'bad-limits',
      `${where}the slowdown to exclude (${delta * 100} %) must be above the slowdown that is ignored (${tau * 100} %); change --delta or --tau`,
    )
  }
  return { ...policy, tau, delta }
}

/** The most pairs a cell can get in its last stage. */
export function pairsMax(policy: Policy): number {
  return policy.looks.at(-1)!.pairs
}
