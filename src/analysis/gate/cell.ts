/** Statistics of one cell's log ratios, and the three questions that the gate asks of them. */

import { centreOf } from '../stats/hodges-lehmann.ts'
import type { Interval } from '../stats/median-interval.ts'
import { detectableEffect, spreadOfInterval } from '../stats/power.ts'
import { signedRankP } from '../stats/signed-rank.ts'
import type { PairValues } from './pair-values.ts'
import type { Guard, Policy } from './policy.ts'

/** Ratios are candidate over baseline: 1.05 is 5 % slower. */
export interface Evidence {
  readonly pairs: number
  readonly ratio: number
  /** Exact 95 % interval of the ratio. Undefined below 6 pairs. */
  readonly interval: Interval | undefined
  /** One-sided: of no slowdown. */
  readonly pSlower: number
  /** One-sided: of no speed-up. */
  readonly pFaster: number
  /** One-sided: of a slowdown of delta or more. */
  readonly pDelta: number
  /** The slowdown that so many pairs of this spread would have found, 0.03 is 3 %. Undefined without an interval. */
  readonly detectable: number | undefined
}

/** At least one value. */
export function evidenceOf(values: readonly number[], policy: Policy): Evidence {
  const { estimate, interval } = centreOf(values)
  const faster = values.map((value) => -value)
  return {
    pairs: values.length,
    ratio: Math.exp(estimate),
    interval: interval && {
      low: Math.exp(interval.low),
      high: Math.exp(interval.high),
      level: interval.level,
    },
    pSlower: signedRankP(values),
    pFaster: signedRankP(faster),
    pDelta: signedRankP(faster, -Math.log1p(policy.delta)),
    detectable: interval && detectableEffect(spreadOfInterval(interval, values.length), values.length),
  }
}

/** Slower by enough to matter, if it is proven. The proof is a question of level, which the suite decides. */
export function matters(evidence: Evidence, policy: Policy): boolean {
  return evidence.ratio - 1 >= policy.tau
}

/** A claim of the report like any other, made of every cell at every look, so it is as strict as the first look. */
const fasterAlpha = 0.001

/** Proven faster, for the report: improvements never gate. */
export function isFaster(evidence: Evidence, policy: Policy): boolean {
  return evidence.pFaster <= fasterAlpha && evidence.ratio <= 1 / (1 + policy.tau)
}

export interface GuardFinding {
  readonly guard: Guard
  readonly ratio: number
  readonly p: number
}

/** Guards whose limit is exceeded at this level. */
export function guardFindings(
  pairs: readonly PairValues[],
  policy: Policy,
  alpha: number,
): readonly GuardFinding[] {
  return policy.guards.flatMap((guard) => {
    const values = pairs.flatMap((pair) => pair[guard.name] ?? [])
    if (values.length < pairs.length) return []
    const ratio = Math.exp(centreOf(values).estimate)
    if (ratio - 1 < guard.limit) return []
    const p = signedRankP(values)
    return p <= alpha ? [{ guard, ratio, p }] : []
  })
}
