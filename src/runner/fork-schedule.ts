/**
 * How many forks each setting of a run gets, and what is left of it: decided once, after the first stage, from what
 * that cost or how it spread.
 */

import { systemClock } from '../core/clock.ts'
import type { Reporter } from '../results/reporter.ts'
import type { CompletedFork, ForksLine } from '../results/schema.ts'
import { forkIdOf, type Plan, type PlannedSetting } from './plan.ts'
import { cellKey, type Past, timePerOperation } from './resume.ts'
import { forkLadder, forksForPrecision, forksWithin, pilotForks } from './stages.ts'

interface ScheduleParts {
  readonly plan: Plan
  readonly reporter: Reporter
  readonly budgetNs?: number
  readonly precision?: number
  readonly past?: Past
}

export class ForkSchedule {
  readonly #parts: ScheduleParts
  readonly #startNs: number
  /** Wall time of one fork of each setting, the latest seen. */
  readonly #settingNs = new Map<PlannedSetting, number>()
  /** Time per operation of every completed fork, by cell. */
  readonly #times: Map<string, number[]>
  /** Forks that each setting gets. */
  #forks: readonly number[]

  /** @param startNs when the run began, by the monotonic clock */
  constructor(parts: ScheduleParts, startNs: number) {
    const { plan, past } = parts
    this.#parts = parts
    this.#startNs = startNs
    this.#times = new Map(past?.times)
    this.#forks = past?.decision?.forks ?? plan.settings.map(() => plan.forks)
  }

  /** Whether the setting with this index gets a fork in this block. */
  has(block: number, index: number): boolean {
    return block < this.#forks[index]!
  }

  /** One fork of each contender of a setting has been measured. */
  visited(planned: PlannedSetting, durationNs: number): void {
    this.#settingNs.set(planned, durationNs)
  }

  completed(line: CompletedFork): void {
    const times = this.#times.get(cellKey(line)) ?? []
    this.#times.set(cellKey(line), [...times, timePerOperation(line)])
  }

  /** After a block. Only the last of the first stage decides, and not where a run goes on that has decided. */
  decide(block: number): void {
    const { reporter, past } = this.#parts
    const decision = past?.decision === undefined ? this.#decision(block) : undefined
    if (decision === undefined) return
    this.#forks = decision.forks
    reporter.onForks?.(decision)
  }

  #decision(block: number): ForksLine | undefined {
    const { plan, budgetNs, precision } = this.#parts
    if (budgetNs !== undefined && block === 0) {
      const forks = this.#affordable(budgetNs)
      return { type: 'forks', decidedBy: 'budget', forks: plan.settings.map(() => forks) }
    }
    if (precision === undefined || block !== pilotForks - 1) return undefined
    const forks = plan.settings.map((planned) => {
      const pilots = planned.contenders.map(
        (label) => this.#times.get(cellKey(forkIdOf(planned, label, 0))) ?? [],
      )
      return forksForPrecision(pilots, precision)
    })
    return { type: 'forks', decidedBy: 'precision', forks }
  }

  #affordable(budgetNs: number): number {
    const { plan, reporter, past } = this.#parts
    // A resumed run has seen the cost of those settings only that were left.
    const known = [...this.#settingNs.values()]
    const blockNs = (sum(known) / Math.max(1, known.length)) * plan.blocks[0]!.length
    const spentNs = systemClock.monotonicNs() - this.#startNs + (past?.spentNs ?? 0)
    const affordable = forksWithin(blockNs, budgetNs - spentNs, plan.forks)
    if (affordable !== undefined) return affordable
    const fewest = Math.min(plan.forks, forkLadder[0]!)
    reporter.onLog?.(
      `the budget is too small for ${fewest} forks of every cell, the fewest that give a 95 % interval; going on with ${fewest}`,
    )
    return fewest
  }

  /**
   * Says what comes next, how much is done and how long the rest takes.
   * @param position of the setting in its block
   * @param calibrated settings whose batches have a length
   */
  announce(block: number, position: number, calibrated: ReadonlyMap<PlannedSetting, unknown>): void {
    const { reporter, plan } = this.#parts
    const planned = plan.settings[plan.blocks[block]![position]!]!
    const orders = plan.blocks.map((order, at) => order.filter((index) => this.has(at, index)))
    const before = orders.slice(0, block).reduce((count, order) => count + order.length, 0)
    const done =
      before + plan.blocks[block]!.slice(0, position).filter((index) => this.has(block, index)).length
    reporter.onProgress?.({
      stage: calibrated.has(planned) ? 'measuring' : 'calibrating',
      done,
      total: orders.reduce((count, order) => count + order.length, 0),
      setting: planned.setting,
      fork: block,
      remainingNs: this.#remainingNs(orders.flat().slice(done), block, calibrated),
    })
  }

  /** From the cost of each setting once all are known; before that from the budget, or the steps so far. */
  #remainingNs(
    left: readonly number[],
    block: number,
    calibrated: ReadonlyMap<PlannedSetting, unknown>,
  ): number | undefined {
    const { plan, budgetNs, past } = this.#parts
    const costs = left.map((index) => this.#settingNs.get(plan.settings[index]!))
    if (costs.every((cost) => cost !== undefined)) return sum(costs)
    const elapsedNs = systemClock.monotonicNs() - this.#startNs
    if (block === 0 && budgetNs !== undefined) return Math.max(0, budgetNs - elapsedNs - (past?.spentNs ?? 0))
    if (this.#settingNs.size === 0) return undefined
    const meanNs = sum(this.#settingNs.values()) / this.#settingNs.size
    // What is not calibrated yet costs about as much again.
    const uncalibrated = plan.settings.filter(
      (one) => one.contenders.length > 0 && !calibrated.has(one),
    ).length
    return meanNs * (left.length + uncalibrated)
  }
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
