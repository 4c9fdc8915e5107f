/**
 * The decision about a whole gate: what is known about each cell, and which pairs to measure next. A pure function of
 * everything measured so far, so a verdict can be computed again from the journal, and the simulation that proves the
 * rules runs the same code as the gate.
 *
 *   pilot     baseline against itself: which metric decides, and is the machine quiet enough at all?
 *   screen    every cell gets a few pairs; what looks equal, and excludes delta, has passed
 *   confirm   the others get fresh pairs, which know nothing of the choice, with looks in between
 *
 * A gate of one cell goes from the pilot to the confirmation. The level of each look is shared among the confirmed
 * cells by Holm's procedure.
 */

import type { Stage } from '../../results/gate-schema.ts'
import { pairsNeeded } from '../stats/power.ts'
import { type Evidence, evidenceOf, type GuardFinding, guardFindings, isFaster, matters } from './cell.ts'
import type { CounterComparison } from './counters.ts'
import { type Drift, suiteDrift } from './drift.ts'
import { type ChosenMetric, chooseMetric } from './metric.ts'
import type { PairValues } from './pair-values.ts'
import { type Limits, type Policy, pairsMax } from './policy.ts'

/** What has been measured of one cell. */
export interface GateCell {
  readonly pilot: readonly PairValues[]
  readonly screen: readonly PairValues[]
  readonly confirm: readonly PairValues[]
  /** See `chooseMetric`. */
  readonly cpuIsValid: boolean
  readonly counters?: CounterComparison
  /** Where they differ from those of the policy. */
  readonly limits?: Limits
  /** One of the sides cannot do it: the sentence for the report. */
  readonly failure?: string
  /** What a pair takes, ns. Undefined before the first. */
  readonly pairNs?: number
}

export type Verdict = 'pass' | 'fail' | 'inconclusive' | 'failed'

/** What decided. */
export type Ground = 'time' | 'counters' | 'guard' | 'noise' | 'machine' | 'budget' | 'failure'

export interface CellState {
  /** Undefined while it is being measured. */
  readonly verdict: Verdict | undefined
  readonly ground: Ground | undefined
  readonly metric: ChosenMetric | undefined
  /** Of the latest stage, in the chosen metric. Undefined before its first pair. */
  readonly evidence: Evidence | undefined
  readonly guards: readonly GuardFinding[]
  /** Proven faster. */
  readonly isFaster: boolean
  /** Pairs that the pilot's spread asks for to tell delta. */
  readonly pairsNeeded: number | undefined
  /** What the cell would still have taken, where the budget was not enough and the time of a pair is known, ns. */
  readonly missingNs?: number
}

/** So many pairs of this stage are wanted of this cell, including those there are. */
export interface Want {
  readonly cell: number
  readonly stage: Stage
  readonly upTo: number
}

export interface Assessment {
  readonly cells: readonly CellState[]
  /** Empty when every cell has its verdict. */
  readonly wants: readonly Want[]
  readonly drift: Drift | undefined
}

/** What time there is. */
export interface Time {
  readonly isUp?: boolean
  readonly remainingNs?: number
  /** Too many blocks were disturbed from outside. */
  readonly isTooDisturbed?: boolean
}

/** Suspected guards are worth fresh pairs. */
const suspicion = 0.02

export function assess(cells: readonly GateCell[], policy: Policy, time: Time = {}): Assessment {
  const suite = new Suite(cells, policy, time)
  const wants = suite.wants()
  return { cells: suite.states(), wants, drift: suite.drift }
}

class Suite {
  readonly #cells: readonly GateCell[]
  readonly #policy: Policy
  readonly #time: Time
  readonly #verdicts = new Map<number, { readonly verdict: Verdict; readonly ground: Ground }>()
  readonly #guards = new Map<number, readonly GuardFinding[]>()
  readonly #metrics = new Map<number, ChosenMetric>()
  drift: Drift | undefined

  constructor(cells: readonly GateCell[], policy: Policy, time: Time) {
    this.#cells = cells
    this.#policy = policy
    this.#time = time
  }

  wants(): readonly Want[] {
    this.#judgeFacts()
    const wants = this.#pilot() ?? this.#screen() ?? this.#confirm()
    const { isUp, isTooDisturbed } = this.#time
    if (isUp !== true && isTooDisturbed !== true) return wants
    for (const cell of this.#open()) this.#decide(cell, 'inconclusive', isTooDisturbed ? 'machine' : 'budget')
    return []
  }

  states(): readonly CellState[] {
    return this.#cells.map((cell, index) => {
      const metric = this.#metrics.get(index)
      const pairs = cell.confirm.length > 0 ? cell.confirm : cell.screen
      const evidence = metric === undefined || pairs.length === 0 ? undefined : this.#evidence(index, pairs)
      return {
        verdict: this.#verdicts.get(index)?.verdict,
        ground: this.#verdicts.get(index)?.ground,
        metric,
        evidence,
        guards: this.#guards.get(index) ?? [],
        isFaster: evidence !== undefined && isFaster(evidence, this.#policyOf(index)),
        pairsNeeded: metric && pairsNeeded(metric.sigma, this.#policyOf(index).delta),
        ...(this.#verdicts.get(index)?.ground === 'budget' && cell.pairNs !== undefined
          ? { missingNs: this.#pairsLeft(index) * cell.pairNs }
          : {}),
      }
    })
  }

  /** What needs no clock. */
  #judgeFacts(): void {
    for (const [index, { failure, counters }] of this.#cells.entries()) {
      if (failure !== undefined) this.#decide(index, 'failed', 'failure')
      else if (counters?.changes.some(({ gates }) => gates)) this.#decide(index, 'fail', 'counters')
    }
  }

  #pilot(): readonly Want[] | undefined {
    for (const index of this.#open()) {
      const { pilot, screen, confirm, cpuIsValid } = this.#cells[index]!
      if (pilot.length < this.#policy.pilotPairs) continue
      this.#metrics.set(index, chooseMetric(pilot, cpuIsValid))
      const hasBegun = screen.length + confirm.length > 0
      if (!hasBegun && this.#pairsLeft(index) > pairsMax(this.#policy))
        this.#decide(index, 'inconclusive', 'noise')
    }
    this.#afford()
    const wants = this.#missing(this.#open(), 'pilot', this.#policy.pilotPairs)
    return wants.length > 0 ? wants : undefined
  }

  /**
   * Where the time is not enough for all cells, it goes to those that need least of it, so that as many as possible get
   * their verdict; the others get no pairs, or no more once it is known. A cell whose screening has begun goes on. What
   * is left over in the end is there for the others, until the confirmation has begun: its cells share one level.
   */
  #afford(): void {
    const { remainingNs } = this.#time
    const known = this.#cells.flatMap(({ pairNs }) => pairNs ?? [])
    if (remainingNs === undefined || known.length === 0) return
    const typicalNs = known.reduce((sum, ns) => sum + ns, 0) / known.length
    const open = this.#open().map((index) => {
      const { screen, confirm, pairNs = typicalNs } = this.#cells[index]!
      return { index, hasBegun: screen.length + confirm.length > 0, costNs: this.#pairsLeft(index) * pairNs }
    })
    const isConfirming = this.#cells.some(({ confirm }) => confirm.length > 0)
    let leftNs = remainingNs
    for (const { hasBegun, costNs } of open) if (hasBegun) leftNs -= costNs
    const waiting = open.filter(({ hasBegun }) => !hasBegun).sort((a, b) => a.costNs - b.costNs)
    for (const { index, costNs } of waiting) {
      if (costNs > leftNs || isConfirming) this.#decide(index, 'inconclusive', 'budget')
      else leftNs -= costNs
    }
  }

  /** Pairs that a cell still takes until it can have a verdict, if its spread stays what the pilot found. */
  #pairsLeft(index: number): number {
    const { pilot, screen, confirm } = this.#cells[index]!
    const { pilotPairs, screenPairs, looks, suiteLooks } = this.#policy
    const sigmaMin = this.#metrics.get(index)?.sigmaMin
    const least = sigmaMin === undefined ? 0 : pairsNeeded(sigmaMin, this.#policyOf(index).delta)
    const isSuite = this.#cells.length > 1
    const inPilot = Math.max(0, pilotPairs - pilot.length)
    if (confirm.length === 0 && (!isSuite || screen.length < screenPairs))
      return inPilot + Math.max(least, looks[0]!.pairs) - screen.length
    if (isSuite && confirm.length === 0 && this.#passesScreen(index)) return 0
    return Math.max(0, (isSuite ? suiteLooks : looks).at(-1)!.pairs - confirm.length)
  }

  #screen(): readonly Want[] | undefined {
    if (this.#cells.length === 1) return undefined
    const screened = this.#open()
    const wants = this.#missing(screened, 'screen', this.#policy.screenPairs)
    if (wants.length > 0) return wants
    this.drift = suiteDrift(
      screened.map((index) => this.#values(index, this.#cells[index]!.screen)),
      this.#policy,
    )
    for (const index of screened) if (this.#passesScreen(index)) this.#decide(index, 'pass', 'time')
    return undefined
  }

  #passesScreen(index: number): boolean {
    const { screen } = this.#cells[index]!
    const { screenAlpha, passAlpha } = this.#policy
    const evidence = this.#evidence(index, screen)
    if (evidence.pSlower <= screenAlpha || guardFindings(screen, this.#policy, suspicion).length > 0)
      return false
    return evidence.pDelta <= passAlpha
  }

  #confirm(): readonly Want[] {
    const family = this.#open().length
    let failed = 0
    const isSuite = this.#cells.length > 1
    const looks = isSuite ? this.#policy.suiteLooks : this.#policy.looks
    const passAlpha = isSuite ? this.#policy.suitePassAlpha : this.#policy.passAlpha
    for (const look of looks) {
      const open = this.#open()
      const wants = this.#missing(open, 'confirm', look.pairs)
      if (wants.length > 0) return wants
      const found = open
        .map((index) => {
          const pairs = this.#cells[index]!.confirm.slice(0, look.pairs)
          return { index, pairs, evidence: this.#evidence(index, pairs) }
        })
        .sort((a, b) => a.evidence.pSlower - b.evidence.pSlower)

      let remaining = family - failed
      for (const { index, evidence } of found) {
        if (evidence.pSlower > look.alpha / remaining) break
        remaining--
        if (!matters(evidence, this.#policyOf(index))) continue
        failed++
        this.#decide(index, 'fail', 'time')
      }
      const isLast = look === looks.at(-1)
      for (const { index, pairs, evidence } of found) {
        if (this.#verdicts.has(index)) continue
        const proven = guardFindings(pairs, this.#policy, this.#policy.guardAlpha / family)
        if (proven.length > 0) {
          this.#guards.set(index, proven)
          this.#decide(index, 'fail', 'guard')
        } else if (
          evidence.pDelta <= passAlpha &&
          (isLast || guardFindings(pairs, this.#policy, suspicion).length === 0)
        ) {
          this.#decide(index, 'pass', 'time')
        }
      }
    }
    for (const index of this.#open()) this.#decide(index, 'inconclusive', 'noise')
    return []
  }

  #missing(cells: readonly number[], stage: Stage, upTo: number): readonly Want[] {
    return cells
      .filter((index) => this.#cells[index]![stage].length < upTo)
      .map((cell) => ({ cell, stage, upTo }))
  }

  #open(): readonly number[] {
    return [...this.#cells.keys()].filter((index) => !this.#verdicts.has(index))
  }

  #policyOf(cell: number): Policy {
    return { ...this.#policy, ...this.#cells[cell]!.limits }
  }

  #decide(cell: number, verdict: Verdict, ground: Ground): void {
    this.#verdicts.set(cell, { verdict, ground })
  }

  #evidence(cell: number, pairs: readonly PairValues[]): Evidence {
    return evidenceOf(this.#values(cell, pairs), this.#policyOf(cell))
  }

  /** In the metric that the pilot chose; where a pair lacks it, the choice would not have been made. */
  #values(cell: number, pairs: readonly PairValues[]): readonly number[] {
    const { metric } = this.#metrics.get(cell)!
    return pairs.map((pair) => pair[metric]!)
  }
}
