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
import type { EndLine, ForkId } from '../results/schema.ts'
import type { ScenarioModule } from '../scenarios/scenario.ts'
import type { Capabilities, ProvisionedStore } from '../storages/storage.ts'
import type { Assignment } from './assignment.ts'
import { batchOrder, type Calibration, calibrate, nextProbe, type Probe, perOperation } from './calibrate.ts'
import { ChildProcesses } from './concurrency/processes.ts'
import { LiveFork, stillborn } from './live-fork.ts'
import type { Plan, PlannedSetting } from './plan.ts'

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
  /** Numbers of forks for which the interval's level is only just above 95 %. */
  readonly forkLadder: readonly number[]
}

/** How it went. */
export interface RunOutcome {
  readonly completedForks: number
  readonly failedForks: number
  readonly end: EndLine
}

export async function carryOut(parts: RunParts): Promise<RunOutcome> {
  const { end, ...counts } = await new Coordinator(parts).run()
  parts.reporter.onEnd?.(end)
  return { ...counts, end }
}

/** While probing it is not known yet how short an operation is, so the clock is read this often at most. */
const lapsOfProbe = 50

class Coordinator {
  readonly #parts: RunParts
  readonly #startNs = systemClock.monotonicNs()
  readonly #calibrations = new Map<PlannedSetting, Calibration>()
  /** Cells that failed once. A benchmark that sometimes fails has no number, so they are not tried again. */
  readonly #failed = new Set<string>()
  /** Wall time of one fork of each setting, the latest seen. */
  readonly #settingNs = new Map<PlannedSetting, number>()
  #live: LiveFork[] = []
  #stores = 0
  #completedForks = 0
  #failedForks = 0

  constructor(parts: RunParts) {
    this.#parts = parts
    parts.signal.addEventListener('abort', () => void this.#stopAll(), { once: true })
  }

  async run(): Promise<RunOutcome> {
    const { plan, reporter, signal } = this.#parts
    for (const skip of plan.skips) reporter.onSkip?.(skip)
    let blocks = plan.blocks.length
    for (let block = 0; block < blocks && !signal.aborted; block++) {
      const order = plan.blocks[block]!
      for (let position = 0; position < order.length && !signal.aborted; position++) {
        const planned = plan.settings[order[position]!]!
        this.#announce(planned, block, block * order.length + position, blocks * order.length)
        await this.#visit(planned, block)
      }
      if (block === 0) blocks = this.#affordableBlocks(blocks)
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
      await this.#guard(fork, async () => {
        const line = await fork.complete()
        this.#completedForks++
        this.#parts.reporter.onFork?.(line)
      })
    }
    await this.#stopAll()
    this.#settingNs.set(planned, systemClock.monotonicNs() - startNs)
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

  /** Probes each contender in a throw-away fork. Undefined when none could be probed. */
  async #calibrate(planned: PlannedSetting, block: number): Promise<Calibration | undefined> {
    const perOperationNs = new Map<string, number>()
    for (const fork of await this.#startForks(planned, block)) {
      await this.#guard(fork, async () => {
        const probes: Probe[] = []
        for (let operations = nextProbe(probes); operations !== undefined; operations = nextProbe(probes)) {
          const order = { operations, operationsPerLap: Math.ceil(operations / lapsOfProbe) }
          probes.push({ operations, durationNs: await fork.warmUp(order) })
        }
        perOperationNs.set(fork.label, perOperation(probes.at(-1)!))
      })
    }
    await this.#stopAll()
    return perOperationNs.size === 0 ? undefined : calibrate(perOperationNs)
  }

  /** Starts a fork of every contender that has not failed. What fails now is reported; the others are live. */
  async #startForks(planned: PlannedSetting, block: number): Promise<readonly LiveFork[]> {
    const labels = planned.contenders.filter((label) => !this.#failed.has(cellKey(planned, label)))
    const forks = await Promise.all(labels.map((label) => this.#make(planned, label, block)))
    this.#live = forks.filter((fork) => fork !== undefined)
    await Promise.all(this.#live.map((fork) => this.#guard(fork, () => fork.start())))
    return this.#live
  }

  async #make(planned: PlannedSetting, label: string, block: number): Promise<LiveFork | undefined> {
    const { plan, scenarios, contenders, stepLimitNs } = this.#parts
    const { setting, scenarioUrl } = planned
    const contender = contenders.get(label)!
    const id: ForkId = {
      contender: label,
      scenario: setting.scenario,
      objects: setting.objects,
      concurrency: setting.concurrency,
      fork: block,
    }
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
      }
      const workforce = new ChildProcesses(assignment, stepLimitNs)
      return new LiveFork({ id, assignment, scenario: scenarios.get(scenarioUrl)!, store, workforce })
    } catch (error) {
      this.#recordFailure(cellKey(planned, label))
      this.#parts.reporter.onFork?.(stillborn(id, error))
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
      if (this.#parts.signal.aborted) return
      const line = fork.failed(error)
      this.#recordFailure(cellKeyOf(line))
      this.#parts.reporter.onFork?.(line)
    }
  }

  #recordFailure(key: string): void {
    this.#failed.add(key)
    this.#failedForks++
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

  /** With a budget, the most forks of the ladder that fit into what is left, at least the first. */
  #affordableBlocks(most: number): number {
    const { budgetNs, forkLadder } = this.#parts
    if (budgetNs === undefined) return most
    const blockNs = sum(this.#settingNs.values())
    const spentNs = systemClock.monotonicNs() - this.#startNs
    const fitting = forkLadder.filter((forks) => forks <= most && spentNs + (forks - 1) * blockNs <= budgetNs)
    const blocks = fitting.at(-1) ?? Math.min(most, forkLadder[0]!)
    if (fitting.length === 0) {
      this.#parts.reporter.onLog?.(
        `the budget is too small for ${blocks} forks of every cell, the fewest that give a 95 % interval; going on with ${blocks}`,
      )
    }
    return blocks
  }

  #announce(planned: PlannedSetting, fork: number, done: number, total: number): void {
    const { reporter, budgetNs, plan } = this.#parts
    const known = [...this.#settingNs.values()]
    const elapsedNs = systemClock.monotonicNs() - this.#startNs
    let remainingNs: number | undefined
    if (fork > 0) {
      const blockNs = sum(known)
      const position = done % plan.settings.length
      const restOfBlock = plan.blocks[fork]!.slice(position).map(
        (index) => this.#settingNs.get(plan.settings[index]!) ?? 0,
      )
      remainingNs = sum(restOfBlock) + blockNs * (total / plan.settings.length - fork - 1)
    } else if (budgetNs !== undefined) {
      remainingNs = Math.max(0, budgetNs - elapsedNs)
    } else if (done > 0) {
      // The first block also calibrates, so a step of it costs about two of the others.
      remainingNs = ((total + plan.settings.length - 2 * done) * elapsedNs) / (2 * done)
    }
    reporter.onProgress?.({
      stage: this.#calibrations.has(planned) ? 'measuring' : 'calibrating',
      done,
      total,
      setting: planned.setting,
      fork,
      remainingNs,
    })
  }
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}

function cellKey(planned: PlannedSetting, label: string): string {
  const { scenario, objects, concurrency } = planned.setting
  return cellKeyOf({ contender: label, scenario, objects, concurrency })
}

function cellKeyOf(id: Omit<ForkId, 'fork'>): string {
  return `${id.contender}/${id.scenario}/${id.objects}/${id.concurrency.kind}:${id.concurrency.workers}`
}

/** Raised where nothing at all can be measured. */
export function nothingToMeasure(reasons: readonly string[]): ShootoutError {
  return new ShootoutError(
    'nothing-to-measure',
    `nothing can be measured: ${[...new Set(reasons)].join('; ')}`,
  )
}
