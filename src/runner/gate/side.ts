/** Starts forks for the gate: one side, one store. Shared by counting, calibrating and measuring. */

import { ShootoutError, toPlainError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import { scaledRecordSizes } from '../../core/record-sizes.ts'
import type { GateFailure, Side } from '../../results/gate-schema.ts'
import type { CompletedFork, DatasetRecord, FailedFork, Setting } from '../../results/schema.ts'
import type { ScenarioModule } from '../../scenarios/scenario.ts'
import type { Assignment } from '../assignment.ts'
import type { Workforce } from '../concurrency/concurrency.ts'
import { ChildProcesses } from '../concurrency/processes.ts'
import type { RunningContender } from '../coordinator.ts'
import { LiveFork, stillborn } from '../live-fork.ts'
import type { ExtraSyncOptions } from './extra-sync-storage.ts'

/** One cell of the gate, as it is measured. */
export interface GateTask {
  readonly setting: Setting
  readonly scenarioUrl: string
  readonly scenario: ScenarioModule
}

/** Extra work for the candidate, to see whether the gate finds it: shares, 0.05 is 5 % more. Only for the selftest. */
export interface Burden {
  /** Operations in each batch, which is timed as if they were not more. */
  readonly operations: number
  /** Size of each record. */
  readonly recordBytes: number
  /** One more flush to disk per commit. */
  readonly extraSync?: boolean
}

export interface ForkFactoryParts {
  readonly seed: string
  readonly dataset: DatasetRecord
  readonly contenders: Readonly<Record<Side, RunningContender>>
  /** A step of a fork that takes longer is taken for a hang. */
  readonly stepLimitNs: number
  /** Begins the names of stores; lower-case letters and digits. */
  readonly storePrefix: string
  /** Existing folder, removed with all that is in it when the gate ends. */
  readonly folder: string
  readonly burden?: Burden
  /** Another way to employ workers than child processes. Tests use it. */
  readonly employ?: (assignment: Assignment, stepLimitNs: number) => Workforce
}

/** A side could not do what it was asked. It ends the cell, never the gate. */
export class SideFailure extends Error {
  readonly side: Side
  readonly line: FailedFork

  constructor(side: Side, line: FailedFork) {
    super(`${side}: ${line.error.message}`)
    this.name = 'SideFailure'
    this.side = side
    this.line = line
  }

  get journalLine(): GateFailure {
    const { scenario, objects, concurrency, step, error } = this.line
    return { type: 'failure', scenario, objects, concurrency, side: this.side, step, error }
  }
}

/** A fork with its side, so that what it throws can be laid at the right door. */
export class SideFork {
  readonly side: Side
  readonly #fork: LiveFork
  readonly #work: number

  /** @param work operations that are really done, per operation that is ordered */
  constructor(side: Side, fork: LiveFork, work = 1) {
    this.side = side
    this.#fork = fork
    this.#work = work
  }

  start(): Promise<void> {
    return this.#guard(this.#fork.start())
  }

  /** @returns how long the slowest worker took, ns */
  warmUp(operations: number, operationsPerLap: number): Promise<number> {
    return this.#guard(this.#fork.warmUp({ operations: this.#done(operations), operationsPerLap }))
  }

  /** @param primer operations to do just before, which do not count; equal on both sides */
  measure(operations: number, operationsPerLap: number, position: number, primer?: number): Promise<void> {
    const order = {
      operations: this.#done(operations),
      operationsPerLap,
      ...(primer === undefined ? {} : { primer }),
    }
    return this.#guard(this.#fork.measure(order, position))
  }

  /** @param audits see `LiveFork.complete` */
  complete(audits = true): Promise<CompletedFork> {
    return this.#guard(this.#fork.complete(audits))
  }

  stop(): Promise<void> {
    return this.#fork.stop()
  }

  /** What somebody else found wrong with it, laid at its door. */
  failure(error: unknown): SideFailure {
    return new SideFailure(this.side, this.#fork.failed(error))
  }

  #done(operations: number): number {
    return Math.round(operations * this.#work)
  }

  async #guard<T>(step: Promise<T>): Promise<T> {
    try {
      return await step
    } catch (error) {
      throw this.failure(error)
    }
  }
}

export class ForkFactory {
  readonly #parts: ForkFactoryParts
  readonly #live = new Set<SideFork>()
  #stores = 0

  constructor(parts: ForkFactoryParts) {
    this.#parts = parts
  }

  /**
   * A fork that is not started yet. Equal `dataLabel`s give equal data on both sides.
   * @param batches that will be measured
   * @param profile where to write CPU profiles
   * @throws SideFailure
   */
  async make(
    side: Side,
    task: GateTask,
    dataLabel: string,
    batches: number,
    profile?: Assignment['profile'],
  ): Promise<SideFork> {
    const { seed, dataset, contenders, stepLimitNs, storePrefix } = this.#parts
    const { setting, scenarioUrl, scenario } = task
    const contender = contenders[side]
    const burden = side === 'candidate' ? this.#parts.burden : undefined
    const id = {
      contender: side,
      scenario: setting.scenario,
      objects: setting.objects,
      concurrency: setting.concurrency,
      fork: 0,
    }
    try {
      const store = await contender.newStore(`${storePrefix}_s${this.#stores++}`)
      const assignment: Assignment = {
        ...(burden?.extraSync
          ? extraSync({ base: contender.url, baseOptions: store.options, folder: this.#parts.folder })
          : { storageUrl: contender.url, storageOptions: store.options }),
        capabilities: contender.capabilities,
        scenarioUrl,
        parameters: {
          objectsPerTransaction: setting.objects,
          workers: setting.concurrency.workers,
          dataset: {
            recordBytes: scaledRecordSizes(dataset.recordBytes, 1 + (burden?.recordBytes ?? 0)),
            compressibility: dataset.compressibility,
          },
        },
        kind: setting.concurrency.kind,
        seed: `${seed}/data/${setting.scenario}/${setting.objects}/${dataLabel}`,
        batches,
        ...(profile === undefined ? {} : { profile }),
      }
      const workforce =
        this.#parts.employ?.(assignment, stepLimitNs) ?? new ChildProcesses(assignment, stepLimitNs)
      const live = new LiveFork({ id, assignment, scenario, store, workforce })
      const fork = new SideFork(side, live, 1 + (burden?.operations ?? 0))
      this.#live.add(fork)
      return fork
    } catch (error) {
      throw new SideFailure(side, stillborn(id, error))
    }
  }

  /** Does something with forks, and ends them afterwards whatever happened. */
  async withForks<T>(
    forks: readonly Promise<SideFork>[],
    use: (forks: readonly SideFork[]) => Promise<T>,
  ): Promise<T> {
    const made = await Promise.allSettled(forks)
    const alive = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    try {
      for (const one of made) if (one.status === 'rejected') throw one.reason
      // All are awaited even if one fails, so that none is stopped while it still starts.
      const started = await Promise.allSettled(alive.map((fork) => fork.start()))
      for (const one of started) if (one.status === 'rejected') throw one.reason
      return await use(alive)
    } finally {
      await Promise.all(alive.map((fork) => this.#end(fork)))
    }
  }

  /** Ends whatever is alive; what waits for it fails, and hears of it if it could not be ended. Never throws. */
  async stopAll(): Promise<void> {
    await Promise.allSettled([...this.#live].map((fork) => this.#end(fork)))
  }

  async #end(fork: SideFork): Promise<void> {
    this.#live.delete(fork)
    await fork.stop()
  }
}

function extraSync(options: ExtraSyncOptions) {
  return {
    storageUrl: siblingModule(import.meta.url, './extra-sync-storage'),
    storageOptions: { ...options },
  }
}

/** The failure of a cell that one side cannot even begin. */
export function cannot(side: Side, setting: Setting, reason: string): GateFailure {
  const { scenario, objects, concurrency } = setting
  const error = toPlainError(new ShootoutError('unavailable', reason))
  return { type: 'failure', scenario, objects, concurrency, side, step: 'start', error }
}
