import { describe, expect, test } from 'vitest'
import { centreOf, walshAverages } from '../../../src/analysis/stats/hodges-lehmann.ts'
import { falseDiscoveryRates, holm } from '../../../src/analysis/stats/multiplicity.ts'
import { detectableEffect, pairsNeeded, spreadAround } from '../../../src/analysis/stats/power.ts'
import { signedRankDistribution, signedRankP } from '../../../src/analysis/stats/signed-rank.ts'
import { Random } from '../../../src/core/random.ts'

/** P(sum of signed ranks ≥ that of the values) by trying all 2ⁿ signs. */
function enumerated(values: readonly number[]): number {
  const magnitudes = values.map(Math.abs)
  const rank = (magnitude: number) => {
    const below = magnitudes.filter((other) => other < magnitude).length
    const equal = magnitudes.filter((other) => other === magnitude).length
    return below + (equal + 1) / 2
  }
  const ranks = magnitudes.map(rank)
  const sum = (isPositive: (index: number) => boolean) =>
    ranks.reduce((total, one, index) => total + (isPositive(index) ? one : 0), 0)
  const observed = sum((index) => values[index]! > 0)
  let extreme = 0
  for (let signs = 0; signs < 2 ** values.length; signs++) {
    if (sum((index) => ((signs >> index) & 1) === 1) >= observed) extreme++
  }
  return extreme / 2 ** values.length
}

describe('signed-rank test', () => {
  test('the distribution equals full enumeration up to 12 values', () => {
    for (let n = 1; n <= 12; n++) {
      const counts = Array.from({ length: (n * (n + 1)) / 2 + 1 }, () => 0)
      for (let signs = 0; signs < 2 ** n; signs++) {
        let sum = 0
        for (let rank = 1; rank <= n; rank++) if ((signs >> (rank - 1)) & 1) sum += rank
        counts[sum]!++
      }
      expect(signedRankDistribution(n)).toEqual(counts.map((count) => count / 2 ** n))
    }
  })

  test('p equals full enumeration, with and without ties', () => {
    const random = new Random('signed-rank')
    for (let n = 1; n <= 11; n++) {
      const smooth = Array.from({ length: n }, () => random.normal())
      const tied = Array.from(
        { length: n },
        () => (random.integer(3) + 1) * (random.integer(2) === 0 ? -1 : 1),
      )
      expect([n, signedRankP(smooth)]).toEqual([n, expect.closeTo(enumerated(smooth), 12)])
      expect([n, signedRankP(tied)]).toEqual([n, expect.closeTo(enumerated(tied), 12)])
    }
  })

  test('critical values agree with published tables', () => {
    // One-sided 1 %: n = 12, W ≤ 9; n = 20, W ≤ 43; n = 50, W ≤ 397 (McCornack 1965).
    for (const [n, critical] of [
      [12, 9],
      [20, 43],
      [50, 397],
    ] as const) {
      const below = (limit: number) =>
        signedRankDistribution(n)
          .slice(0, limit + 1)
          .reduce((sum, one) => sum + one, 0)
      expect([n, below(critical) <= 0.01, below(critical + 1) <= 0.01]).toEqual([n, true, false])
    }
  })

  test('zeros say nothing, and only zeros say nothing at all', () => {
    expect(signedRankP([0, 0, 0])).toBe(1)
    expect(signedRankP([0, 1, 0, 2, 3])).toBe(1 / 8)
  })

  test('the sums of a distribution of 50 pairs come to 1', () => {
    expect(signedRankDistribution(50).reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 12)
  })
})

describe('Hodges-Lehmann', () => {
  test('the estimate is the median of all means of two', () => {
    expect([...walshAverages([1, 5, 2])]).toEqual([1, 1.5, 2, 3, 3.5, 5])
    expect(centreOf([1, 5, 2]).estimate).toBe(2.5)
  })

  test('the interval holds what the test does not reject', () => {
    const random = new Random('interval')
    const values = Array.from({ length: 15 }, () => random.normal())
    const { low, high, level } = centreOf(values).interval!
    expect(level).toBeGreaterThanOrEqual(0.95)
    const tiny = 1e-9
    const negated = values.map((value) => -value)
    expect(signedRankP(values, low - tiny)).toBeLessThanOrEqual(0.025)
    expect(signedRankP(values, low + tiny)).toBeGreaterThan(0.025)
    expect(signedRankP(negated, -high - tiny)).toBeLessThanOrEqual(0.025)
    expect(signedRankP(negated, -high + tiny)).toBeGreaterThan(0.025)
  })

  test('five values give no 95 % interval, six do', () => {
    expect(centreOf([1, 2, 3, 4, 5]).interval).toBeUndefined()
    expect(centreOf([1, 2, 3, 4, 5, 6]).interval).toEqual({ low: 1, high: 6, level: 1 - 2 / 64 })
  })
})

describe('multiplicity', () => {
  test('Holm rejects step by step and stops at the first that it cannot', () => {
    expect(holm([0.01, 0.04, 0.03, 0.005], 0.05)).toEqual([true, false, false, true])
    expect(holm([], 0.05)).toEqual([])
  })

  test('false discovery rates are those of the 1995 paper', () => {
    // The 15 p-values of the example of Benjamini and Hochberg; at 5 % the first four are discoveries.
    const ps = [
      0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528,
      0.759, 1,
    ]
    const rates = falseDiscoveryRates(ps)
    expect(rates.filter((rate) => rate <= 0.05)).toHaveLength(4)
    expect(rates[0]).toBeCloseTo(0.0015, 12)
    expect([...rates].sort((a, b) => a - b)).toEqual(rates)
  })
})

describe('power', () => {
  test('pairs needed and effect found are inverse to each other', () => {
    expect(pairsNeeded(0.04, 0.03)).toBe(31)
    expect(pairsNeeded(0.1, 0.1)).toBe(19)
    expect(pairsNeeded(0.2, 0.05)).toBe(278)
    expect(detectableEffect(0.04, 31)).toBeCloseTo(0.03, 3)
  })

  test('one wild value does not move the spread', () => {
    expect(spreadAround([-0.01, 0.01, -0.01, 0.01, 5])).toBeCloseTo(0.0148, 4)
  })
})
