/**
 * The promises of the gate, by simulation. Sizes are small enough for every run of the tests; docs/statistics.md has
 * the same at full size. Each limit is what the full simulation gives, and three standard errors of this one.
 */

import { describe, expect, test } from 'vitest'
import { type NoiseModel, noiseModels } from './noise-models.ts'
import { simulateCells, simulateSuites } from './simulate.ts'

const seed = 'ci'

/** A share that is really `share` stays below this in all but about 1 of 700 simulations. */
function atMost(share: number, gates: number): number {
  return share + 3 * Math.sqrt((share * (1 - share)) / gates)
}

function atLeast(share: number, gates: number): number {
  return share - 3 * Math.sqrt((share * (1 - share)) / gates)
}

describe.each(noiseModels)('one cell, noise "%s"', (model) => {
  test('nothing changed: at most 1 % fail, at most 1 % stay undecided', () => {
    const gates = 1500
    const { fail, inconclusive, meanPairs } = simulateCells(seed, model, 0, gates)
    expect(fail).toBeLessThanOrEqual(atMost(0.01, gates))
    expect(inconclusive).toBeLessThanOrEqual(atMost(0.01, gates))
    expect(meanPairs).toBeLessThan(19)
  })

  test('5 % slower is found in 95 of 100 cases, with 27 pairs on average', () => {
    const gates = 500
    const { fail, meanPairs } = simulateCells(seed, model, 0.05, gates)
    expect(fail).toBeGreaterThanOrEqual(atLeast(0.95, gates))
    expect(meanPairs).toBeLessThan(27.5)
  })

  test('10 % slower is found always', () => {
    const gates = 200
    expect(simulateCells(seed, model, 0.1, gates).fail).toBeGreaterThanOrEqual(atLeast(0.99, gates))
  })

  test('10 % faster never fails', () => {
    expect(simulateCells(seed, model, -0.1, 200).fail).toBe(0)
  })
})

test('the greater the slowdown, the more often it is found', () => {
  const shares = [0, 0.01, 0.02, 0.03, 0.05].map(
    (slowdown) => simulateCells(seed, 'drift', slowdown, 300).fail,
  )
  expect(shares).toEqual([...shares].sort((a, b) => a - b))
  expect(shares.at(-1)).toBeGreaterThan(0.9)
})

describe('suites of 30 cells', () => {
  test.each<NoiseModel>(['drift', 'bimodal'])('noise "%s": unchanged suites do not fail', (model) => {
    const suites = 40
    const { falseFail } = simulateSuites(seed, model, 30, 0, suites)
    expect(falseFail).toBeLessThanOrEqual(atMost(0.011, suites))
  })

  test('one cell 5 % slower is found, for less than half of the pairs that 50 for each would take', () => {
    const suites = 60
    const { found, meanPairs } = simulateSuites(seed, 'drift', 30, 0.05, suites)
    expect(found).toBeGreaterThanOrEqual(atLeast(0.95, suites))
    expect(meanPairs).toBeLessThan(750)
  })
})
