import { expect, test } from 'vitest'
import { extraToFind, interleaved, wantedArms } from '../../src/cli/selftest/schedule.ts'
import { Random } from '../../src/core/random.ts'

const wanted = [
  ['memory', wantedArms(false, false)],
  ['sqlite', wantedArms(false, false)],
  ['file', wantedArms(false, true)],
] as const

test('a whole selftest holds 42 gates of equal sides, and 20 of what must be found in each storage', () => {
  const gates = interleaved(wanted, new Random('order'))
  const count = (storage: string, extra: number) =>
    gates.filter(([whose, arm]) => whose === storage && arm.extra === extra && !arm.isDisturbed).length
  expect(['memory', 'sqlite', 'file'].map((storage) => count(storage, 0))).toEqual([14, 14, 14])
  expect([count('memory', 0.05), count('sqlite', 0.05), count('file', 0.1)]).toEqual([20, 20, 20])
  expect([extraToFind(false), extraToFind(true)]).toEqual([0.05, 0.1])
})

test.each(['a', 'b', 'c'])('a selftest that ends early is balanced (seed %s)', (seed) => {
  const gates = interleaved(wanted, new Random(seed))
  const total = gates.length
  for (const share of [0.25, 0.5, 0.75]) {
    const held = gates.slice(0, Math.round(share * total))
    for (const [storage, arms] of wanted) {
      for (const { extra, isDisturbed, gates: all } of arms) {
        const done = held.filter(
          ([whose, arm]) => whose === storage && arm.extra === extra && arm.isDisturbed === isDisturbed,
        ).length
        expect(Math.abs(done - share * all)).toBeLessThanOrEqual(2)
      }
    }
  }
  expect(new Set(gates.slice(0, 12).map(([whose]) => whose)).size).toBe(3)
})

test('the order is that of the seed', () => {
  expect(interleaved(wanted, new Random('a'))).toEqual(interleaved(wanted, new Random('a')))
  expect(interleaved(wanted, new Random('a'))).not.toEqual(interleaved(wanted, new Random('b')))
})
