/** Plays whole gates on simulated cells, through the same decisions as the real gate. */

import { defaultPolicy, type Policy } from '../../../src/analysis/gate/policy.ts'
import { assess, type GateCell, type Verdict } from '../../../src/analysis/gate/suite.ts'
import { type NoiseModel, NoisyCell } from './noise-models.ts'

export interface GateResult {
  readonly verdicts: readonly Verdict[]
  /** Without the pilot. */
  readonly pairs: number
  readonly driftAlarm: boolean
}

/** @param slowdowns ratio minus 1 of each cell */
export function simulateGate(
  seed: string,
  model: NoiseModel,
  slowdowns: readonly number[],
  policy: Policy = defaultPolicy,
): GateResult {
  const sources = slowdowns.map(
    (slowdown, index) => new NoisyCell(`${seed}/${index}`, model, Math.log1p(slowdown)),
  )
  const cells: GateCell[] = sources.map((source) => ({
    pilot: source.pairs(policy.pilotPairs, 0),
    screen: [],
    confirm: [],
    cpuIsValid: false,
  }))
  for (;;) {
    const { wants, cells: states, drift } = assess(cells, policy)
    if (wants.length === 0) {
      return {
        verdicts: states.map(({ verdict }) => verdict!),
        pairs: cells.reduce((sum, { screen, confirm }) => sum + screen.length + confirm.length, 0),
        driftAlarm: drift?.isSlower === true,
      }
    }
    for (const { cell, stage, upTo } of wants) {
      const before = cells[cell]!
      const more = sources[cell]!.pairs(upTo - before[stage].length)
      cells[cell] = { ...before, [stage]: [...before[stage], ...more] }
    }
  }
}

export interface Shares {
  readonly gates: number
  readonly fail: number
  readonly pass: number
  readonly inconclusive: number
  readonly meanPairs: number
}

/** Many gates of one cell. */
export function simulateCells(
  seed: string,
  model: NoiseModel,
  slowdown: number,
  gates: number,
  policy: Policy = defaultPolicy,
): Shares {
  const counts = { pass: 0, fail: 0, inconclusive: 0, failed: 0 }
  let pairs = 0
  for (let gate = 0; gate < gates; gate++) {
    const result = simulateGate(`${seed}/${model}/${slowdown}/${gate}`, model, [slowdown], policy)
    counts[result.verdicts[0]!]++
    pairs += result.pairs
  }
  return {
    gates,
    fail: counts.fail / gates,
    pass: counts.pass / gates,
    inconclusive: counts.inconclusive / gates,
    meanPairs: pairs / gates,
  }
}

export interface SuiteShares {
  /** Suites in which an unchanged cell failed, or the whole suite for drift. */
  readonly falseFail: number
  /** Suites in which the changed cell failed. */
  readonly found: number
  readonly inconclusive: number
  readonly meanPairs: number
}

/** Many suites, of which the first cell alone is slower. */
export function simulateSuites(
  seed: string,
  model: NoiseModel,
  cells: number,
  slowdown: number,
  suites: number,
  policy: Policy = defaultPolicy,
): SuiteShares {
  let falseFail = 0
  let found = 0
  let inconclusive = 0
  let pairs = 0
  const slowdowns = Array.from({ length: cells }, (_, index) => (index === 0 ? slowdown : 0))
  for (let suite = 0; suite < suites; suite++) {
    const result = simulateGate(`${seed}/${model}/${suite}`, model, slowdowns, policy)
    const unchanged = slowdown === 0 ? result.verdicts : result.verdicts.slice(1)
    if (unchanged.includes('fail') || (slowdown === 0 && result.driftAlarm)) falseFail++
    if (slowdown > 0 && result.verdicts[0] === 'fail') found++
    if (result.verdicts.includes('inconclusive')) inconclusive++
    pairs += result.pairs
  }
  return {
    falseFail: falseFail / suites,
    found: found / suites,
    inconclusive: inconclusive / suites,
    meanPairs: pairs / suites,
  }
}
