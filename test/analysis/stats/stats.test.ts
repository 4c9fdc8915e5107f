import { describe, expect, test } from 'vitest'
import { coinCumulative, coinProbability } from '../../../src/analysis/stats/binomial.ts'
import { intervalDepth, intervalLevel, medianInterval } from '../../../src/analysis/stats/median-interval.ts'
import {
  geometricMean,
  median,
  medianDeviation,
  quantile,
  robustSigmaOfLog,
} from '../../../src/analysis/stats/quantiles.ts'
import { mannWhitney, mannWhitneyP, shift } from '../../../src/analysis/stats/two-sample.ts'

/** Bits of all numbers below 2^n: every way in which n coins can fall. */
function* coinSequences(n: number): Generator<number> {
  for (let bits = 0; bits < 2 ** n; bits++) {
    let heads = 0
    for (let rest = bits; rest > 0; rest >>= 1) heads += rest & 1
    yield heads
  }
}

describe('the binomial distribution', () => {
  test('is what counting all sequences of coins gives, up to 12 coins', () => {
    for (let n = 1; n <= 12; n++) {
      const counts = Array.from({ length: n + 1 }, () => 0)
      for (const heads of coinSequences(n)) counts[heads]!++
      let cumulative = 0
      for (let k = 0; k <= n; k++) {
        cumulative += counts[k]!
        expect(coinProbability(k, n)).toBeCloseTo(counts[k]! / 2 ** n, 13)
        expect(coinCumulative(k, n)).toBeCloseTo(cumulative / 2 ** n, 13)
      }
    }
  })

  test('still sums to 1 where 2^-n is too small for a number', () => {
    expect(coinCumulative(2000, 2000)).toBeCloseTo(1, 9)
    expect(coinCumulative(999, 2000)).toBeCloseTo((1 - coinProbability(1000, 2000)) / 2, 9)
  })
})

describe('the interval of the median', () => {
  test('has the published depths and levels', () => {
    const expected: readonly (readonly [number, number, number])[] = [
      [6, 1, 0.96875],
      [9, 2, 0.9609375],
      [12, 3, 0.961426],
      [15, 4, 0.964844],
      [17, 5, 0.950958],
      [20, 6, 0.958611],
    ]
    for (const [n, depth, level] of expected) {
      expect(intervalDepth(n)).toBe(depth)
      expect(intervalLevel(n, depth)).toBeCloseTo(level, 6)
    }
  })

  test('is the widest that is still wide enough: one step narrower would cover less than 95 %', () => {
    for (let n = 6; n <= 200; n++) {
      const depth = intervalDepth(n)
      expect(intervalLevel(n, depth)).toBeGreaterThanOrEqual(0.95)
      if (2 * (depth + 1) <= n) expect(intervalLevel(n, depth + 1)).toBeLessThan(0.95)
    }
  })

  test('does not exist below 6 values', () => {
    for (let n = 0; n < 6; n++) {
      expect(medianInterval(Array.from({ length: n }, (_, i) => i))).toBeUndefined()
    }
  })

  test('is made of values that are there, whatever their order', () => {
    const values = [12, 3, 8, 1, 11, 2, 10, 7, 6, 5, 9, 4]
    expect(medianInterval(values)).toMatchObject({ low: 3, high: 10 })
    expect(values[0]).toBe(12)
  })

  test('is found among very many values', () => {
    const values = Array.from({ length: 100_000 }, (_, index) => index)
    // 1.96 standard deviations of Bin(n, 1/2) from the middle.
    const { low, level } = medianInterval(values)!
    expect(Math.abs(low - (50_000 - 1.96 * Math.sqrt(25_000)))).toBeLessThan(2)
    expect(level).toBeGreaterThanOrEqual(0.95)
    expect(level).toBeLessThan(0.951)
  })
})

describe('two samples', () => {
  test('the distribution of U is what counting all orders gives', () => {
    for (const [m, n] of [
      [1, 1],
      [2, 3],
      [4, 4],
      [5, 3],
      [6, 6],
    ] as const) {
      const counts = Array.from({ length: m * n + 1 }, () => 0)
      let total = 0
      for (let bits = 0; bits < 2 ** (m + n); bits++) {
        // A set bit is a value of the first sample; U counts the values of the second before it.
        let first = 0
        let second = 0
        let u = 0
        for (let place = 0; place < m + n; place++) {
          if ((bits >> place) & 1) {
            first++
            u += second
          } else second++
        }
        if (first !== m) continue
        counts[u]!++
        total++
      }
      const probabilities = mannWhitney(m, n)
      expect(probabilities).toHaveLength(counts.length)
      for (const [u, count] of counts.entries()) expect(probabilities[u]).toBeCloseTo(count / total, 12)
    }
  })

  test('agrees with published critical values of the two-sided 5 % test', () => {
    // The greatest U at which the hypothesis is rejected.
    for (const [m, n, critical] of [
      [5, 5, 2],
      [6, 6, 5],
      [8, 8, 13],
      [10, 10, 23],
      [12, 12, 37],
      [20, 20, 127],
    ] as const) {
      const probabilities = mannWhitney(m, n)
      const tail = (u: number) => probabilities.slice(0, u + 1).reduce((sum, p) => sum + p, 0)
      expect(2 * tail(critical)).toBeLessThanOrEqual(0.05)
      expect(2 * tail(critical + 1)).toBeGreaterThan(0.05)
    }
  })

  test('the shift is the median difference, and its interval excludes 0 exactly when the test rejects', () => {
    const a = [1, 2, 3, 4, 5, 6]
    for (const distance of [0.5, 2.5, 3.5, 4.5, 5.5, 10.5]) {
      const b = a.map((value) => value + distance)
      const { estimate, interval } = shift(a, b)
      expect(estimate).toBeCloseTo(distance, 12)
      expect(interval!.low > 0).toBe(mannWhitneyP(a, b) <= 0.05)
      expect(interval!.level).toBeGreaterThanOrEqual(0.95)
    }
  })

  test('a tie across the samples makes neither the test nor the interval bolder', () => {
    // Without the tie U is 0 or 1; of the two, the test believes the one that speaks less for a shift.
    const [a, b] = [
      [1, 2, 3, 4],
      [4, 5, 6, 7],
    ] as const
    expect(mannWhitneyP(a, b)).toBeCloseTo((2 * 2) / 70, 12)
    expect(shift(a, b).interval!.low).toBe(0)
  })

  test('three against three cannot reach 95 %', () => {
    expect(shift([1, 2, 3], [4, 5, 6]).interval).toBeUndefined()
  })
})

describe('descriptive statistics', () => {
  test('quantiles are those of R and NumPy by default', () => {
    expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75)
    expect(quantile([4, 1, 3, 2], 0.95)).toBeCloseTo(3.85, 12)
    expect(median([5, 1, 3])).toBe(3)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(() => median([])).toThrow(RangeError)
  })

  test('the geometric mean of a ratio and its inverse is 1', () => {
    expect(geometricMean([4, 0.25])).toBeCloseTo(1, 12)
  })

  test('the robust spread ignores an outlier', () => {
    expect(medianDeviation([1, 2, 3, 4, 1000])).toBe(1)
    const values = [0.98, 0.99, 1, 1.01, 1.02]
    expect(robustSigmaOfLog([...values, 50])).toBeLessThan(3 * robustSigmaOfLog(values))
  })
})
