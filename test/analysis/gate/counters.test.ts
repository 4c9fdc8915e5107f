import { expect, test } from 'vitest'
import { compareCounters } from '../../../src/analysis/gate/counters.ts'
import type { CountersLine } from '../../../src/results/gate-schema.ts'

function line(
  baseline: readonly Record<string, number>[],
  candidate: readonly Record<string, number>[],
): CountersLine {
  const concurrency = { kind: 'async', workers: 1 } as const
  return { type: 'counters', scenario: 'add', objects: 1, concurrency, operations: 10, baseline, candidate }
}

test('one more sync per commit is a change that gates', () => {
  const { changes, equal } = compareCounters(
    line(
      [
        { syncs: 10, stores: 10 },
        { syncs: 10, stores: 10 },
      ],
      [
        { syncs: 20, stores: 10 },
        { syncs: 20, stores: 10 },
      ],
    ),
    {},
  )
  expect(changes).toEqual([{ name: 'syncs', baseline: 1, candidate: 2, effect: 'more', gates: true }])
  expect(equal).toBe(1)
})

test('less work is reported and does not gate', () => {
  const { changes } = compareCounters(
    line([{ statements: 50 }, { statements: 50 }], [{ statements: 40 }, { statements: 40 }]),
    {},
  )
  expect(changes).toEqual([{ name: 'statements', baseline: 5, candidate: 4, effect: 'less', gates: false }])
})

test('a counter that varies between equal forks is not exact and does not gate', () => {
  const { changes, inexact } = compareCounters(
    line([{ syncs: 7 }, { syncs: 9 }], [{ syncs: 20 }, { syncs: 20 }]),
    {},
  )
  expect(changes).toEqual([])
  expect(inexact).toEqual(['syncs'])
})

test('a declared tolerance allows so much more and no more', () => {
  const grown = line(
    [{ bytesWritten: 1000 }, { bytesWritten: 1000 }],
    [{ bytesWritten: 1019 }, { bytesWritten: 1019 }],
  )
  expect(compareCounters(grown, { bytesWritten: 0.02 }).changes[0]!.gates).toBe(false)
  expect(compareCounters(grown, { bytesWritten: 0.01 }).changes[0]!.gates).toBe(true)
})

test('work where there was none gates whatever the tolerance', () => {
  const { changes } = compareCounters(line([{ syncs: 0 }, {}], [{ syncs: 1 }, { syncs: 1 }]), { syncs: 0.5 })
  expect(changes[0]).toMatchObject({ baseline: 0, gates: true })
})
