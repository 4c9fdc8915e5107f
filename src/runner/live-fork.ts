/**
 * One fork of one contender: a fresh store and fresh workers, prepared once, then granted batches. Between grants it
 * sleeps. Collects what the results file needs.
 */

import { systemClock } from '../core/clock.ts'
import { ShootoutError, toPlainError, VerificationError } from '../core/errors.ts'
import type { OptionsSpec } from '../core/options.ts'
import { type CpuTime, cpuTimeOfTrees } from '../core/process-cpu.ts'
import type { BatchRecord, CompletedFork, FailedFork, ForkId } from '../results/schema.ts'
import type { ForkTotals, ScenarioModule } from '../scenarios/scenario.ts'
import {
  combineCounters,
  type ProvisionedStore,
  type StorageCounters,
  zeroCounters,
} from '../storages/storage.ts'
import type { Assignment, StepName } from './assignment.ts'
import type { StepResult, Workforce } from './concurrency/concurrency.ts'

/** What a granted batch shall do. */
export interface BatchOrder {
  readonly operations: number
  readonly operationsPerLap: number
  /** Operations done just before each measured batch, which do not count. */
  readonly primer?: number
}

/** What a fork is made of. */
export interface ForkParts {
  readonly id: ForkId
  readonly assignment: Assignment
  readonly scenario: ScenarioModule
  readonly store: ProvisionedStore<OptionsSpec>
  readonly workforce: Workforce
}

export class LiveFork {
  readonly #parts: ForkParts
  readonly #startedAt = new Date()
  readonly #warmups: BatchRecord[] = []
  readonly #batches: BatchRecord[] = []
  readonly #order: number[] = []
  #setupNs = 0
  #serverCpuBefore: CpuTime | undefined
  #stopping: Promise<void> | undefined
  #step: StepName | 'audit' = 'start'
  #lastOrder: BatchOrder = { operations: 0, operationsPerLap: 1 }

  constructor(parts: ForkParts) {
    this.#parts = parts
  }

  get label(): string {
    return this.#parts.id.contender
  }

  /** Workers up, store filled, caches as the scenario wants them. @throws what went wrong in a worker */
  async start(): Promise<void> {
    const startNs = systemClock.monotonicNs()
    await this.#parts.workforce.start()
    if (this.#parts.scenario.populate !== undefined) await this.#do({ name: 'populate' })
    await this.#do({ name: 'prepare' })
    this.#setupNs = Math.round(systemClock.monotonicNs() - startNs)
  }

  /** One batch whose time does not count. Returns how long its slowest worker took, ns. */
  async warmUp(order: BatchOrder): Promise<number> {
    const batch = mergeBatch(await this.#do({ name: 'warmup', ...order }))
    this.#warmups.push(batch)
    return Math.max(...batch.workersNs)
  }

  /**
   * One measured batch.
   * @param position among the contenders of this round, from 0
   */
  async measure(order: BatchOrder, position: number): Promise<void> {
    this.#lastOrder = order
    if (this.#batches.length === 0) this.#serverCpuBefore = this.#readServerCpu()
    this.#batches.push(mergeBatch(await this.#do({ name: 'measure', ...order })))
    this.#order.push(position)
  }

  /**
   * Verifies, audits and reports.
   * @param audits false where only counted work is wanted, which has to be told even if it is not what the scenario is
   *   about: no time may be taken from such a fork
   * @throws VerificationError among others
   */
  async complete(audits = true): Promise<CompletedFork> {
    const serverCpuNs = this.#serverCpuSinceFirstBatch()
    await this.#do({ name: 'verify' })
    const reports = (await this.#do({ name: 'report' })).map(({ report }) => report!)
    let counters: StorageCounters = zeroCounters()
    const transfers = { loads: 0, stores: 0 }
    const tallies: Record<string, number> = {}
    const cpuNs = { user: 0, system: 0 }
    let gcNs = 0
    let loopDelayNsMax = 0
    let residentBytesMax = 0
    for (const report of reports) {
      counters = combineCounters(counters, report.counters as unknown as StorageCounters)
      gcNs += report.gcNs
      loopDelayNsMax = Math.max(loopDelayNsMax, report.loopDelayNsMax)
      transfers.loads += report.transfers.loads
      transfers.stores += report.transfers.stores
      for (const [name, count] of Object.entries(report.tallies)) tallies[name] = (tallies[name] ?? 0) + count
      if (report.process === undefined) continue
      cpuNs.user += report.process.userNs
      cpuNs.system += report.process.systemNs
      residentBytesMax += report.process.residentBytesMax
    }
    const hasStorageCache = reports.some((report) => report.hasStorageCache)
    const { id, scenario, assignment } = this.#parts
    const totals: ForkTotals = {
      parameters: assignment.parameters,
      capabilities: assignment.capabilities,
      hasStorageCache,
      operations: this.#lastOrder.operations * this.#batches.length * assignment.parameters.workers,
      counters,
      transfers,
      tallies,
    }
    this.#step = 'audit'
    if (audits) scenario.audit?.(totals)
    const latencies = reports.flatMap((report) => report.latencies)
    return {
      type: 'fork',
      status: 'completed',
      ...id,
      startedAt: this.#startedAt.toISOString(),
      operationsPerBatch: this.#lastOrder.operations,
      operationsPerLap: this.#lastOrder.operationsPerLap,
      order: this.#order,
      warmups: this.#warmups,
      batches: this.#batches,
      ...(latencies.length === 0 ? {} : { latencies }),
      hasStorageCache,
      counters: { ...counters },
      transfers,
      tallies,
      cpuNs,
      ...(serverCpuNs === undefined ? {} : { serverCpuNs }),
      gcNs,
      loopDelayNsMax,
      residentBytesMax,
      setupNs: this.#setupNs,
    }
  }

  /** The line that says what became of it instead. */
  failed(error: unknown): FailedFork {
    return { type: 'fork', status: 'failed', ...this.#parts.id, step: this.#step, error: toPlainError(error) }
  }

  /** Ends the workers and removes the store. May be called at any time, and more than once. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await this.#parts.workforce.stop()
      await this.#parts.store.dispose()
    })()
    return this.#stopping
  }

  #readServerCpu(): CpuTime | undefined {
    const { processIds = [] } = this.#parts.store
    return processIds.length === 0 ? undefined : cpuTimeOfTrees(processIds)
  }

  #serverCpuSinceFirstBatch(): CpuTime | undefined {
    const before = this.#serverCpuBefore
    const after = this.#readServerCpu()
    if (before === undefined || after === undefined) return undefined
    return { user: after.user - before.user, system: after.system - before.system }
  }

  async #do(step: Parameters<Workforce['step']>[0]): Promise<readonly StepResult[]> {
    this.#step = step.name
    return this.#parts.workforce.step(step)
  }
}

/** Isolates' views of one batch → one record. */
function mergeBatch(results: readonly StepResult[]): BatchRecord {
  const batches = results.map(({ batch }) => batch!)
  const seats = batches.flatMap((batch) => batch.seats).sort((a, b) => a.seat - b.seat)
  if (seats.some((seat) => !(seat.durationNs > 0))) {
    throw new VerificationError('a worker timed nothing: the scenario returned without calling context.time')
  }
  const processes = batches.flatMap(({ cpuNs }) => cpuNs ?? [])
  return {
    workersNs: seats.map((seat) => seat.durationNs),
    windowNs: batches[0]!.windowNs,
    windowOperations: seats.reduce((sum, seat) => sum + seat.windowOperations, 0),
    skewNs: Math.max(...batches.map((batch) => batch.skewNs)),
    ...(processes.length === 0 ? {} : { cpuNs: processes.reduce((sum, cpuNs) => sum + cpuNs, 0) }),
  }
}

/** Of a fork that never came to be. */
export function stillborn(id: ForkId, error: unknown): FailedFork {
  const reason =
    error instanceof ShootoutError
      ? error
      : new ShootoutError('store', `no fresh store could be made: ${(error as Error).message}`, {
          cause: error,
        })
  return { type: 'fork', status: 'failed', ...id, step: 'start', error: toPlainError(reason) }
}
