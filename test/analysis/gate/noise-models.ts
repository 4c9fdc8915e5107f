/**
 * The noise that the gate has to live with, as five models of log times. Two forks follow each other in random order
 * and share a slow drift of the machine; each has its own luck; within a fork, batches are correlated.
 */

import type { PairValues } from '../../../src/analysis/gate/pair-values.ts'
import { median } from '../../../src/analysis/stats/quantiles.ts'
import { Random } from '../../../src/core/random.ts'

export const noiseModels = ['quiet', 'drift', 'spikes', 'bimodal', 'heavy'] as const
export type NoiseModel = (typeof noiseModels)[number]

/** Drift of the session: autoregressive, with this memory and this standard deviation. */
const sessions: Readonly<Record<NoiseModel, { readonly memory: number; readonly deviation: number }>> = {
  quiet: { memory: 0.9, deviation: 0.01 },
  drift: { memory: 0.97, deviation: 0.05 },
  spikes: { memory: 0.97, deviation: 0.05 },
  bimodal: { memory: 0.97, deviation: 0.03 },
  heavy: { memory: 0.97, deviation: 0.03 },
}

const batches = 20
const batchMemory = 0.5
const batchDeviation = 0.03

/** Makes pairs of one simulated cell. */
export class NoisyCell {
  readonly #random: Random
  readonly #model: NoiseModel
  readonly #slowdown: number
  #drift: number

  /** @param slowdown true log ratio of candidate to baseline */
  constructor(seed: string, model: NoiseModel, slowdown: number) {
    this.#random = new Random(seed)
    this.#model = model
    this.#slowdown = slowdown
    this.#drift = sessions[model].deviation * this.#random.normal()
  }

  /** @param slowdown 0 for a pair of the baseline with itself */
  pair(slowdown = this.#slowdown): PairValues {
    const baselineIsFirst = this.#random.integer(2) === 0
    const first = this.#fork()
    const second = this.#fork()
    const value = slowdown + (baselineIsFirst ? second - first : first - second)
    return { wall: value, floor: value, cpu: undefined, mean: value, p99: undefined, memory: 0 }
  }

  pairs(count: number, slowdown = this.#slowdown): PairValues[] {
    return Array.from({ length: count }, () => this.pair(slowdown))
  }

  /** Log of the median batch of one fork. */
  #fork(): number {
    const { memory, deviation } = sessions[this.#model]
    const random = this.#random
    this.#drift = memory * this.#drift + deviation * Math.sqrt(1 - memory ** 2) * random.normal()
    const level = this.#drift + this.#luck()
    let correlated = batchDeviation * random.normal()
    const logs = Array.from({ length: batches }, () => {
      correlated =
        batchMemory * correlated + batchDeviation * Math.sqrt(1 - batchMemory ** 2) * random.normal()
      return correlated
    })
    return level + median(logs)
  }

  #luck(): number {
    const random = this.#random
    const normal = () => random.normal()
    switch (this.#model) {
      case 'quiet':
        return 0.01 * normal()
      case 'drift':
        return 0.02 * normal()
      case 'spikes': {
        const stall = random.float() < 0.1 ? -0.15 * Math.log(1 - random.float()) : 0
        return 0.02 * normal() + stall
      }
      case 'bimodal':
        return (random.integer(2) === 0 ? -0.04 : 0.04) + 0.01 * normal()
      case 'heavy': {
        const chiSquare = normal() ** 2 + normal() ** 2 + normal() ** 2
        return (0.03 * normal()) / Math.sqrt(chiSquare / 3) / Math.sqrt(3)
      }
    }
  }
}
