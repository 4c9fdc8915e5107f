import { expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import { durationsWithin, forkLadder, forksForPrecision, forksWithin } from '../../src/runner/stages.ts'

test('a budget buys the most forks of the ladder that fit, the first being paid for', () => {
  expect(forksWithin(10, 50, 20)).toBe(6)
  expect(forksWithin(10, 79, 20)).toBe(6)
  expect(forksWithin(10, 80, 20)).toBe(9)
  expect(forksWithin(10, 1e9, 20)).toBe(20)
  expect(forksWithin(10, 1e9, 14)).toBe(12)
  expect(forksWithin(10, 49, 20)).toBe(undefined)
})

test('every rung has a level just above 95 %, and one fork less has not a narrower interval to offer', () => {
  for (const n of forkLadder) {
    const depth = depthOf(n)
    expect(levelOf(n, depth)).toBeGreaterThanOrEqual(0.95)
    expect(levelOf(n, depth)).toBeLessThan(0.97)
    // One fork less reaches less deep into the sample for the same level.
    expect(depthOf(n - 1)).toBe(depth - 1)
  }
})

test('a tight budget shortens batches, down to a limit, so that the fewest forks fit', () => {
  const total = ({ batchNs, warmupNs }: { batchNs: number; warmupNs: number }) => warmupNs + 5 * batchNs
  const unhurried = durationsWithin(undefined, 40, 100, 5)
  expect(total(unhurried)).toBeCloseTo(550e6)
  expect(durationsWithin(3600e9, 40, 100, 5)).toEqual(unhurried)
  const hurried = durationsWithin(240e9, 14, 60, 5)
  expect(total(hurried)).toBeLessThan(300e6)
  expect(6 * (60 * (total(hurried) + 200e6) + 14 * 250e6)).toBeLessThanOrEqual(0.75 * 240e9 * 1.001)
  expect(total(durationsWithin(1e9, 38, 84, 5))).toBeCloseTo(60e6)
})

test('a quiet cell needs the fewest forks, a noisy one more, none without limit', () => {
  const spread = (sigma: number) => {
    const random = new Random(`spread/${sigma}`)
    return Array.from({ length: 6 }, () => 1000 * Math.exp(sigma * random.normal()))
  }
  expect(forksForPrecision([spread(0.001)], 0.02)).toBe(9)
  const noisy = forksForPrecision([spread(0.001), spread(0.04)], 0.02)
  expect(noisy).toBeGreaterThan(9)
  expect(noisy).toBeLessThan(60)
  expect(forksForPrecision([spread(0.5)], 0.02)).toBe(60)
})

/** Largest d for which [x(d), x(n+1−d)] covers the median at 95 %; 0 when there is none. */
function depthOf(n: number): number {
  let depth = 0
  while (levelOf(n, depth + 1) >= 0.95) depth++
  return depth
}

/** 1 − 2·P(Bin(n, ½) ≤ d − 1). */
function levelOf(n: number, depth: number): number {
  let tail = 0
  let coefficient = 1
  for (let k = 0; k < depth; k++) {
    tail += coefficient / 2 ** n
    coefficient = (coefficient * (n - k)) / (k + 1)
  }
  return 1 - 2 * tail
}
