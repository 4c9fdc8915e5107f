/**
 * Does the 95 % interval cover the truth 95 % of the time? Forks are simulated under four models of what makes them
 * differ; the truth is the median over very many. Each fork is the mean of 20 batches that resemble their neighbours.
 */

import { expect, test } from 'vitest'
import { judge } from '../../../src/analysis/ratio.ts'
import { medianInterval } from '../../../src/analysis/stats/median-interval.ts'
import { mean, median } from '../../../src/analysis/stats/quantiles.ts'
import { Random } from '../../../src/core/random.ts'

const seed = 'coverage-1'
const replicas = 1500

type ForkModel = (random: Random) => number

function student3(random: Random): number {
  const chi = random.normal() ** 2 + random.normal() ** 2 + random.normal() ** 2
  return random.normal() / Math.sqrt(chi / 3)
}

const models: Readonly<Record<string, { effect: ForkModel; spikes: boolean }>> = {
  'log-normal': { effect: (random) => 0.03 * random.normal(), spikes: false },
  'one fork in ten slow': {
    effect: (random) => 0.03 * random.normal() + (random.float() < 0.1 ? Math.log(1.15) : 0),
    spikes: false,
  },
  'two modes': {
    effect: (random) => (random.float() < 0.5 ? -0.05 : 0.05) + 0.01 * random.normal(),
    spikes: false,
  },
  'heavy tails': { effect: (random) => (0.03 * student3(random)) / Math.sqrt(3), spikes: true },
}

/** Mean time of its batches. */
function simulateFork(random: Random, model: { effect: ForkModel; spikes: boolean }): number {
  return mean(simulateBatches(random, model))
}

/** Times of 20 batches: autoregressive noise of 3 %, and in one model rare long stalls. */
function simulateBatches(random: Random, model: { effect: ForkModel; spikes: boolean }): number[] {
  const effect = model.effect(random)
  let noise = 0.03 * random.normal()
  return Array.from({ length: 20 }, () => {
    noise = 0.5 * noise + 0.03 * Math.sqrt(1 - 0.25) * random.normal()
    const spike = model.spikes && random.float() < 0.03 ? (1 - random.float()) ** (-1 / 2.5) : 1
    return Math.exp(effect + noise) * spike
  })
}

for (const [name, model] of Object.entries(models)) {
  test(`the interval covers the true median at least 95 % of the time: ${name} (seed ${seed})`, () => {
    const root = new Random(seed).split(name)
    const population = root.split('truth')
    const truth = median(Array.from({ length: 40_000 }, () => simulateFork(population, model)))
    for (const n of [6, 9, 12, 20]) {
      const random = root.split('n', n)
      let covered = 0
      for (let replica = 0; replica < replicas; replica++) {
        const { low, high } = medianInterval(Array.from({ length: n }, () => simulateFork(random, model)))!
        if (low <= truth && truth <= high) covered++
      }
      const standardError = Math.sqrt((0.95 * 0.05) / replicas)
      expect(covered / replicas, `n = ${n}, seed ${seed}`).toBeGreaterThanOrEqual(0.95 - 3 * standardError)
    }
  })
}

test(`batches taken for independent values make intervals that mostly miss (seed ${seed})`, () => {
  for (const [name, model] of Object.entries(models)) {
    const root = new Random(seed).split('pooled', name)
    const population = root.split('truth')
    const truth = mean(Array.from({ length: 40_000 }, () => simulateFork(population, model)))
    const random = root.split('runs')
    let covered = 0
    for (let replica = 0; replica < replicas; replica++) {
      const pooled = Array.from({ length: 10 }, () => simulateBatches(random, model)).flat()
      const center = mean(pooled)
      const variance = pooled.reduce((sum, value) => sum + (value - center) ** 2, 0) / (pooled.length - 1)
      if (Math.abs(center - truth) <= 1.96 * Math.sqrt(variance / pooled.length)) covered++
    }
    expect(covered / replicas, `${name}, seed ${seed}`).toBeLessThan(0.8)
  }
})

test(`a difference of the size called detectable is seen about 8 of 10 times (seed ${seed})`, () => {
  const random = new Random(seed).split('detectable')
  for (const n of [6, 12, 20]) {
    const draw = (center: number) =>
      Array.from({ length: n }, () => Math.exp(center + 0.05 * random.normal()))
    const detectable = median(Array.from({ length: 400 }, () => judge(draw(0)).detectable!))
    let seen = 0
    for (let replica = 0; replica < 1000; replica++) {
      if (judge(draw(Math.log1p(detectable))).verdict === 'slower') seen++
    }
    expect(seen / 1000, `n = ${n}, seed ${seed}`).toBeGreaterThan(0.7)
  }
})

test(`equal contenders are called different at most one time in twenty (seed ${seed})`, () => {
  const random = new Random(seed).split('false alarms')
  for (const n of [6, 12, 20]) {
    let alarms = 0
    for (let replica = 0; replica < replicas; replica++) {
      const { verdict } = judge(Array.from({ length: n }, () => Math.exp(0.05 * random.normal())))
      if (verdict === 'faster' || verdict === 'slower') alarms++
    }
    const standardError = Math.sqrt((0.05 * 0.95) / replicas)
    expect(alarms / replicas, `n = ${n}, seed ${seed}`).toBeLessThanOrEqual(0.05 + 3 * standardError)
  }
})
