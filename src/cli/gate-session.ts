/**
 * Carries out a gate: counts work, calibrates, then measures whatever pairs the decision asks for, block by block, until
 * every cell has its verdict or the time is up. Each block visits its cells in random order.
 */

import { join } from 'node:path'
import { type CounterComparison, compareCounters } from '../analysis/gate/counters.ts'
import type { Drift } from '../analysis/gate/drift.ts'
import { type Explanation, explain } from '../analysis/gate/explain.ts'
import { pairValues } from '../analysis/gate/pair-values.ts'
import type { Limits, Policy } from '../analysis/gate/policy.ts'
import type { ReportedCell } from '../analysis/gate/report-model.ts'
import {
  disturbance,
  isTooDisturbed,
  type JudgedBlock,
  type MachineSummary,
  machineSummary,
} from '../analysis/gate/sentinel.ts'
import { type Assessment, assess, type GateCell, type Want } from '../analysis/gate/suite.ts'
import { systemClock } from '../core/clock.ts'
import { Random } from '../core/random.ts'
import type { GateJournal } from '../results/gate-journal.ts'
import type { CountersLine, GateFailure, PairLine, Stage } from '../results/gate-schema.ts'
import { settingKey } from '../results/reader.ts'
import type { GateOrder } from '../runner/gate/calibration.ts'
import type { PairEngine } from '../runner/gate/pair-engine.ts'
import type { Sentinel } from '../runner/gate/sentinel.ts'
import { type GateTask, SideFailure } from '../runner/gate/side.ts'

export interface SessionParts {
  readonly tasks: readonly GateTask[]
  /** Cells that one side cannot do, found before anything ran; in the order of `tasks`. */
  readonly failures: ReadonlyMap<GateTask, GateFailure>
  readonly engine: PairEngine
  readonly policy: Policy
  /** By scenario, where they differ from those of the policy. */
  readonly limits?: ReadonlyMap<string, Limits>
  readonly budgetNs: number
  readonly seed: string
  /** What counters may grow by; undefined where the two storages are different things and counters are only shown. */
  readonly tolerances: Readonly<Record<string, number>> | undefined
  readonly journal: GateJournal
  readonly signal: AbortSignal
  /** Watches the machine; without it no block is set aside. */
  readonly sentinel?: Pick<Sentinel, 'missing' | 'read'>
  /** Blocks that were disturbed from outside count as well. */
  readonly keepsDisturbed?: boolean
  /** Folder for the profiles of cells that failed; undefined: they are not explained. */
  readonly profileFolder?: string
  readonly progress: SessionProgress
  /** What an earlier session found out about these cells, in the order of `tasks`. */
  readonly past?: GatePast
}

/** What is known before a session begins. It counts like what the session measures itself. */
export interface GatePast {
  readonly cells: readonly PastCell[]
  readonly blocks: readonly JudgedBlock[]
}

export interface PastCell {
  readonly counters?: CountersLine
  readonly order?: GateOrder
  readonly failure?: GateFailure
  /** Those of blocks that count. */
  readonly pairs: readonly PairLine[]
  /** Pairs that were begun in each stage, whether they count or not: their seeds are used up. */
  readonly begun: Readonly<Record<Stage, number>>
}

/** Told between measurements. */
export interface SessionProgress {
  counted(task: GateTask, comparison: CounterComparison): void
  /** A block begins: `pairs` is how many there are, `remainingNs` what the budget leaves. */
  block(wants: readonly Want[], pairs: number, remainingNs: number): void
  failed(task: GateTask, failure: GateFailure): void
  /** A block was set aside. */
  disturbed?(reason: string): void
  /** A cell that failed is looked at more closely. */
  explaining?(task: GateTask): void
}

export interface SessionOutcome {
  readonly cells: readonly ReportedCell[]
  readonly drift: Drift | undefined
  /** Undefined where nobody watched, or no block was measured. */
  readonly machine: MachineSummary | undefined
  readonly elapsedNs: number
}

export async function runSession(parts: SessionParts): Promise<SessionOutcome> {
  return new Session(parts).run()
}

interface MutableCell {
  pilot: GateCell['pilot']
  screen: GateCell['screen']
  confirm: GateCell['confirm']
  cpuIsValid: boolean
  counters?: CounterComparison
  failure?: GateFailure
  explanation?: Explanation
  order?: GateOrder
  /** Wall time of each pair of this session. The first takes longer: nothing is in the caches of the system yet. */
  readonly pairTimesNs: number[]
  /** Pairs that were begun in each stage, those of blocks that do not count included. */
  readonly begun: Record<Stage, number>
  syncs: boolean
}

/** Cells that are explained, the worst first: one cause seldom shows in one cell only. */
const explainedMax = 3

class Session {
  readonly #parts: SessionParts
  readonly #startNs = systemClock.monotonicNs()
  readonly #cells: readonly MutableCell[]
  readonly #blocks: JudgedBlock[]

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#blocks = [...(parts.past?.blocks ?? [])]
    this.#cells = parts.tasks.map((task, index) => {
      const past = parts.past?.cells[index]
      const failure = parts.failures.get(task) ?? past?.failure
      const valuesOf = (stage: Stage) =>
        past?.pairs.filter((pair) => pair.stage === stage).map(pairValues) ?? []
      return {
        pilot: valuesOf('pilot'),
        screen: valuesOf('screen'),
        confirm: valuesOf('confirm'),
        cpuIsValid: false,
        pairTimesNs: [],
        begun: { pilot: 0, screen: 0, confirm: 0, ...past?.begun },
        syncs: false,
        ...(past?.order === undefined ? {} : { order: past.order }),
        ...(failure === undefined ? {} : { failure }),
      }
    })
  }

  async run(): Promise<SessionOutcome> {
    await this.#eachOpen((index) => this.#count(index))
    await this.#eachOpen((index) => this.#calibrate(index))
    let assessment = this.#assess()
    // The first block begins here; what came before, counting and calibrating, is none.
    if (assessment.wants.length > 0) this.#parts.sentinel?.read()
    while (assessment.wants.length > 0) {
      const { wants } = assessment
      this.#parts.progress.block(wants, this.#pairs(), this.#remainingNs())
      await this.#block(wants)
      assessment = this.#assess()
    }
    await this.#explain(assessment)
    return {
      cells: this.#cells.map((cell, index) => this.#report(cell, index, assessment)),
      drift: assessment.drift,
      machine: machineSummary(this.#blocks, this.#parts.sentinel?.missing ?? []),
      elapsedNs: Math.round(systemClock.monotonicNs() - this.#startNs),
    }
  }

  async #eachOpen(action: (index: number) => Promise<void>): Promise<void> {
    for (const index of this.#cells.keys()) {
      if (this.#timeIsUp()) return
      const isDecided = this.#assess().cells[index]!.verdict !== undefined
      if (!isDecided) await this.#guard(index, () => action(index))
    }
  }

  async #count(index: number): Promise<void> {
    const { engine, journal, tolerances, progress } = this.#parts
    const task = this.#parts.tasks[index]!
    const cell = this.#cells[index]!
    const known = this.#parts.past?.cells[index]?.counters
    const line = known ?? (await engine.countWork(task))
    if (known === undefined) journal.append(line)
    const found = compareCounters(line, tolerances ?? {})
    cell.counters =
      tolerances === undefined
        ? { ...found, changes: found.changes.map((change) => ({ ...change, gates: false })) }
        : found
    cell.syncs = [...line.baseline, ...line.candidate].some((counts) => (counts['syncs'] ?? 0) > 0)
    cell.cpuIsValid = task.setting.concurrency.workers === 1 && onlyComputes(line)
    progress.counted(task, cell.counters)
  }

  async #calibrate(index: number): Promise<void> {
    const { engine, tasks, journal } = this.#parts
    const cell = this.#cells[index]!
    if (cell.order !== undefined) return
    cell.order = await engine.calibrate(tasks[index]!)
    const { scenario, objects, concurrency } = tasks[index]!.setting
    journal.append({ type: 'order', scenario, objects, concurrency, ...cell.order })
  }

  /** The worst of the cells that became slower, as far as there is time. */
  async #explain({ cells }: Assessment): Promise<void> {
    const { profileFolder, engine, journal, progress } = this.#parts
    if (profileFolder === undefined) return
    const slower = [...cells.entries()]
      .filter(([, { verdict, ground }]) => verdict === 'fail' && ground !== 'counters')
      .sort(([, a], [, b]) => (b.evidence?.ratio ?? 0) - (a.evidence?.ratio ?? 0))
      .slice(0, explainedMax)
    for (const [index] of slower) {
      const cell = this.#cells[index]!
      const task = this.#parts.tasks[index]!
      if (this.#parts.signal.aborted || this.#remainingNs() < 2 * cell.pairTimesNs.at(-1)!) return
      progress.explaining?.(task)
      const folder = join(profileFolder, settingKey(task.setting).replaceAll(/[^\w.-]+/g, '-'))
      try {
        const line = await engine.watch(task, cell.order!, folder)
        journal.append(line)
        cell.explanation = explain(line, folder)
      } catch (error) {
        // The verdict stands, so it is said and not written into the journal, where it would end the cell.
        if (!(error instanceof SideFailure)) throw error
        if (!this.#parts.signal.aborted) progress.failed(task, error.journalLine)
      }
    }
  }

  /** One pass over cells. It counts as a whole or not at all. */
  async #block(wants: readonly Want[]): Promise<void> {
    const lines: { readonly cell: MutableCell; readonly line: PairLine }[] = []
    // By the number of the block, so that a gate that is resumed goes on in the same order.
    const random = new Random(this.#parts.seed).split('blocks', this.#blocks.length)
    for (const want of random.shuffled(wants)) {
      if (this.#timeIsUp()) break
      const line = await this.#pair(want)
      if (line !== undefined) lines.push({ cell: this.#cells[want.cell]!, line })
    }
    if (lines.length === 0 || this.#isDisturbed(wants)) return
    for (const { cell, line } of lines) cell[line.stage] = [...cell[line.stage], pairValues(line)]
  }

  #isDisturbed(wants: readonly Want[]): boolean {
    const { sentinel, journal, progress } = this.#parts
    if (sentinel === undefined) return false
    const cells = wants.map(({ cell }) => cell).join()
    const machine = sentinel.read()
    const syncs = wants.some(({ cell }) => this.#cells[cell]!.syncs)
    const disturbed = this.#parts.keepsDisturbed
      ? undefined
      : disturbance(this.#blocks, { cells, machine }, syncs)
    const because = disturbed === undefined ? {} : { disturbed }
    journal.append({ type: 'block', block: this.#blocks.length, machine, ...because })
    this.#blocks.push({ cells, machine, ...because })
    if (disturbed !== undefined) progress.disturbed?.(disturbed)
    return disturbed !== undefined
  }

  async #pair({ cell: index, stage }: Want): Promise<PairLine | undefined> {
    const cell = this.#cells[index]!
    // A cell that failed in this very block is still on the list.
    if (cell.failure !== undefined) return undefined
    let line: PairLine | undefined
    await this.#guard(index, async () => {
      const startNs = systemClock.monotonicNs()
      const { engine, tasks, journal } = this.#parts
      line = await engine.measurePair(tasks[index]!, cell.order!, stage, cell.begun[stage]++)
      cell.pairTimesNs.push(systemClock.monotonicNs() - startNs)
      journal.append(line)
    })
    return line
  }

  /** A side that fails ends its cell; what an interruption cut short is nobody's failure. */
  async #guard(index: number, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (this.#parts.signal.aborted) return
      if (!(error instanceof SideFailure)) throw error
      const failure = error.journalLine
      this.#cells[index]!.failure = failure
      this.#parts.journal.append(failure)
      this.#parts.progress.failed(this.#parts.tasks[index]!, failure)
    }
  }

  #assess(): Assessment {
    const cells = this.#cells.map(
      ({ pilot, screen, confirm, cpuIsValid, counters, failure, pairTimesNs }, index): GateCell => ({
        ...this.#limitsOf(index),
        pilot,
        screen,
        confirm,
        cpuIsValid,
        ...(pairTimesNs.length < 2 ? {} : { pairNs: Math.min(...pairTimesNs) }),
        ...(counters === undefined ? {} : { counters }),
        ...(failure === undefined ? {} : { failure: failure.error.message }),
      }),
    )
    return assess(cells, this.#parts.policy, {
      isUp: this.#timeIsUp(),
      isTooDisturbed: isTooDisturbed(this.#blocks),
      remainingNs: this.#remainingNs(),
    })
  }

  #report(cell: MutableCell, index: number, { cells }: Assessment): ReportedCell {
    const { verdict, ground, ...state } = cells[index]!
    return {
      setting: this.#parts.tasks[index]!.setting,
      ...this.#limitsOf(index),
      verdict: verdict!,
      ground: ground!,
      ...state,
      ...(cell.counters === undefined ? {} : { counters: cell.counters }),
      ...(cell.failure === undefined ? {} : { failure: cell.failure }),
      ...(cell.explanation === undefined ? {} : { explanation: cell.explanation }),
      pairs: cell.screen.length + cell.confirm.length,
    }
  }

  #limitsOf(index: number): { readonly limits?: Limits } {
    const limits = this.#parts.limits?.get(this.#parts.tasks[index]!.setting.scenario)
    return limits === undefined ? {} : { limits }
  }

  #pairs(): number {
    return this.#cells.reduce(
      (sum, { pilot, screen, confirm }) => sum + pilot.length + screen.length + confirm.length,
      0,
    )
  }

  #remainingNs(): number {
    return this.#parts.budgetNs - (systemClock.monotonicNs() - this.#startNs)
  }

  #timeIsUp(): boolean {
    return this.#parts.signal.aborted || this.#remainingNs() <= 0
  }
}

/** Neither side waits for a disk or for another process. */
export function onlyComputes({ baseline, candidate }: CountersLine): boolean {
  return [...baseline, ...candidate].every(
    (counts) => (counts['syncs'] ?? 0) === 0 && (counts['roundTrips'] ?? 0) === 0,
  )
}
