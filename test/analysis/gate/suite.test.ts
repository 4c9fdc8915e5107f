import { describe, expect, test } from 'vitest'
import { evidenceOf } from '../../../src/analysis/gate/cell.ts'
import { suiteDrift } from '../../../src/analysis/gate/drift.ts'
import { chooseMetric } from '../../../src/analysis/gate/metric.ts'
import { type PairValues, pairValues } from '../../../src/analysis/gate/pair-values.ts'
import { defaultPolicy, type Limits, withLimits } from '../../../src/analysis/gate/policy.ts'
import { assess, type GateCell } from '../../../src/analysis/gate/suite.ts'
import { Random } from '../../../src/core/random.ts'
import type { PairLine } from '../../../src/results/gate-schema.ts'
import { coded } from '../../coded.ts'

const random = new Random('suite')

function pair(wall: number, more: Partial<PairValues> = {}): PairValues {
  return { wall, floor: wall, cpu: undefined, mean: wall, p99: undefined, memory: 0, ...more }
}

function pairs(count: number, slowdown: number, sigma = 0.005, more: Partial<PairValues> = {}): PairValues[] {
  return Array.from({ length: count }, () => pair(slowdown + sigma * random.normal(), more))
}

function cell(more: Partial<GateCell> = {}): GateCell {
  return { pilot: pairs(6, 0), screen: [], confirm: [], cpuIsValid: false, ...more }
}

describe('one cell', () => {
  test('wants its pilot first, and then as many pairs as the first look needs', () => {
    expect(assess([cell({ pilot: [] })], defaultPolicy).wants).toEqual([{ cell: 0, stage: 'pilot', upTo: 6 }])
    expect(assess([cell()], defaultPolicy).wants).toEqual([{ cell: 0, stage: 'confirm', upTo: 12 }])
  })

  test('fails when it is proven slower', () => {
    const state = assess([cell({ confirm: pairs(12, 0.05) })], defaultPolicy).cells[0]!
    expect(state).toMatchObject({ verdict: 'fail', ground: 'time' })
    expect(state.evidence!.ratio).toBeCloseTo(1.05, 1)
  })

  test('passes when it is proven slower by less than matters', () => {
    const { verdict, evidence } = assess([cell({ confirm: pairs(12, 0.01, 0.001) })], defaultPolicy).cells[0]!
    expect(evidence!.pSlower).toBeLessThan(0.001)
    expect(verdict).toBe('pass')
  })

  test('goes on to the next look when it is neither', () => {
    const noisy = Array.from({ length: 12 }, (_, index) => pair(0.025 + (index % 2 === 0 ? 0.07 : -0.07)))
    expect(assess([cell({ confirm: noisy })], defaultPolicy).wants).toEqual([
      { cell: 0, stage: 'confirm', upTo: 24 },
    ])
  })

  test('is inconclusive when the pairs run out', () => {
    const noisy = pairs(50, 0.025, 0.3)
    expect(assess([cell({ confirm: noisy })], defaultPolicy).cells[0]).toMatchObject({
      verdict: 'inconclusive',
      ground: 'noise',
    })
  })

  test('is inconclusive at once when the pilot is hopelessly noisy', () => {
    const { cells, wants } = assess([cell({ pilot: pairs(6, 0, 1) })], defaultPolicy)
    expect(cells[0]).toMatchObject({ verdict: 'inconclusive', ground: 'noise' })
    expect(cells[0]!.pairsNeeded).toBeGreaterThan(50)
    expect(wants).toEqual([])
  })

  test('is inconclusive when the time is up, and never passes for that', () => {
    expect(assess([cell({ pilot: [] })], defaultPolicy, { isUp: true }).cells[0]).toMatchObject({
      verdict: 'inconclusive',
      ground: 'budget',
    })
    expect(assess([cell({ confirm: pairs(11, 0) })], defaultPolicy, { isUp: true }).cells[0]).toMatchObject({
      verdict: 'inconclusive',
      ground: 'budget',
    })
  })

  test('is inconclusive before it begins when the time is not enough for the first look', () => {
    expect(assess([cell({ pairNs: 1 })], defaultPolicy, { remainingNs: 11 }).cells[0]).toMatchObject({
      verdict: 'inconclusive',
      ground: 'budget',
      missingNs: 12,
    })
    expect(assess([cell({ pairNs: 1 })], defaultPolicy, { remainingNs: 12 }).wants).toHaveLength(1)
    expect(
      assess([cell({ pilot: pairs(2, 0), pairNs: 1 })], defaultPolicy, { remainingNs: 15 }).wants,
    ).toEqual([])
  })

  test('fails for the work it counts, before any pair', () => {
    const counters = {
      changes: [{ name: 'syncs', baseline: 1, candidate: 2, effect: 'more' as const, gates: true }],
      inexact: [],
      equal: 3,
    }
    const { cells, wants } = assess([cell({ pilot: [], counters })], defaultPolicy)
    expect(cells[0]).toMatchObject({ verdict: 'fail', ground: 'counters' })
    expect(wants).toEqual([])
  })

  test('fails by a guard when only the tail became worse', () => {
    const confirm = pairs(12, 0).map((one) => ({ ...one, p99: 0.5 + 0.01 * random.normal() }))
    const state = assess([cell({ confirm })], defaultPolicy).cells[0]!
    expect(state).toMatchObject({ verdict: 'fail', ground: 'guard' })
    expect(state.guards.map(({ guard }) => guard.name)).toEqual(['p99'])
  })

  test('says when it became faster', () => {
    const state = assess([cell({ confirm: pairs(12, -0.1) })], defaultPolicy).cells[0]!
    expect(state).toMatchObject({ verdict: 'pass', isFaster: true })
  })
})

describe('a suite', () => {
  test('screens every cell, and confirms only the suspects with fresh pairs', () => {
    const cells = [cell(), cell(), cell()]
    expect(assess(cells, defaultPolicy).wants).toEqual(
      [0, 1, 2].map((index) => ({ cell: index, stage: 'screen', upTo: 12 })),
    )
    const screened = [
      cell({ screen: pairs(12, -0.004) }),
      cell({ screen: pairs(12, 0.04) }),
      cell({ screen: pairs(12, -0.004) }),
    ]
    const { wants, cells: states } = assess(screened, defaultPolicy)
    expect(wants).toEqual([{ cell: 1, stage: 'confirm', upTo: 24 }])
    expect(states.map(({ verdict }) => verdict)).toEqual(['pass', undefined, 'pass'])
  })

  describe('where the time is not enough for all cells', () => {
    const wanted = (cells: GateCell[], remainingNs: number) =>
      assess(cells, defaultPolicy, { remainingNs }).wants.map(({ cell: index, stage }) => [index, stage])

    test('those that need least of it are measured', () => {
      const cells = [cell({ pairNs: 30 }), cell({ pairNs: 10 }), cell({ pairNs: 20 })]
      expect(wanted(cells, 12 * 60)).toHaveLength(3)
      expect(wanted(cells, 12 * 59)).toEqual([
        [1, 'screen'],
        [2, 'screen'],
      ])
      const { cells: states } = assess(cells, defaultPolicy, { remainingNs: 12 * 59 })
      expect(states[0]).toMatchObject({ verdict: 'inconclusive', ground: 'budget', missingNs: 12 * 30 })
    })

    test('a cell whose screening has begun goes on, and what it needs is not there for others', () => {
      const cells = [cell({ pairNs: 10, screen: pairs(6, 0) }), cell({ pairNs: 1 })]
      expect(wanted(cells, 60 + 11)).toEqual([[0, 'screen']])
      expect(wanted(cells, 60 + 12)).toHaveLength(2)
    })

    test('what is left over in the end is there for the others', () => {
      const passed = cell({ pairNs: 10, screen: pairs(12, -0.01) })
      const suspect = cell({ pairNs: 10, screen: pairs(12, 0.04) })
      const waiting = cell({ pairNs: 10 })
      expect(wanted([passed, waiting], 120)).toEqual([[1, 'screen']])
      expect(wanted([suspect, waiting], 120)).toEqual([[0, 'confirm']])
      expect(wanted([suspect, waiting], 500 + 120)).toEqual([[1, 'screen']])
    })

    test('nobody joins a confirmation, whose cells share one level', () => {
      const cells = [
        cell({ pairNs: 1, screen: pairs(12, 0.04), confirm: pairs(1, 0.04) }),
        cell({ pairNs: 1 }),
      ]
      expect(wanted(cells, 1e9)).toEqual([[0, 'confirm']])
    })
  })

  test('a suspect that does not repeat itself passes', () => {
    const cells = [
      cell({ screen: pairs(12, -0.01) }),
      cell({ screen: pairs(12, 0.06), confirm: pairs(24, 0) }),
    ]
    expect(assess(cells, defaultPolicy).cells.map(({ verdict }) => verdict)).toEqual(['pass', 'pass'])
  })

  test('a cell that cannot be measured is never counted as passed', () => {
    const cells = [cell({ failure: 'candidate: no such table' }), cell({ screen: pairs(12, -0.01) })]
    expect(assess(cells, defaultPolicy).cells.map(({ verdict }) => verdict)).toEqual(['failed', 'pass'])
  })

  test('drift that no cell shows is found in the blocks', () => {
    const own = new Random('drift')
    const cells = Array.from({ length: 20 }, () =>
      Array.from({ length: 12 }, () => 0.03 + 0.06 * own.normal()),
    )
    expect(cells.filter((values) => evidenceOf(values, defaultPolicy).pSlower <= 0.001)).toEqual([])
    expect(suiteDrift(cells, defaultPolicy)).toMatchObject({ cells: 20, isSlower: true })
  })
})

describe('metrics', () => {
  test('the quietest of the pilot decides, CPU time only where it is valid', () => {
    const pilot = [0.1, -0.1, 0.12, -0.09, 0.1, -0.11].map((wall) =>
      pair(wall, { floor: wall * 0.7, cpu: wall / 10 }),
    )
    expect(chooseMetric(pilot, true).metric).toBe('cpu')
    expect(chooseMetric(pilot, false).metric).toBe('floor')
    expect(
      chooseMetric(
        pilot.map(({ wall }) => pair(wall)),
        true,
      ).metric,
    ).toBe('wall')
  })

  test('the value of a pair is the median over rounds, which one stall does not move', () => {
    const round = (candidate: number) => ({
      first: 'baseline' as const,
      store: 0 as const,
      baselineNs: [100, 100] as const,
      candidateNs: [candidate, 110] as const,
    })
    const line: PairLine = {
      type: 'pair',
      scenario: 'add',
      objects: 1,
      concurrency: { kind: 'async', workers: 1 },
      stage: 'confirm',
      pair: 0,
      operations: 10,
      rounds: [round(110), round(110), round(9000)],
      baseline: { cpuNs: 50, residentBytesMax: 1000 },
      candidate: { cpuNs: 60, residentBytesMax: 1000, p99Ns: 5 },
    }
    const values = pairValues(line)
    expect(values.wall).toBeCloseTo(Math.log(1.1), 12)
    expect(values.floor).toBeCloseTo(Math.log(1.1), 12)
    expect(values.mean).toBeGreaterThan(1)
    expect(values.cpu).toBeCloseTo(Math.log(1.2), 12)
    expect(values.p99).toBeUndefined()
  })
})

test('a cell may have limits of its own', () => {
  const slower = { confirm: pairs(12, 0.05) }
  const verdictOf = (limits: Limits) => assess([cell({ ...slower, limits })], defaultPolicy).cells[0]!.verdict
  expect([verdictOf({}), verdictOf({ tau: 0.08, delta: 0.15 })]).toEqual(['fail', 'pass'])
})

test('limits that cannot be told apart are refused', () => {
  expect(() => withLimits(defaultPolicy, { tau: 0.05 })).toThrow(coded('bad-limits', 'must be above'))
  expect(withLimits(defaultPolicy, { delta: 0.1 }).delta).toBe(0.1)
})
