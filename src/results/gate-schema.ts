/**
 * The journal of a gate: JSON Lines, append-only, like the results file of a run but with lines of its own.
 *
 *   gate      first line: which two contenders, which settings, on what, by which policy
 *   skip      a setting that cannot be measured, with the reason
 *   counters  the work of both sides in one setting, counted
 *   order     how long batches of one setting are
 *   pair      one pair of one setting with its raw times
 *   block     what the machine was like during one pass over cells; a block that was disturbed does not count, and the
 *             pairs since the last block line are its pairs
 *   explanation  both sides of a cell that failed, watched more closely
 *   failure   a setting that one of the sides cannot do
 *   verdict   what came of one setting
 *   end       last line. A journal without it was interrupted
 *
 * Every verdict can be computed again from the lines before it. Durations are integer nanoseconds.
 */

import type { PlainError } from '../core/errors.ts'
import type { Concurrency, ContenderRecord, DatasetRecord, EnvironmentRecord, Setting } from './schema.ts'

/** Raised when a reader of the old version would misread the new one. */
export const gateSchemaVersion = 1

export type GateLine =
  | GateHeader
  | GateSkip
  | CountersLine
  | OrderLine
  | PairLine
  | BlockLine
  | ExplanationLine
  | GateFailure
  | GateVerdictLine
  | GateEnd

export type Side = 'baseline' | 'candidate'

/** `pilot`: the baseline against itself. `screen`: every cell. `confirm`: fresh pairs for cells that need them. */
export type Stage = 'pilot' | 'screen' | 'confirm'

export interface GateHeader {
  readonly type: 'gate'
  readonly schema: number
  /** ISO 8601. */
  readonly startedAt: string
  readonly seed: string
  readonly baseline: ContenderRecord
  readonly candidate: ContenderRecord
  readonly settings: readonly Setting[]
  readonly dataset: DatasetRecord
  readonly environment: EnvironmentRecord
  /** Rounds per pair. */
  readonly rounds: number
  readonly budgetNs: number
  /** Limits, levels and looks: see docs/statistics.md. */
  readonly policy: object
}

/** Which cell of the gate: a setting without its title. */
export interface GateCellId {
  readonly scenario: string
  readonly objects: number
  readonly concurrency: Concurrency
}

export interface GateSkip extends GateCellId {
  readonly type: 'skip'
  readonly reason: string
}

/** Counts over a fixed number of operations. Each side counts twice, in fresh forks: what differs is not exact. */
export interface CountersLine extends GateCellId {
  readonly type: 'counters'
  /** Operations of all workers in each count. */
  readonly operations: number
  readonly baseline: readonly Readonly<Record<string, number>>[]
  readonly candidate: readonly Readonly<Record<string, number>>[]
}

/** Equal for all batches of all pairs of a setting, on both sides. */
export interface OrderLine extends GateCellId {
  readonly type: 'order'
  /** Per worker and batch. */
  readonly operations: number
  /** Between two readings of the clock. */
  readonly operationsPerLap: number
  /** Operations before each batch that do not count. */
  readonly primer: number
  /** Batches of a fork that do not count. */
  readonly warmups: number
}

export interface PairLine extends GateCellId {
  readonly type: 'pair'
  readonly stage: Stage
  /** Number within its stage, from 0. */
  readonly pair: number
  /** Operations per worker and batch. */
  readonly operations: number
  readonly rounds: readonly RoundRecord[]
  readonly baseline: SideRecord
  /** In the pilot, the baseline once more. */
  readonly candidate: SideRecord
}

/** Four batches, in the order first, second, second, first; the stores change places in each round. */
export interface RoundRecord {
  readonly first: Side
  /** Which of its two stores the first side used first. */
  readonly store: 0 | 1
  /** Mean time of the workers, per store. */
  readonly baselineNs: readonly [number, number]
  readonly candidateNs: readonly [number, number]
  /** Processor time of each side in this round, both stores together. */
  readonly baselineCpuNs?: number
  readonly candidateCpuNs?: number
}

/** One side over all its batches, both stores together. */
export interface SideRecord {
  readonly cpuNs: number
  /** The mean of the two forks' greatest resident sets. */
  readonly residentBytesMax: number
  /** Single operations, only where each was timed and there were at least 1000. */
  readonly p99Ns?: number
}

/** Two more pairs under the profiler, which costs time itself: their times are compared with nothing else. */
export interface ExplanationLine extends GateCellId {
  readonly type: 'explanation'
  readonly pairs: number
  /** Timed operations of each side, over all workers, forks and pairs. */
  readonly operations: number
  /** The same with those that were only done to warm up between batches; profiles cover all of them. */
  readonly profiledOperations: number
  readonly baseline: WatchedSide
  readonly candidate: WatchedSide
}

/** Totals of one side. */
export interface WatchedSide {
  /** Of all workers in timed sections. */
  readonly timeNs: number
  readonly cpuNs: { readonly user: number; readonly system: number }
  readonly gcNs: number
  readonly loopDelayNsMax: number
  readonly counters: Readonly<Record<string, number>>
  /** The greatest first. */
  readonly functions: readonly FunctionTime[]
}

export interface FunctionTime {
  readonly name: string
  /** Last folder and file; empty for what is not JavaScript. */
  readonly place: string
  readonly selfNs: number
}

/** What the sentinel saw from outside. Shares are of the time of the block; what the system does not tell is left out. */
export interface MachineReading {
  /** A fixed piece of work on one processor, before or after the block, whichever was slower. */
  readonly cpuRulerNs: number
  /** The same of an append and fdatasync; the median of some. */
  readonly fsyncRulerNs: number
  /** Somebody waited for a processor, a disk, memory. */
  readonly cpuPressure?: number
  readonly ioPressure?: number
  readonly memoryPressure?: number
  /** Taken away by the hypervisor. */
  readonly stolen?: number
  /** Held back by the limits of the control group. */
  readonly throttled?: number
}

export interface BlockLine {
  readonly type: 'block'
  /** From 0. */
  readonly block: number
  readonly machine: MachineReading
  /** Why its pairs do not count. */
  readonly disturbed?: string
}

/** Every setting that has no verdict for a reason other than time or noise. */
export interface GateFailure extends GateCellId {
  readonly type: 'failure'
  readonly side: Side
  readonly step: string
  readonly error: PlainError
}

export interface GateVerdictLine extends GateCellId {
  readonly type: 'verdict'
  readonly verdict: 'pass' | 'fail' | 'inconclusive' | 'failed'
  readonly reason: string
}

export interface GateEnd {
  readonly type: 'end'
  readonly endedAt: string
  readonly outcome: 'completed' | 'interrupted'
  readonly exitCode: number
  readonly elapsedNs: number
}
