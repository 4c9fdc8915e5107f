/**
 * What an analysis is: everything a report shows, computed from a results file and nothing else. Plain data, so that
 * it can be written as JSON as it stands. Times are nanoseconds; what is missing is undefined, never 0 or NaN.
 */

import type { ContenderRecord, EndLine, ForkId, Setting, SuiteLine } from '../results/schema.ts'
import type { Interval } from './stats/median-interval.ts'

/** All that a report shows of a results file. */
export interface Analysis {
  /** Version of this shape, for readers of the JSON. */
  readonly format: 1
  readonly path: string
  readonly suite: SuiteLine
  readonly end?: EndLine
  /** Those that passed the filters, in the order of the suite. */
  readonly contenders: readonly ContenderRecord[]
  /** Label of the contender that ratios refer to. */
  readonly reference: string
  /** In the order of the suite: scenario, then concurrency and objects. */
  readonly groups: readonly Group[]
  readonly summary: Summary
  readonly warnings: readonly Warning[]
}

/** One setting, with one cell per contender, in the order of `Analysis.contenders`. */
export interface Group {
  readonly setting: Setting
  readonly cells: readonly Cell[]
}

/** One contender in one setting. */
export type Cell = MeasuredCell | FailedCell | SkippedCell | MissingCell

/** Why a cell has no number. */
export type UnmeasuredStatus = Exclude<Cell['status'], 'measured'>

/** A cell all of whose forks were completed. */
export interface MeasuredCell {
  readonly status: 'measured'
  readonly contender: string
  readonly forks: readonly ForkSummary[]
  /** Per operation, as one worker sees it: the mean over a fork, the median over forks. */
  readonly timePerOperationNs: Estimate
  /** Operations per second of all workers together. Undefined where workers did not overlap. */
  readonly throughputPerSecond: Estimate | undefined
  readonly latencies: readonly LatencyQuantile[]
  readonly cpuPerOperationNs: Estimate
  /** Of servers that were started for the store, median over forks. Undefined where there are none. */
  readonly serverCpuPerOperationNs: number | undefined
  /** Median over forks, of each counter and each tally that is not always 0. */
  readonly countersPerOperation: Readonly<Record<string, number>>
  readonly talliesPerOperation: Readonly<Record<string, number>>
  /** Pauses for garbage collection, median over forks. */
  readonly gcPerOperationNs: number
  /** Longest delay of a worker's event loop in any fork. */
  readonly loopDelayNsMax: number
  readonly residentBytesMax: number
  readonly ratio: Ratio
  /** Fastest of the contenders of its durability tier, and proven to be: no other is within its interval. */
  readonly fastest: boolean
}

/** One fork at least failed. What the others measured is kept, but it is no result: who survives is not a fair sample. */
export interface FailedCell {
  readonly status: 'failed'
  readonly contender: string
  readonly failures: readonly Failure[]
  readonly forks: readonly ForkSummary[]
}

/** What went wrong in one fork. */
export interface Failure {
  readonly fork: number
  readonly step: string
  readonly code: string
  readonly message: string
}

/** A cell that cannot exist here, with the reason. */
export interface SkippedCell {
  readonly status: 'skipped'
  readonly contender: string
  readonly reason: string
}

/** Planned, but there is nothing in the file: the run ended before. */
export interface MissingCell {
  readonly status: 'missing'
  readonly contender: string
}

/** What one fork measured: the unit of everything statistical. */
export interface ForkSummary {
  readonly fork: number
  readonly timePerOperationNs: number
  readonly throughputPerSecond: number | undefined
  readonly cpuPerOperationNs: number
  readonly serverCpuPerOperationNs: number | undefined
  readonly operations: number
  readonly latencies: readonly { readonly share: number; readonly valueNs: number }[]
  readonly countersPerOperation: Readonly<Record<string, number>>
  readonly talliesPerOperation: Readonly<Record<string, number>>
  /** Start skew as a share of the window, median over batches. */
  readonly skewShare: number
  /** Common window as a share of the mean worker's time. */
  readonly overlapShare: number
  /** Time of the slowest worker over that of the mean worker, median over batches. */
  readonly imbalance: number
  /** Time per operation of the later half of the batches over that of the earlier half. 1 with a single batch. */
  readonly drift: number
  readonly gcPerOperationNs: number
  readonly loopDelayNsMax: number
  readonly residentBytesMax: number
}

/** A median over forks. */
export interface Estimate {
  readonly median: number
  /** Exact 95 % interval of the median. Undefined below 6 forks: then there are only `min` and `max`. */
  readonly interval: Interval | undefined
  readonly min: number
  readonly max: number
  /** Number of forks. */
  readonly n: number
}

/** A quantile of single operations: the median over forks of each fork's own quantile. */
export interface LatencyQuantile {
  /** 0.5, 0.95, 0.99. */
  readonly share: number
  /** Undefined where a fork has fewer operations than `operationsMin`. */
  readonly estimate: Estimate | undefined
  readonly operationsMin: number
}

/** `equal` is proven too; `unclear` is everything that is not. */
export type Verdict = 'faster' | 'slower' | 'equal' | 'unclear'

/** A contender's time over another's, fork by fork: forks of one number were alive together and took turns. */
export interface PairedRatio {
  readonly estimate: Estimate
  readonly verdict: Verdict
  /** A ratio at least this far from 1, either way, would probably (8 of 10 times) have been seen. */
  readonly detectable: number | undefined
}

/** How a cell compares with the reference, where it can be compared. */
export type Ratio =
  | { readonly kind: 'reference' }
  | { readonly kind: 'none'; readonly reason: string }
  | ({ readonly kind: 'paired'; readonly unequalDurability: boolean } & PairedRatio)

/** Who is faster, over all settings of each scenario. */
export interface Summary {
  readonly tiers: readonly Tier[]
  readonly scenarios: readonly ScenarioSummary[]
  readonly counts: {
    readonly measured: number
    readonly failed: number
    readonly skipped: number
    readonly missing: number
  }
}

/** Contenders that are ranked with each other. */
export interface Tier {
  readonly durability: string
  readonly contenders: readonly string[]
}

/** The same for one scenario. */
export interface ScenarioSummary {
  readonly scenario: string
  /** One per tier with at least two contenders that have results in common. */
  readonly rankings: readonly Ranking[]
  /** One per other tier with at least two contenders. */
  readonly unranked: readonly Unranked[]
}

/** A tier in which no two contenders have results in common. */
export interface Unranked {
  readonly durability: string
  /** Those with a result. Where there are several, there is no setting in which all of them have one. */
  readonly present: readonly string[]
  /** The others, with the worst that happened in any setting. */
  readonly absent: readonly { readonly contender: string; readonly status: UnmeasuredStatus }[]
}

/** The contenders of one tier, in order. */
export interface Ranking {
  readonly durability: string
  /** Settings in which all of them were measured; only these count. */
  readonly settings: number
  readonly settingsOfScenario: number
  /** From fast to slow. The first has no ratio. */
  readonly places: readonly Place[]
  /** Left out of the ranking: no result in common with the others. */
  readonly absent: readonly string[]
}

/** One contender in a ranking. */
export interface Place {
  readonly contender: string
  /** Geometric mean over settings of the ratio to the first place. */
  readonly ratio?: PairedRatio
  /** In how many of the settings it is proven slower, and proven faster, than the first place. */
  readonly slowerIn: number
  readonly fasterIn: number
  /** The ratios of single settings: least and greatest. */
  readonly ratioMin: number
  readonly ratioMax: number
}

/** The result stands, but a reader should know. */
export interface Warning {
  readonly code: string
  readonly text: string
  readonly advice: string
  readonly cells?: readonly CellName[]
}

/** Which cell a warning is about. */
export type CellName = Omit<ForkId, 'fork'>
