/**
 * Carries out a plan.
 *
 * Block by block, setting by setting in the planned order. In each setting, the forks of all contenders are alive at
 * once and take turns: the coordinator grants one batch at a time, in random order within each round. Slow drift of the
 * machine then falls on all of them alike, which is what makes their ratio trustworthy.
 */

import { systemClock } from '../core/clock.ts'
import { ShootoutError } from '../core/errors.ts'
import type { OptionsSpec } from '../core/options.ts'
import { Random } from '../core/random.ts'
import type { Reporter } from '../results/reporter.ts'
import type { CalibrationLine, CompletedFork, EndLine, FailedFork } from '../results/schema.ts'
import type { ScenarioModule } from '../scenarios/scenario.ts'
import type { Capabilities, ProvisionedStore } from '../storages/storage.ts'
import type { Assignment } from './assignment.ts'
import {
  batchOrder,
  type Calibration,
  calibrate,
  type Durations,
  nextProbe,
  type Probe,
  perOperation,
  pilotBatches,
  warmupsAfter,
} from './calibrate.ts'
import { ChildProcesses } from './concurrency/processes.ts'
import { ForkSchedule } from './fork-schedule.ts'
import { LiveFork, stillborn } from './live-fork.ts'
import { forkIdOf, type Plan, type PlannedSetting } from './plan.ts'
import { cellKey, forkKey, type Past } from './resume.ts'
import { durationsWithin } from './stages.ts'

/** A contender that is provisioned and can make stores. */
export interface RunningContender {
  readonly label: string
  readonly url: string
  readonly capabilities: Capabilities
  newStore(name: string): Promise<ProvisionedStore<OptionsSpec>>
}

export interface RunParts {
  readonly plan: Plan
  /** By label. */
  readonly contenders: ReadonlyMap<string, RunningContender>
  /** By URL. */
  readonly scenarios: ReadonlyMap<string, ScenarioModule>
  readonly reporter: Reporter
  /** Ends the run after the current step, keeping what is complete. */
  readonly signal: AbortSignal
  /** A step of a fork that takes longer is taken for a hang. */
  readonly stepLimitNs: number
  /** What the whole run may take; it decides how many blocks there are. */
  readonly budgetNs?: number
  /** Wanted half-width of intervals; it decides how many forks each setting gets. */
  readonly precision?: number
  /** Pilot forks of each cell that show how long warming up takes. */
  readonly pilots: number
  /** What an interrupted run has already measured, or what a plan that is replayed has fixed. */
  readonly past?: Past
  /** Where to write V8 CPU profiles; undefined when none are taken. */
  readonly profileFolder?: string
}

/** How it went. */
export interface RunOutcome {
  readonly completedForks: number
  readonly failedForks: number
  readonly end: EndLine
}

/** While probing it is not known yet how short an operation is, so the clock is read this often at most. */
const lapsOfProbe = 50

export async function carryOut(parts: RunParts): Promise<RunOutcome> {
  const outcome = await new Coordinator(parts).run()
  parts.reporter.onEnd?.(outcome.end)
  return outcome
}

class Coordinator {
  readonly #parts: RunParts
  readonly #startNs = systemClock.monotonicNs()
  readonly #calibrations: Map<PlannedSetting, Calibration>
  readonly #done: ReadonlySet<string>
  /** Cells that failed once. A benchmark that sometimes fails has no number, so they are not tried again. */
  readonly #failed: Set<string>
  readonly #schedule: ForkSchedule
  readonly #durations: Durations
  #live: LiveFork[] = []
  #stores = 0
  #completedForks = 0
  #failedForks = 0

  constructor(parts: RunParts) {
    const { plan, past, signal } = parts
    this.#parts = parts
    this.#calibrations = new Map(past?.calibrations)
    this.#done = past?.done ?? new Set()
    this.#failed = new Set(past?.failed)
    const settings = plan.settings.filter(({ contenders }) => contenders.length > 0)
    const cells = settings.reduce((count, { contenders }) => count + contenders.length, 0)
    this.#durations = durationsWithin(parts.budgetNs, settings.length, cells, plan.batches)
    this.#schedule = new ForkSchedule(parts, this.#startNs)
    signal.addEventListener('abort', () => void this.#stopAll(), { once: true })
  }

  async run(): Promise<RunOutcome> {
    const { plan, signal } = this.#parts
    for (let block = 0; block < plan.blocks.length && !signal.aborted; block++) {
      for (const [position, index] of plan.blocks[block]!.entries()) {
        const planned = plan.settings[index]!
        if (
          signal.aborted ||
          !this.#schedule.has(block, index) ||
          this.#labelsLeft(planned, block).length === 0
        )
          continue
        this.#schedule.announce(block, position, this.#calibrations)
        await this.#visit(planned, block)
      }
      if (!signal.aborted) this.#schedule.decide(block)
    }
    return {
      completedForks: this.#completedForks,
      failedForks: this.#failedForks,
      end: {
        type: 'end',
        endedAt: new Date().toISOString(),
        outcome: signal.aborted ? 'interrupted' : 'completed',
        elapsedNs: Math.round(systemClock.monotonicNs() - this.#startNs),
      },
    }
  }

  /** One setting in one block: one fork of each contender. */
  async #visit(planned: PlannedSetting, block: number): Promise<void> {
    let calibration = this.#calibrations.get(planned)
    if (calibration === undefined) {
      calibration = await this.#calibrate(planned, block)
      if (calibration === undefined) return
      this.#calibrations.set(planned, calibration)
    }
    const startNs = systemClock.monotonicNs()
    const ready = await this.#startForks(planned, block)
    await this.#takeTurns(
      ready,
      calibration,
      new Random(this.#parts.plan.seed).split('rounds', block, planned.setting.title),
    )
    for (const fork of [...this.#live]) {
      await this.#guard(fork, async () => this.#completed(await fork.complete()))
    }
    await this.#stopAll()
    this.#schedule.visited(planned, systemClock.monotonicNs() - startNs)
  }

  /** Warm-ups and rounds, one batch at a time; the order of the contenders is drawn anew for each round. */
  async #takeTurns(forks: readonly LiveFork[], calibration: Calibration, random: Random): Promise<void> {
    const { warmups } = calibration
    for (let round = 0; round < warmups + this.#parts.plan.batches; round++) {
      let position = 0
      for (const fork of random.shuffled(forks)) {
        if (!this.#live.includes(fork) || this.#parts.signal.aborted) continue
        const order = batchOrder(calibration, fork.label)
        await this.#guard(fork, async () => {
          if (round < warmups) await fork.warmUp(order)
          else await fork.measure(order, position++)
        })
      }
    }
  }

  /** In throw-away forks: how many operations make a batch, and how many batches warm up. Undefined when all fail. */
  async #calibrate(planned: PlannedSetting, block: number): Promise<Calibration | undefined> {
    const probed = await this.#probe(planned, block)
    if (probed === undefined) return undefined
    const pilotsNs = new Map<string, number[][]>()
    for (let pilot = 0; pilot < this.#parts.pilots && !this.#parts.signal.aborted; pilot++) {
      await this.#pilot(planned, block, probed, pilotsNs)
    }
    if (this.#parts.signal.aborted) return undefined
    const calibration = warmupsAfter(probed, [...pilotsNs.values()].flat())
    this.#parts.reporter.onCalibration?.(calibrationLine(planned, calibration, pilotsNs))
    return calibration
  }

  /** One fork of each contender, taking turns for longer than any warm-up is expected to last. */
  async #pilot(
    planned: PlannedSetting,
    block: number,
    calibration: Calibration,
    pilotsNs: Map<string, number[][]>,
  ): Promise<void> {
    const series = new Map<string, number[]>()
    const forks = await this.#startForks(planned, block)
    for (let batch = 0; batch < pilotBatches(calibration); batch++) {
      for (const fork of forks) {
        if (!this.#live.includes(fork) || this.#parts.signal.aborted) continue
        await this.#guard(fork, async () => {
          const batchNs = await fork.warmUp(batchOrder(calibration, fork.label))
          series.set(fork.label, [...(series.get(fork.label) ?? []), batchNs])
        })
      }
    }
    for (const fork of this.#live) {
      pilotsNs.set(fork.label, [...(pilotsNs.get(fork.label) ?? []), series.get(fork.label) ?? []])
    }
    await this.#stopAll()
  }

  /** Probes each contender in a throw-away fork. Undefined when none could be probed. */
  async #probe(planned: PlannedSetting, block: number): Promise<Calibration | undefined> {
    const perOperationNs = new Map<string, number>()
    for (const fork of await this.#startForks(planned, block)) {
      await this.#guard(fork, async () => {
        const probes: Probe[] = []
        for (;;) {
          const operations = nextProbe(probes, this.#durations)
          if (operations === undefined) break
          const order = { operations, operationsPerLap: Math.ceil(operations / lapsOfProbe) }
          probes.push({ operations, durationNs: await fork.warmUp(order) })
        }
        perOperationNs.set(fork.label, perOperation(probes.at(-1)!))
      })
    }
    await this.#stopAll()
    if (perOperationNs.size === 0) return undefined
    const { kind, workers } = planned.setting.concurrency
    return calibrate(perOperationNs, kind === 'async' ? workers : 1, this.#durations)
  }

  /** Starts a fork of every contender that is still to be measured. What fails now is reported; the others are live. */
  async #startForks(planned: PlannedSetting, block: number): Promise<readonly LiveFork[]> {
    const labels = this.#labelsLeft(planned, block)
    const forks = await Promise.all(labels.map((label) => this.#make(planned, label, block)))
    this.#live = forks.filter((fork) => fork !== undefined)
    // An abort while the stores were made has found no fork to stop.
    if (this.#parts.signal.aborted) await this.#stopAll()
    await Promise.all(this.#live.map((fork) => this.#guard(fork, () => fork.start())))
    return this.#live
  }

  /** Contenders whose fork of this block is neither done nor in vain. */
  #labelsLeft(planned: PlannedSetting, block: number): readonly string[] {
    return planned.contenders.filter((label) => {
      const id = forkIdOf(planned, label, block)
      return !this.#failed.has(cellKey(id)) && !this.#done.has(forkKey(id))
    })
  }

  async #make(planned: PlannedSetting, label: string, block: number): Promise<LiveFork | undefined> {
    const { plan, scenarios, contenders, stepLimitNs, profileFolder } = this.#parts
    const { setting, scenarioUrl } = planned
    const contender = contenders.get(label)!
    const id = forkIdOf(planned, label, block)
    try {
      const store = await contender.newStore(`s${this.#stores++}`)
      const { recordBytes, compressibility } = plan.dataset
      const assignment: Assignment = {
        storageUrl: contender.url,
        storageOptions: store.options,
        capabilities: contender.capabilities,
        scenarioUrl,
        parameters: {
          objectsPerTransaction: setting.objects,
          workers: setting.concurrency.workers,
          dataset: { recordBytes, compressibility },
        },
        kind: setting.concurrency.kind,
        seed: `${plan.seed}/data/${setting.scenario}/${setting.objects}/${block}`,
        batches: plan.batches,
        ...(profileFolder === undefined
          ? {}
          : { profile: { folder: profileFolder, name: forkKey(id).replaceAll(/[^\w.-]+/g, '-') } }),
      }
      const workforce = new ChildProcesses(assignment, stepLimitNs)
      return new LiveFork({ id, assignment, scenario: scenarios.get(scenarioUrl)!, store, workforce })
    } catch (error) {
      this.#recordFailure(stillborn(id, error))
      return undefined
    }
  }

  /** Runs one step of a fork. A failure is written down, and ends that fork and its cell; nothing else. */
  async #guard(fork: LiveFork, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.#live = this.#live.filter((other) => other !== fork)
      await fork.stop()
      if (!this.#parts.signal.aborted) this.#recordFailure(fork.failed(error))
    }
  }

  #recordFailure(line: FailedFork): void {
    this.#failed.add(cellKey(line))
    this.#failedForks++
    this.#parts.reporter.onFork?.(line)
  }

  #completed(line: CompletedFork): void {
    this.#completedForks++
    this.#schedule.completed(line)
    this.#parts.reporter.onFork?.(line)
  }

  async #stopAll(): Promise<void> {
    const live = this.#live
    this.#live = []
    const stopped = await Promise.allSettled(live.map((fork) => fork.stop()))
    for (const one of stopped) {
      if (one.status === 'rejected')
        this.#parts.reporter.onLog?.(`cleaning up: ${(one.reason as Error).message}`)
    }
  }
}

function calibrationLine(
  { setting: { scenario, objects, concurrency } }: PlannedSetting,
  { operations, warmups, operationsPerLap }: Calibration,
  pilotsNs: ReadonlyMap<string, readonly (readonly number[])[]>,
): CalibrationLine {
  const contenders = [...operationsPerLap].map(([contender, perLap]) => ({
    contender,
    operationsPerLap: perLap,
    pilotsNs: pilotsNs.get(contender) ?? [],
  }))
  return { type: 'calibration', scenario, objects, concurrency, operations, warmups, contenders }
}

/** Raised where nothing at all can be measured. */
export function nothingToMeasure(reasons: readonly string[]): ShootoutError {
  return new ShootoutError(
    'nothing-to-measure',
    `nothing can be measured: ${[...new Set(reasons)].join('; ')}`,
  )
}
