/**
 * Carries out one assignment in one isolate, the same code in every concurrency kind. The coordinator orders the
 * steps; between them the isolate sleeps, holds no lock and burns no CPU.
 */

import { type Clock, systemClock } from '../core/clock.ts'
import { toPlainError } from '../core/errors.ts'
import { Histogram } from '../core/histogram.ts'
import { Random } from '../core/random.ts'
import { Database } from '../database/database.ts'
import { resolveConflict } from '../database/resolve-conflict.ts'
import { loadScenarioModule } from '../scenarios/registry.ts'
import type { ScenarioContext, ScenarioModule } from '../scenarios/scenario.ts'
import { openContext } from '../storages/open.ts'
import { loadStorageModule } from '../storages/registry.ts'
import { combineCounters, type Storage, type StorageCounters, zeroCounters } from '../storages/storage.ts'
import type {
  Assignment,
  FromIsolate,
  IsolateBatch,
  IsolateReport,
  Release,
  Section,
  Step,
  ToIsolate,
} from './assignment.ts'
import { BarrierHub } from './concurrency/barrier.ts'
import { Meter, type MeterReading } from './meter.ts'
import { startProfiling } from './profile.ts'
import { sample } from './sampler.ts'
import { Stopwatch } from './stopwatch.ts'

/** How an isolate talks with its coordinator. */
export interface Link {
  send(message: FromIsolate): void
  onMessage(listener: (message: ToIsolate) => void): void
}

/** Which part of the fork this isolate is. */
export interface IsolateRole {
  /** Seats held here. All of them, for kind `async`. */
  readonly seats: readonly number[]
  /** Speaks for the process: CPU time and memory are reported once per process. */
  readonly leadsProcess: boolean
  /** State that the process shares between its isolates, made by the storage module's `share`. */
  readonly shared: unknown
}

/**
 * Runs until the report has been given, or the first failure has been sent. Resolves when all is closed, or the failure
 * to close it has been sent.
 * @param clock what times are taken from; tests hand in one of their own
 */
export async function work(
  assignment: Assignment,
  role: IsolateRole,
  link: Link,
  clock: Clock = systemClock,
): Promise<void> {
  const isolate = new Isolate(assignment, role, link, clock)
  const failed = (error: unknown): void => link.send({ type: 'failed', error: toPlainError(error) })
  await isolate.run().catch(failed)
  // Where that has failed already, the first failure counts.
  await isolate.close().catch(failed)
}

interface Seat {
  readonly stopwatch: Stopwatch
  readonly context: ScenarioContext
  readonly latencies: Histogram
  state: unknown
  prepared: boolean
}

class Isolate {
  readonly #assignment: Assignment
  readonly #role: IsolateRole
  readonly #link: Link
  readonly #clock: Clock
  readonly #steps = new Mailbox<Step>()
  readonly #waiting = new Map<number, (release: Release) => void>()
  readonly #hub: BarrierHub | undefined
  #scenario!: ScenarioModule
  #storage: Storage | undefined
  #database: Database | undefined
  #seats: Seat[] = []
  #operations = 0
  #measuring = false
  #before: Reading | undefined
  #counters: StorageCounters = zeroCounters()
  #transfers = { loads: 0, stores: 0 }
  readonly #tallies: Record<string, number> = {}
  #cpu = { user: 0, system: 0 }
  #cost: MeterReading = { gcNs: 0, loopDelayNsMax: 0 }

  constructor(assignment: Assignment, role: IsolateRole, link: Link, clock: Clock) {
    this.#assignment = assignment
    this.#role = role
    this.#link = link
    this.#clock = clock
    // Where all seats are here, they meet here: no message has to leave the isolate.
    if (role.seats.length === assignment.parameters.workers) {
      this.#hub = new BarrierHub(role.seats.length, 0, clock, (release) => this.#onRelease(release))
    }
    link.onMessage((message) => {
      if (message.type === 'step') this.#steps.put(message.step)
      else this.#onRelease(message.release)
    })
  }

  async run(): Promise<void> {
    const { storageUrl, storageOptions, scenarioUrl, parameters, seed, kind } = this.#assignment
    const storageModule = await loadStorageModule(storageUrl)
    this.#scenario = await loadScenarioModule(scenarioUrl)
    const context = openContext({ resolveConflict })
    this.#storage = await storageModule.open(storageOptions, context, this.#role.shared)
    this.#database = new Database(this.#storage)
    const sharesLoop = this.#role.seats.length > 1
    this.#seats = this.#role.seats.map((number) => {
      const port = { arrive: (section?: Section) => this.#arrive(number, section) }
      const stopwatch = new Stopwatch(number, sharesLoop, port, this.#clock)
      return {
        stopwatch,
        latencies: new Histogram(),
        state: undefined,
        prepared: false,
        context: this.#contextOf(number, stopwatch, new Random(seed).split(kind, parameters.workers, number)),
      }
    })
    this.#link.send({ type: 'ready' })

    let step = await this.#steps.take()
    for (; step.name !== 'measure' && step.name !== 'report'; step = await this.#steps.take()) {
      if (step.name === 'populate') await this.#scenario.populate?.(this.#seats[0]!.context)
      else if (step.name === 'prepare') await this.#eachSeat((seat) => this.#prepare(seat))
      else if (step.name === 'warmup') {
        this.#link.send({ type: 'done', batch: await this.#batch(step) })
        continue
      } else await this.#verify()
      this.#link.send({ type: 'done' })
    }
    if (step.name === 'measure') {
      await this.#measure(step)
      step = await this.#steps.take()
    }
    if (step.name === 'verify') {
      await this.#verify()
      this.#link.send({ type: 'done' })
      step = await this.#steps.take()
    }
    this.#link.send({ type: 'done', report: this.#report() })
  }

  /** All measured batches: the first has been granted, each further one waits for its grant. */
  async #measure(first: Step): Promise<void> {
    const { profile } = this.#assignment
    const profiling =
      profile === undefined
        ? undefined
        : await startProfiling(
            profile.folder,
            `${profile.name}-worker${this.#role.seats[0]}`,
            profile.intervalUs,
          )
    const meter = new Meter()
    meter.start()
    let granted: Step | undefined = first
    await sample(this.#scenario.name, this.#assignment.batches, async () => {
      const step = granted ?? (await this.#steps.take())
      granted = undefined
      if (step.name !== 'measure') throw new Error(`expected a batch to measure, not ${step.name}`)
      if (step.primer !== undefined && step.primer > 0)
        await this.#batch({ ...step, operations: step.primer })
      this.#measuring = true
      const batch = await this.#batch(step)
      this.#measuring = false
      this.#link.send({ type: 'done', batch })
      return batch.seats.reduce((sum, seat) => sum + seat.durationNs, 0) / batch.seats.length
    })
    this.#cost = meter.stop()
    await profiling?.finish()
  }

  async #prepare(seat: Seat): Promise<void> {
    seat.state = await this.#scenario.prepare(seat.context)
    seat.prepared = true
  }

  async #verify(): Promise<void> {
    await this.#eachSeat(async (seat) => this.#scenario.verify?.(seat.context, seat.state))
  }

  async #batch(step: {
    readonly operations: number
    readonly operationsPerLap: number
  }): Promise<IsolateBatch> {
    this.#operations = step.operations
    const cpuBefore = this.#cpu.user + this.#cpu.system
    await this.#eachSeat(async (seat) => {
      seat.stopwatch.reset(step.operationsPerLap, this.#measuring ? seat.latencies : undefined)
      await this.#scenario.run(seat.context, seat.state)
    })
    for (const seat of this.#seats) {
      const timed = seat.stopwatch.batch.operations
      if (timed !== step.operations) {
        throw new Error(
          `scenario ${this.#scenario.name} timed ${timed} operations where ${step.operations} were ordered; ` +
            'its run() must pass context.operations to context.time(), in one part or several',
        )
      }
    }
    const { windowNs, skewNs } = this.#seats[0]!.stopwatch.batch
    return {
      seats: this.#seats.map(({ stopwatch }) => {
        const { seat, durationNs, windowOperations } = stopwatch.batch
        return { seat, durationNs, windowOperations }
      }),
      windowNs,
      skewNs,
      ...(this.#measuring && this.#role.leadsProcess
        ? { cpuNs: (this.#cpu.user + this.#cpu.system - cpuBefore) * 1000 }
        : {}),
    }
  }

  #report(): IsolateReport {
    const { user, system } = this.#cpu
    return {
      counters: { ...this.#counters },
      hasStorageCache: this.#storage?.cache !== undefined,
      transfers: this.#transfers,
      tallies: this.#tallies,
      ...this.#cost,
      latencies: this.#seats
        .filter(({ latencies }) => latencies.count > 0)
        .map(({ latencies }) => ({
          count: latencies.count,
          maxNs: latencies.maxNs,
          buckets: latencies.toSparse(),
        })),
      ...(this.#role.leadsProcess
        ? {
            process: {
              userNs: user * 1000,
              systemNs: system * 1000,
              residentBytesMax: process.resourceUsage().maxRSS * 1024,
            },
          }
        : {}),
    }
  }

  #contextOf(number: number, stopwatch: Stopwatch, random: Random): ScenarioContext {
    const isolate = this
    return {
      parameters: this.#assignment.parameters,
      worker: number,
      get operations() {
        return isolate.#operations
      },
      random,
      database: this.#database!,
      capabilities: this.#assignment.capabilities,
      time: (operations, body) => stopwatch.time(operations, body),
      tally(name, amount) {
        if (isolate.#measuring) isolate.#tallies[name] = (isolate.#tallies[name] ?? 0) + amount
      },
    }
  }

  #arrive(seat: number, section: Section | undefined): Promise<Release> {
    return new Promise((resolve) => {
      this.#waiting.set(seat, resolve)
      if (this.#hub !== undefined) this.#hub.arrive(section)
      else this.#link.send({ type: 'arrive', seat, ...(section === undefined ? {} : { section }) })
    })
  }

  /**
   * Everybody waits at the barrier at this moment, so the work counted between two releases is that of the section.
   */
  #onRelease(release: Release): void {
    if (this.#measuring) {
      if (release.phase === 'start') this.#before = this.#read()
      else if (this.#before !== undefined) this.#addDifference(this.#before, this.#read())
    }
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const resolve of waiting) resolve(release)
  }

  #read(): Reading {
    return {
      counters: { ...this.#storage!.counters() },
      transfers: { ...this.#database!.transferCounts() },
      cpu: this.#role.leadsProcess ? process.cpuUsage() : { user: 0, system: 0 },
    }
  }

  #addDifference(before: Reading, after: Reading): void {
    this.#counters = combineCounters(this.#counters, combineCounters(after.counters, before.counters, -1))
    this.#transfers = {
      loads: this.#transfers.loads + after.transfers.loads - before.transfers.loads,
      stores: this.#transfers.stores + after.transfers.stores - before.transfers.stores,
    }
    this.#cpu = {
      user: this.#cpu.user + after.cpu.user - before.cpu.user,
      system: this.#cpu.system + after.cpu.system - before.cpu.system,
    }
  }

  async #eachSeat(action: (seat: Seat) => Promise<void>): Promise<void> {
    await Promise.all(this.#seats.map(action))
  }

  async close(): Promise<void> {
    for (const seat of this.#seats) {
      if (seat.prepared) await this.#scenario.dispose?.(seat.context, seat.state)
    }
    await this.#database?.close()
    await this.#storage?.close()
  }
}

interface Reading {
  readonly counters: StorageCounters
  readonly transfers: { readonly loads: number; readonly stores: number }
  readonly cpu: { readonly user: number; readonly system: number }
}

/** Messages in order of arrival, taken one at a time. */
class Mailbox<T> {
  readonly #messages: T[] = []
  #taker: ((message: T) => void) | undefined

  put(message: T): void {
    const taker = this.#taker
    this.#taker = undefined
    if (taker === undefined) this.#messages.push(message)
    else taker(message)
  }

  take(): Promise<T> {
    const message = this.#messages.shift()
    if (message !== undefined) return Promise.resolve(message)
    return new Promise((resolve) => {
      this.#taker = resolve
    })
  }
}
