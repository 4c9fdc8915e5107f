import { expect, test } from 'vitest'
import type { SideCells } from '../../src/analysis/compare.ts'
import { defaultPolicy } from '../../src/analysis/gate/policy.ts'
import { judgeSaved } from '../../src/analysis/saved-baseline.ts'
import { isGreaterP, mannWhitneyP } from '../../src/analysis/stats/two-sample.ts'

const times = [1, 1.01, 0.99, 1.02, 0.98, 1.005, 0.995, 1.015, 0.985, 1.003, 0.997, 1.008]

function side(
  factor: number,
  counters: Readonly<Record<string, number>> = { syncs: 1 },
): SideCells['before'] {
  const forks = times.map((time, fork) => ({
    fork,
    timePerOperationNs: 1e6 * time * factor,
    countersPerOperation: counters,
  }))
  return { status: 'measured', contender: 'x', forks } as unknown as SideCells['before']
}

const cell = (before: SideCells['before'], after: SideCells['after'], scenario = 'update'): SideCells => ({
  setting: { scenario, title: scenario, objects: 1, concurrency: { kind: 'async', workers: 1 } },
  before,
  after,
})

const judge = (...cells: SideCells[]) =>
  judgeSaved(cells, defaultPolicy, {}).map(({ verdict, ground }) => [verdict, ground])

test('equal runs pass, slower ones fail, and what lies between cannot be told', () => {
  expect(judge(cell(side(1), side(1)))).toEqual([['pass', 'time']])
  expect(judge(cell(side(1), side(1.1)))).toEqual([['fail', 'time']])
  expect(judge(cell(side(1), side(0.8)))).toEqual([['pass', 'time']])
  expect(judge(cell(side(1), side(1.045)))[0]![0]).not.toBe('pass')
  const few = { ...side(1), forks: side(1.1).forks.slice(0, 3) }
  expect(judge(cell({ ...side(1), forks: side(1).forks.slice(0, 3) }, few))).toEqual([
    ['inconclusive', 'noise'],
  ])
})

test('a scenario is judged by its own limits', () => {
  const cells = [cell(side(1), side(1.1)), cell(side(1), side(1.1), 'add')]
  const judged = judgeSaved(cells, defaultPolicy, {}, new Map([['add', { tau: 0.15, delta: 0.2 }]]))
  expect(judged.map(({ verdict, limits }) => [verdict, limits])).toEqual([
    ['fail', undefined],
    ['pass', { tau: 0.15, delta: 0.2 }],
  ])
})

test('more work that is counted fails, whatever the time says', () => {
  expect(judge(cell(side(1), side(0.5, { syncs: 2 })))).toEqual([['fail', 'counters']])
  // A share of something that several operations have in common is no fact.
  expect(judge(cell(side(1, { syncs: 0.25 }), side(1, { syncs: 0.5 })))).toEqual([['pass', 'time']])
})

test('a cell that the candidate cannot do has failed', () => {
  const failed = {
    status: 'failed',
    contender: 'x',
    failures: [{ fork: 0, step: 'start', code: 'c', message: 'm' }],
    forks: [],
  } as const
  const skipped = { status: 'skipped', contender: 'x', reason: 'no' } as const
  expect(
    judge(cell(side(1), failed), cell(side(1), skipped, 'add'), cell(side(1), undefined, 'tpc')),
  ).toEqual([
    ['failed', 'failure'],
    ['failed', 'failure'],
    ['failed', 'failure'],
  ])
})

test('the one-sided p is half of the two-sided one', () => {
  const [a, b] = [
    [1, 2, 3, 4],
    [2.5, 3.5, 4.5, 5.5],
  ]
  expect(2 * isGreaterP(a, b)).toBeCloseTo(mannWhitneyP(a, b), 12)
  expect(isGreaterP([1, 2, 3], [4, 5, 6])).toBeCloseTo(1 / 20, 12)
  expect(isGreaterP([4, 5, 6], [1, 2, 3])).toBe(1)
})
