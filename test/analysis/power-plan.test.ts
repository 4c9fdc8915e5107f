import { expect, test } from 'vitest'
import { defaultPolicy } from '../../src/analysis/gate/policy.ts'
import { type PilotCell, planForks, planPairs } from '../../src/analysis/power-plan.ts'
import { Random } from '../../src/core/random.ts'
import { renderPowerPlan } from '../../src/report/power-plan.ts'
import type { PairLine } from '../../src/results/gate-schema.ts'
import type { Setting } from '../../src/results/schema.ts'

const setting: Setting = {
  scenario: 'update',
  title: 'update 1 object',
  objects: 1,
  concurrency: { kind: 'async', workers: 1 },
}

/** @param between what a whole pair differs by. @param within what its rounds differ by, in addition */
function pilotOf(
  seed: string,
  { between, within }: { between: number; within: number },
): readonly PairLine[] {
  const random = new Random(seed)
  return Array.from({ length: 200 }, (_, pair): PairLine => {
    const offset = between * random.normal()
    const rounds = Array.from({ length: 30 }, () => {
      const candidate = 1e6 * Math.exp(offset + within * random.normal())
      return {
        first: 'baseline' as const,
        store: 0 as const,
        baselineNs: [1e6, 1e6] as const,
        candidateNs: [candidate, candidate] as const,
      }
    })
    const side = { cpuNs: 1e6, residentBytesMax: 1e6 }
    const { scenario, objects, concurrency } = setting
    return {
      type: 'pair',
      stage: 'pilot',
      pair,
      operations: 20,
      rounds,
      scenario,
      objects,
      concurrency,
      baseline: side,
      candidate: side,
    }
  })
}

const cell = (name: string, noises: { between: number; within: number }, pairNs = 1e9): PilotCell => ({
  setting: { ...setting, scenario: name },
  pilot: pilotOf(name, noises),
  cpuIsValid: false,
  pairNs,
})

const quiet = cell('quiet', { between: 0.005, within: 0.001 })
const noisy = cell('noisy', { between: 0.2, within: 0.001 })
/** The median of 30 such rounds spreads by some 0.14. */
const stormy = cell('stormy', { between: 0.005, within: 0.6 })

test('a quiet cell reaches it with the fewest pairs there are', () => {
  const { cells, timeNs } = planPairs([quiet], defaultPolicy, { detect: 0.05, budgetNs: 60e9 })
  expect(cells[0]).toMatchObject({ needed: 12, reaches: 'yes', timeNs: 18e9, help: [] })
  expect(timeNs).toBe(18e9)
})

test('where whole pairs differ, no number of rounds helps, and what could be told is said', () => {
  const [planned] = planPairs([noisy], defaultPolicy, { detect: 0.05, budgetNs: 600e9 }).cells
  expect(planned).toMatchObject({ reaches: 'noise' })
  expect(planned!.needed).toBeGreaterThan(50)
  expect(planned!.help.map(({ kind }) => kind)).toEqual(['detect', 'metric'])
})

test('where single rounds differ, more of them help', () => {
  const [planned] = planPairs([stormy], defaultPolicy, { detect: 0.1, budgetNs: 600e9 }).cells
  const rounds = planned!.help.find((help) => help.kind === 'rounds')
  expect(rounds?.needed).toBeLessThanOrEqual(50)
  expect(rounds?.needed).toBeLessThan(planned!.needed)
})

test('what does not fit into the budget is named, the cheapest cells go first', () => {
  const dear = cell('dear', { between: 0.005, within: 0.001 }, 10e9)
  const plan = planPairs([dear, quiet], defaultPolicy, { detect: 0.05, budgetNs: 60e9 })
  expect(plan.cells.map(({ setting: { scenario }, reaches }) => [scenario, reaches])).toEqual([
    ['dear', 'budget'],
    ['quiet', 'yes'],
  ])
  const text = renderPowerPlan(plan, { width: 100, color: false })
  expect(text).toContain('1 of 2 cells can tell 5 % within 1m 00s')
  expect(text).toContain('--budget 4m')
  expect(text.replaceAll(/\s+/g, ' ')).toMatch(/^no dear.*, for which the budget leaves no time yes quiet/)
})

test('forks of a results file need twice as many, on each of two sides', () => {
  const timesNs = [1, 1.02, 0.98, 1.01, 0.99, 1].map((time) => time * 1e6)
  const input = { setting, contender: 'sqlite', timesNs, forkNs: 1e9 }
  const [planned] = planForks([input], { detect: 0.03, budgetNs: 600e9 }).cells
  const sigma = planned!.sigma
  expect(sigma).toBeGreaterThan(0.01)
  expect(planned!.needed).toBe(2 * Math.ceil(16.5 * (sigma / Math.log(1.03)) ** 2))
  expect(planned!.timeNs).toBe(2 * planned!.needed * 1e9)
})
