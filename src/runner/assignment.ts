/**
 * The messages between the coordinator and the isolates of a fork. An *isolate* is one event loop with its own opened
 * storage; it holds one or more *seats*, and each seat is one worker. Everything here is plain data.
 */

import type { PlainError } from '../core/errors.ts'
import type { ConcurrencyKind } from '../results/schema.ts'
import type { ScenarioParameters } from '../scenarios/scenario.ts'
import type { Capabilities } from '../storages/storage.ts'

/** All that an isolate needs to know about its fork. The same for every isolate of the fork. */
export interface Assignment {
  readonly storageUrl: string
  /** Typed options of the one store of this fork. */
  readonly storageOptions: Readonly<Record<string, unknown>>
  readonly capabilities: Capabilities
  readonly scenarioUrl: string
  readonly parameters: ScenarioParameters
  readonly kind: ConcurrencyKind
  /** Seeds the data; the same for every contender of the setting. */
  readonly seed: string
  /** Measured batches that will be granted. */
  readonly batches: number
  /** Where to write V8 CPU profiles, and the beginning of their names; undefined when none are taken. */
  readonly profile?: { readonly folder: string; readonly name: string; readonly intervalUs?: number }
}

/** The steps of a fork, in order. `warmup` and `measure` repeat, one batch each. */
export type Step =
  | { readonly name: 'populate' }
  | { readonly name: 'prepare' }
  | {
      readonly name: 'warmup' | 'measure'
      readonly operations: number
      readonly operationsPerLap: number
      /** Operations done just before a measured batch, which do not count: while it slept, others had the caches. */
      readonly primer?: number
    }
  | { readonly name: 'verify' }
  | { readonly name: 'report' }

export type StepName = Step['name'] | 'start'

/** To an isolate. */
export type ToIsolate =
  | { readonly type: 'step'; readonly step: Step }
  | { readonly type: 'release'; readonly release: Release }

/** From an isolate. */
export type FromIsolate =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly batch?: IsolateBatch; readonly report?: IsolateReport }
  | { readonly type: 'arrive'; readonly seat: number; readonly section?: Section }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'closed' }

/** One timed section of one seat, on the machine-wide monotonic clock. */
export interface Section {
  readonly startNs: number
  readonly endNs: number
}

/**
 * Lets everybody go who waits at the barrier. After the first meeting of a section it names the common start instant;
 * after the second, what was common to all.
 */
export type Release =
  | { readonly phase: 'start'; readonly startAtNs: number }
  | { readonly phase: 'end'; readonly window: Section; readonly skewNs: number }

/** What the seats of one isolate did in one batch. */
export interface IsolateBatch {
  readonly seats: readonly SeatBatch[]
  /** Summed over sections; equal in all isolates of the fork. */
  readonly windowNs: number
  readonly skewNs: number
  /** Processor time of the whole process in timed sections; only of measured batches, from the isolate that leads it. */
  readonly cpuNs?: number
}

export interface SeatBatch {
  readonly seat: number
  readonly durationNs: number
  readonly windowOperations: number
}

/** What one isolate has to tell at the end, over its measured batches. */
export interface IsolateReport {
  readonly counters: Readonly<Record<string, number>>
  readonly hasStorageCache: boolean
  readonly transfers: { readonly loads: number; readonly stores: number }
  readonly tallies: Readonly<Record<string, number>>
  readonly gcNs: number
  readonly loopDelayNsMax: number
  /** Of the whole process; only from the isolate that leads it. */
  readonly process?: { readonly userNs: number; readonly systemNs: number; readonly residentBytesMax: number }
  /** One per seat, only where each operation was timed. */
  readonly latencies: readonly {
    readonly count: number
    readonly maxNs: number
    readonly buckets: readonly number[]
  }[]
}
