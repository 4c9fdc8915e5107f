/** What a gate has to say, as plain data: every output of it is made from this, and it is the JSON output as it stands. */

import type { GateFailure, GateSkip } from '../../results/gate-schema.ts'
import type { Setting } from '../../results/schema.ts'
import type { CounterComparison } from './counters.ts'
import type { Drift } from './drift.ts'
import type { Explanation } from './explain.ts'
import type { Limits, Policy } from './policy.ts'
import type { MachineSummary } from './sentinel.ts'
import type { CellState, Ground, Verdict } from './suite.ts'

export interface GateReport {
  /** Version of this shape. */
  readonly format: 1
  readonly baseline: string
  readonly candidate: string
  readonly verdict: OverallVerdict
  readonly cells: readonly ReportedCell[]
  readonly skips: readonly GateSkip[]
  /** When a saved baseline was measured, ISO 8601. Undefined where both sides took turns. */
  readonly savedAt?: string
  /** Of a suite whose screening is complete. */
  readonly drift?: Drift
  /** What the machine was like; undefined where no pair was measured. */
  readonly machine?: MachineSummary
  readonly policy: Policy
  readonly seed: string
  /** The command that does it again, with this seed. */
  readonly again: string
  readonly journal: string
  readonly elapsedNs: number
  readonly interrupted: boolean
}

/** `nothing`: not one cell was decided or even measured. */
export type OverallVerdict = Verdict | 'nothing'

export interface ReportedCell extends Omit<CellState, 'verdict' | 'ground'> {
  readonly setting: Setting
  /** Where they differ from those of the policy. */
  readonly limits?: Limits
  readonly verdict: Verdict
  readonly ground: Ground
  readonly counters?: CounterComparison
  readonly failure?: GateFailure
  /** Of a cell that became slower, where there was time to look. */
  readonly explanation?: Explanation
  /** Of a saved baseline there are no pairs, but forks: so many on each side. */
  readonly savedForks?: { readonly before: number; readonly after: number }
  /** Pairs of the two sides, in all stages; without the pilot. */
  readonly pairs: number
}

/** Worst first: what somebody has to do something about stands on top. */
const verdictOrder: readonly Verdict[] = ['fail', 'failed', 'inconclusive', 'pass']

/**
 * A proven regression outweighs everything: it stays proven whatever else is missing. A cell that could not be measured
 * outweighs one that could not be told, and only a gate without either passes.
 */
export function overallVerdict(
  cells: readonly { readonly verdict: Verdict }[],
  drift?: Drift,
): OverallVerdict {
  if (cells.length === 0) return 'nothing'
  if (drift?.isSlower) return 'fail'
  return verdictOrder.find((verdict) => cells.some((cell) => cell.verdict === verdict))!
}

export function worstFirst(cells: readonly ReportedCell[]): readonly ReportedCell[] {
  return [...cells].sort(
    (a, b) =>
      verdictOrder.indexOf(a.verdict) - verdictOrder.indexOf(b.verdict) ||
      (b.evidence?.ratio ?? 0) - (a.evidence?.ratio ?? 0),
  )
}
