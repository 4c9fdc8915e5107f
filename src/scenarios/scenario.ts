/**
 * The scenario contract.
 *
 * A *scenario* is one kind of work, timed. Every worker of a fork runs the same scenario against the same store:
 *
 *   1. `populate`   worker 0 alone fills the fresh store
 *   2. `prepare`    every worker opens what it needs; nothing is timed
 *   3. `run`        one *batch*, again and again, whenever the runner grants one: first warm-ups, then measured batches
 *   4. `verify`     every worker re-reads what it claims to have done; nothing is timed
 *   5. `audit`      once, in the coordinator: do the counters of all workers together prove the claim?
 *
 * `context.time` is the only stopwatch. Everything outside it is free: make the data before, check after. A fork whose
 * `verify` or `audit` throws has no numbers.
 */

import type { Random } from '../core/random.ts'
import type { RecordSizes } from '../core/record-sizes.ts'
import type { Database } from '../database/database.ts'
import type { Awaitable, Capabilities, StorageCounters } from '../storages/storage.ts'

/** What the data look like. The hash of this, the scenario and the seed identifies the data set. */
export interface DatasetOptions {
  /**
   * Exact bytes of each object's record, as the storage sees it. Where they are distributed, the size of an object
   * follows from the seed, its owner and its index: all its versions are of the same size.
   */
  readonly recordBytes: RecordSizes
  /** 0 = random bytes, 1 = all the same. The share of a record that a compressor can remove, roughly. */
  readonly compressibility: number
}

/** What a cell asks of a scenario. Plain data. */
export interface ScenarioParameters {
  /** Objects that one operation adds, changes or reads (the "object count" of the RelStorage plots). */
  readonly objectsPerTransaction: number
  readonly workers: number
  readonly dataset: DatasetOptions
}

/** What one worker sees. */
export interface ScenarioContext {
  readonly parameters: ScenarioParameters
  /** This worker's number, from 0. */
  readonly worker: number
  /** Operations that this worker performs in each batch. The same for all workers and all contenders of a cell. */
  readonly operations: number
  /** Seeded by run, cell, fork and worker; independent of the contender, so that all contenders get the same data. */
  readonly random: Random
  /** The storage as applications see it. Workers of kind `async` share one; others have their own. */
  readonly database: Database
  readonly capabilities: Capabilities
  /**
   * Times `operations` calls of `body`, which gets the number of the call. All workers of the fork must call `time`
   * equally often: they start together, and none returns before the last has finished, so nothing that a worker does
   * outside disturbs the timing of another. May be called several times in a batch; times add up.
   *
   * A body should return a promise only if it has to wait: plain values are not awaited.
   */
  time(operations: number, body: (operation: number) => Awaitable<void>): Promise<void>
  /**
   * Adds to a count that is reported and audited: `attempts`, `retried`. Counts during measured batches, inside `time`
   * and outside; what warm-ups tally is dropped.
   */
  tally(name: string, amount: number): void
}

/** Sums over all workers of a fork and all its measured batches; what happened outside `time` is not in it. */
export interface ForkTotals {
  readonly parameters: ScenarioParameters
  readonly capabilities: Capabilities
  /** The storage keeps a cache of its own above the backend. */
  readonly hasStorageCache: boolean
  /** Operations performed by all workers. */
  readonly operations: number
  readonly counters: StorageCounters
  /** Objects that connections loaded from, and stored into, their storage. */
  readonly transfers: { readonly loads: number; readonly stores: number }
  readonly tallies: Readonly<Record<string, number>>
}

/** What must hold for a scenario to run at all; else the cell is skipped with a reason. */
export interface ScenarioRequirements {
  readonly workersMin?: number
  /** Capabilities that must be true. */
  readonly capabilities?: readonly ('history' | 'conflictResolution' | 'prefetch' | 'undo' | 'pack')[]
}

/** The default export of a scenario's file, made with `defineScenario`. */
export interface ScenarioModule<State = unknown> {
  /** As said on the command line. Letters, digits and hyphens. */
  readonly name: string
  /** One line for `shootout list`: what is timed. */
  readonly summary: string
  /** What one operation is, as a plan lists it: `add 20 objects`. */
  title(parameters: ScenarioParameters): string
  /** What is timed, what is not, what proves it; a few sentences for `shootout list --long` and the docs. */
  readonly description: string
  readonly requires: ScenarioRequirements
  /** Fills the fresh store. Called in worker 0, before any `prepare`. */
  populate?(context: ScenarioContext): Awaitable<void>
  prepare(context: ScenarioContext): Awaitable<State>
  /** One batch: `context.operations` operations, all inside `context.time`. */
  run(context: ScenarioContext, state: State): Awaitable<void>
  /** @throws VerificationError */
  verify?(context: ScenarioContext, state: State): Awaitable<void>
  /** @throws VerificationError */
  audit?(totals: ForkTotals): void
  /** Closes what `prepare` opened. Called also after a failure. */
  dispose?(context: ScenarioContext, state: State): Awaitable<void>
}

/** Types a scenario module. A scenario's file ends with `export default defineScenario({ … })`. */
export function defineScenario<State>(module: ScenarioModule<State>): ScenarioModule<State> {
  return module
}

/** What is missing for `value` to be a scenario module, or undefined when nothing is. */
export function scenarioModuleProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'its default export is not made with defineScenario'
  const module = value as Partial<Record<keyof ScenarioModule, unknown>>
  if (typeof module.name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(module.name)) {
    return '`name` must be lower-case letters, digits and hyphens'
  }
  for (const text of ['summary', 'description'] as const) {
    if (typeof module[text] !== 'string') return `\`${text}\` is missing`
  }
  for (const method of ['title', 'prepare', 'run'] as const) {
    if (typeof module[method] !== 'function') return `\`${method}\` is missing`
  }
  if (typeof module.requires !== 'object' || module.requires === null)
    return '`requires` is missing (use {} for none)'
  return undefined
}
