import { expect, test } from 'vitest'
import { lowerBound, upperBound } from '../../../src/analysis/stats/proportion.ts'

test('no success in n trials bounds the probability as the rule of three says', () => {
  expect(upperBound(0, 60)).toBeCloseTo(1 - 0.05 ** (1 / 60), 9)
  expect(upperBound(0, 300)).toBeCloseTo(3 / 300, 3)
})

test('bounds are those of Clopper and Pearson', () => {
  // R: binom.test(7, 20, alternative = "less")$conf.int and "greater"
  expect(upperBound(7, 20)).toBeCloseTo(0.558, 3)
  expect(lowerBound(7, 20)).toBeCloseTo(0.1773, 3)
})

test('all or nothing has an end at 1 or 0', () => {
  expect(upperBound(5, 5)).toBe(1)
  expect(lowerBound(0, 5)).toBe(0)
  expect(lowerBound(5, 5)).toBeCloseTo(0.05 ** (1 / 5), 9)
})

test('bounds hold where the probability of no success is too small for a number', () => {
  // k of k and one more: P(X <= n - 1) = 1 - p^n.
  for (const trials of [100, 1000, 100_000]) {
    expect(upperBound(trials - 1, trials)).toBeCloseTo(0.95 ** (1 / trials), 9)
    expect(lowerBound(1, trials)).toBeCloseTo(1 - 0.95 ** (1 / trials), 9)
  }
  // The normal approximation of 900 of 1000, with its continuity correction: 0.9 + 1.645 * sqrt(0.09 / 1000).
  expect(upperBound(900, 1000)).toBeCloseTo(0.915, 2)
})
