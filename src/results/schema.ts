/**
 * The results file: JSON Lines, append-only. docs/results-format.md describes it for readers of other programs.
 *
 *   suite   first line: what was to be measured, on what, in which order
 *   fork    one fork of one cell: completed with raw times, or failed with an error
 *   skip    a cell that cannot exist, with the reason
 *   calibration  what each fork of a setting shall do, found out before its first fork
 *   forks   how many forks there will be, where a budget or a wanted precision decides it after the first ones
 *   end     last line: how it ended. A file without it was interrupted; every complete line counts
 *
 * Durations are integer nanoseconds. No means and no percentiles: whatever can be computed from the file is not in it.
 */

import type { PlainError } from '../core/errors.ts'
import type { RecordSizes } from '../core/record-sizes.ts'

/** Raised when a reader of the old version would misread the new one. */
export const schemaVersion = 1

/** Any line of the file. */
export type ResultLine = SuiteLine | ForkLine | SkipLine | CalibrationLine | ForksLine | EndLine

/** Concurrency kinds, in the order in which reports show them. */
export const concurrencyKinds = ['async', 'threads', 'processes'] as const

/** N connections of one event loop, N threads of one process, or N processes. */
export type ConcurrencyKind = (typeof concurrencyKinds)[number]

/** How many workers there are, and of which kind. */
export interface Concurrency {
  readonly kind: ConcurrencyKind
  readonly workers: number
}

/** A labelled storage configuration. */
export interface ContenderRecord {
  /** Unique in the file; what tables show. */
  readonly label: string
  /** Name of the storage module. */
  readonly storage: string
  /** What it was loaded from: the name of a bundled storage, or a URL. */
  readonly module: string
  /** Those that differ from the storage's defaults. */
  readonly options: Readonly<Record<string, unknown>>
  /** `memory`, `os`, `full`, `replicated`: what a commit survives. */
  readonly durability: string
  readonly capabilities: Readonly<Record<string, unknown>>
  /** Found when it was provisioned: versions, settings read back. */
  readonly facts: Readonly<Record<string, string>>
}

/** One cell without its contender: contenders of the same setting are compared with each other. */
export interface Setting {
  readonly scenario: string
  /** The scenario's title for this setting: `add 20 objects`. */
  readonly title: string
  readonly objects: number
  readonly concurrency: Concurrency
}

/** What the records of the run were like. */
export interface DatasetRecord {
  /** Exact bytes of each record, or how they are distributed. */
  readonly recordBytes: RecordSizes
  readonly compressibility: number
  /** Of all options above and the seed: equal hashes, equal data. */
  readonly hash: string
}

/** The machine and the software, as far as they can move a number. */
export interface EnvironmentRecord {
  readonly shootout: string
  readonly node: string
  readonly v8: string
  readonly platform: string
  readonly kernel: string
  readonly cpuModel: string
  readonly cpus: number
  readonly memoryBytes: number
  /** One-minute load average at the start. */
  readonly load: number
  /** Folder in which stores were made, and its file system. */
  readonly folder: string
  readonly fileSystem: string
  /** Median of a few 400-byte appends with fdatasync in `folder`, in ns. */
  readonly fsyncProbeNs: number
  /** Median cost of one reading of the clock, in ns. */
  readonly timerCostNs: number
  /** Commit of the working directory when it is a git checkout, with `+` when it has changes. */
  readonly gitCommit?: string
}

/** The first line: the plan, and where it was carried out. */
export interface SuiteLine {
  readonly type: 'suite'
  readonly schema: number
  /** ISO 8601. */
  readonly startedAt: string
  readonly seed: string
  readonly planHash: string
  /** Forks planned per cell. With a budget, the most there may be. */
  readonly forks: number
  /** What the whole run may take, ns, where the user gave a budget instead of a number of forks. */
  readonly budgetNs?: number
  /** Wanted half-width of the intervals, as a share, where the user gave a precision instead of a number of forks. */
  readonly precision?: number
  /** Measured batches per fork. */
  readonly batches: number
  readonly contenders: readonly ContenderRecord[]
  readonly settings: readonly Setting[]
  /** Scenario → URL of its module, or its name where it is bundled. With it an interrupted run can be resumed. */
  readonly scenarios: Readonly<Record<string, string>>
  readonly dataset: DatasetRecord
  readonly environment: EnvironmentRecord
  /** The reference of ratios: a contender's label. */
  readonly reference: string
  /** V8 profiles were taken: the times are not comparable with anything. */
  readonly profiled: boolean
}

/** Which cell and which fork of it. */
export interface ForkId {
  readonly contender: string
  readonly scenario: string
  readonly objects: number
  readonly concurrency: Concurrency
  /** Number of the fork, from 0, which is also the number of its block. */
  readonly fork: number
}

/** What became of one fork of one cell. */
export type ForkLine = CompletedFork | FailedFork

/** A fork without a result. Its cell is not tried again. */
export interface FailedFork extends ForkId {
  readonly type: 'fork'
  readonly status: 'failed'
  /** Which step it was in: `start`, `populate`, `prepare`, `warmup`, `measure`, `verify`, `report`, `audit`. */
  readonly step: string
  readonly error: PlainError
}

/** A fork with all its raw times. */
export interface CompletedFork extends ForkId {
  readonly type: 'fork'
  readonly status: 'completed'
  /** ISO 8601. */
  readonly startedAt: string
  /** Operations per worker and batch. */
  readonly operationsPerBatch: number
  /** Operations that share one reading of the clock. Latencies of single operations are known only where this is 1. */
  readonly operationsPerLap: number
  /** Position among the contenders in each round: who went first matters, so it is kept. One number per batch. */
  readonly order: readonly number[]
  readonly warmups: readonly BatchRecord[]
  readonly batches: readonly BatchRecord[]
  /** One histogram per worker, only where `operationsPerLap` is 1. */
  readonly latencies?: readonly HistogramRecord[]
  /** The storage keeps a cache of its own above its backend. */
  readonly hasStorageCache: boolean
  /** Storage counters of all isolates over the timed sections of the measured batches. */
  readonly counters: Readonly<Record<string, number>>
  /** Objects that connections loaded and stored in the timed sections. */
  readonly transfers: { readonly loads: number; readonly stores: number }
  /** Counts of the scenario's own. */
  readonly tallies: Readonly<Record<string, number>>
  /** CPU time of the worker processes over the timed sections of the measured batches, ns. */
  readonly cpuNs: { readonly user: number; readonly system: number }
  /**
   * CPU time of the server processes that were started for this store, from before the first to after the last
   * measured batch, ns. Left out where there are none, or where the system does not tell.
   */
  readonly serverCpuNs?: { readonly user: number; readonly system: number }
  /** Pauses for garbage collection between the first and the last measured batch, all processes, ns. */
  readonly gcNs: number
  /** Longest delay of a timer of 10 ms in any worker's event loop over the measured batches, ns. */
  readonly loopDelayNsMax: number
  /** Greatest resident set of all worker processes together, bytes. */
  readonly residentBytesMax: number
  /** Time from the order to start until ready for the first batch, ns. */
  readonly setupNs: number
}

/** One batch of a fork: all workers, over all its timed sections. */
export interface BatchRecord {
  /** Time in timed sections, per worker, ns. */
  readonly workersNs: readonly number[]
  /** From the last worker's start to the first worker's end, summed over sections, ns. */
  readonly windowNs: number
  /** Operations of all workers that lie wholly inside the window. */
  readonly windowOperations: number
  /** Between the first and the last worker's start, the worst section, ns. */
  readonly skewNs: number
  /** Processor time of all processes of the fork in timed sections, ns; not of warm-ups. */
  readonly cpuNs?: number
}

/** Log-linear histogram: see core/histogram.ts. */
export interface HistogramRecord {
  readonly count: number
  readonly maxNs: number
  /** Bucket number → count, only those not zero, flattened: [bucket, count, bucket, count …]. */
  readonly buckets: readonly number[]
}

/** A cell that cannot exist, with the reason. */
export interface SkipLine {
  readonly type: 'skip'
  readonly contender: string
  readonly scenario: string
  readonly objects: number
  readonly concurrency: Concurrency
  readonly reason: string
}

/** What every fork of a setting does: found out in throw-away forks, then frozen. */
export interface CalibrationLine extends Omit<ForkId, 'contender' | 'fork'> {
  readonly type: 'calibration'
  /** Operations per worker and batch. */
  readonly operations: number
  /** Warm-up batches. */
  readonly warmups: number
  /** Those that could be calibrated. */
  readonly contenders: readonly CalibratedContender[]
}

/** What calibrating found out about one contender. */
export interface CalibratedContender {
  readonly contender: string
  readonly operationsPerLap: number
  /**
   * Per pilot fork: what the slowest worker took in each batch, ns, in order. Where the series settles is the number
   * of warm-ups. Empty where there were no pilots.
   */
  readonly pilotsNs: readonly (readonly number[])[]
}

/**
 * The number of forks, decided from what the first ones cost or how they spread, never from who was faster. Written
 * once, so that a resumed run keeps to it.
 */
export interface ForksLine {
  readonly type: 'forks'
  readonly decidedBy: 'budget' | 'precision'
  /** One number per setting, in the order of the suite. */
  readonly forks: readonly number[]
}

/** The last line of a session: how it ended. */
export interface EndLine {
  readonly type: 'end'
  readonly endedAt: string
  readonly outcome: 'completed' | 'interrupted'
  readonly elapsedNs: number
}
