/**
 * What would a measurement be able to see, and what would help it see more? From a pilot (pairs of the baseline with
 * itself), or from the forks of a results file. A pure function of what was measured.
 */

import type { PairLine } from '../results/gate-schema.ts'
import type { Setting } from '../results/schema.ts'
import { chooseMetric } from './gate/metric.ts'
import { type Metric, metrics, pairValues } from './gate/pair-values.ts'
import { type Policy, pairsMax } from './gate/policy.ts'
import { detectableEffect, pairsNeeded, spreadAround } from './stats/power.ts'
import { medianDeviation } from './stats/quantiles.ts'

/** One cell as the pilot saw it. */
export interface PilotCell {
  readonly setting: Setting
  /** At least one. */
  readonly pilot: readonly PairLine[]
  /** See `chooseMetric`. */
  readonly cpuIsValid: boolean
  /** What one pair took, starting and filling stores included, ns. */
  readonly pairNs: number
}

/** One cell of one contender as the forks of a run saw it. */
export interface ForkedCell {
  readonly setting: Setting
  readonly contender: string
  /** Times per operation, one per fork. */
  readonly timesNs: readonly number[]
  /** What one fork took, ns. */
  readonly forkNs: number
}

export type Help =
  /** More rounds in each pair: so many pairs are enough then, and it takes so long. */
  | { readonly kind: 'rounds'; readonly rounds: number; readonly needed: number; readonly timeNs: number }
  /** The smallest slowdown that can be told here, however long it takes. */
  | { readonly kind: 'detect'; readonly detect: number }
  /** This metric is quieter, but would not see what this cell waits for. */
  | { readonly kind: 'metric'; readonly metric: Metric; readonly sigma: number }

export interface CellPlan {
  readonly setting: Setting
  /** Of a results file. */
  readonly contender?: string
  /** What `needed` counts. */
  readonly unit: 'pairs' | 'forks'
  /** What would decide. Of forks it is always the time per operation. */
  readonly metric: Metric
  /** From pair to pair, or from fork to fork: 0.02 is 2 %. */
  readonly sigma: number
  /** Per metric that was measured. */
  readonly sigmas: Readonly<Partial<Record<Metric, number>>>
  /** To find the wanted slowdown in 95 of 100 cases, with 1 false alarm in 100. Of forks, on each side. */
  readonly needed: number
  /** The most there may be. */
  readonly most: number
  /** All of it, the pilot included, ns. */
  readonly timeNs: number
  /** `yes`; `budget`: there is no time left for it; `noise`: it would need more than there may be. */
  readonly reaches: 'yes' | 'budget' | 'noise'
  readonly help: readonly Help[]
}

export interface PowerPlan {
  readonly format: 1
  /** The slowdown to be found: 0.03 is 3 %. */
  readonly detect: number
  readonly budgetNs: number
  readonly cells: readonly CellPlan[]
  /** For all cells that are not too noisy, ns. */
  readonly timeNs: number
}

interface Wanted {
  readonly detect: number
  readonly budgetNs: number
}

/** Standard error of the median of normal values, over that of their mean. */
const medianFactor = 1.2533
const normalFactor = 1.4826
const roundsFactors = [2, 4]

export function planPairs(cells: readonly PilotCell[], policy: Policy, wanted: Wanted): PowerPlan {
  return withinBudget(
    cells.map((cell) => planCell(cell, policy, wanted.detect)),
    wanted,
  )
}

function planCell(cell: PilotCell, policy: Policy, detect: number): CellPlan {
  const { setting, pilot, cpuIsValid, pairNs } = cell
  const values = pilot.map(pairValues)
  const { metric, sigma } = chooseMetric(values, cpuIsValid)
  const sigmas = Object.fromEntries(
    metrics.flatMap((one) => {
      const known = values.flatMap((pair) => pair[one] ?? [])
      return known.length < values.length ? [] : [[one, spreadAround(known)] as const]
    }),
  ) as CellPlan['sigmas']
  const most = pairsMax(policy)
  const pairs = (spread: number) => Math.max(policy.looks[0]!.pairs, pairsNeeded(spread, detect))
  const needed = pairs(sigma)
  const timeNs = (policy.pilotPairs + needed) * pairNs
  const isTooNoisy = needed > most
  const help: Help[] = []
  for (const factor of roundsFactors) {
    const longer = withMoreRounds(cell, sigma, factor)
    const enough = pairs(longer.sigma)
    const longerNs = (policy.pilotPairs + enough) * longer.pairNs
    if (enough > most || (!isTooNoisy && longerNs > 0.8 * timeNs)) continue
    help.push({
      kind: 'rounds',
      rounds: pilot[0]!.rounds.length * factor,
      needed: enough,
      timeNs: longerNs,
    })
    break
  }
  if (isTooNoisy && help.length === 0) help.push({ kind: 'detect', detect: detectableEffect(sigma, most) })
  const { cpu } = sigmas
  if (isTooNoisy && !cpuIsValid && cpu !== undefined && pairs(cpu) <= most) {
    help.push({ kind: 'metric', metric: 'cpu', sigma: cpu })
  }
  const reaches = isTooNoisy ? 'noise' : 'yes'
  return { setting, unit: 'pairs', metric, sigma, sigmas, needed, most, timeNs, reaches, help }
}

/**
 * What noise comes from single rounds goes down with their number; what makes a whole pair slower (where its stores
 * lie, how its code was placed) stays.
 */
function withMoreRounds({ pilot, pairNs }: PilotCell, sigma: number, factor: number) {
  const perRound = pilot.map(({ rounds }) => {
    const ratios = rounds.map(({ baselineNs: [a, b], candidateNs: [c, d] }) => Math.log((c + d) / (a + b)))
    const error = (medianFactor * normalFactor * medianDeviation(ratios)) / Math.sqrt(rounds.length)
    return {
      error,
      ns: rounds.reduce((sum, { baselineNs, candidateNs }) => sum + total(baselineNs, candidateNs), 0),
    }
  })
  const mean = (value: (one: (typeof perRound)[number]) => number) =>
    perRound.reduce((sum, one) => sum + value(one), 0) / perRound.length
  const within = Math.min(
    sigma ** 2,
    mean(({ error }) => error ** 2),
  )
  return {
    sigma: Math.sqrt(sigma ** 2 - within + within / factor),
    pairNs: pairNs + (factor - 1) * mean(({ ns }) => ns),
  }
}

function total(...times: readonly (readonly number[])[]): number {
  return times.flat().reduce((sum, ns) => sum + ns, 0)
}

/** Two samples of n forks each are as good as half as many pairs. */
const sides = 2
const forksMin = 6
/** Beyond this, a run of one cell takes an hour. */
const forksMax = 100

/** For `compare` of two results files, both measured in separate runs. */
export function planForks(cells: readonly ForkedCell[], wanted: Wanted): PowerPlan {
  const plans = cells.map(({ setting, contender, timesNs, forkNs }): CellPlan => {
    const logs = timesNs.map(Math.log)
    const sigma = normalFactor * medianDeviation(logs)
    const needed = Math.max(forksMin, sides * pairsNeeded(sigma, wanted.detect))
    const isTooNoisy = needed > forksMax
    return {
      setting,
      contender,
      unit: 'forks',
      metric: 'wall',
      sigma,
      sigmas: { wall: sigma },
      needed,
      most: forksMax,
      timeNs: sides * needed * forkNs,
      reaches: isTooNoisy ? 'noise' : 'yes',
      help: isTooNoisy ? [{ kind: 'detect', detect: detectableEffect(sigma, forksMax / sides) }] : [],
    }
  })
  return withinBudget(plans, wanted)
}

/** The cheapest first: as many cells as possible shall have their answer. */
function withinBudget(cells: readonly CellPlan[], { detect, budgetNs }: Wanted): PowerPlan {
  let leftNs = budgetNs
  const dropped = new Set<CellPlan>()
  const able = cells.filter(({ reaches }) => reaches === 'yes').sort((a, b) => a.timeNs - b.timeNs)
  for (const cell of able) {
    leftNs -= cell.timeNs
    if (leftNs < 0) dropped.add(cell)
  }
  return {
    format: 1,
    detect,
    budgetNs,
    cells: cells.map((cell) => (dropped.has(cell) ? { ...cell, reaches: 'budget' } : cell)),
    timeNs: able.reduce((sum, { timeNs }) => sum + timeNs, 0),
  }
}
