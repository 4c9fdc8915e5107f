/**
 * One pair to the few numbers that are tested: log ratios of candidate to baseline, 0.05 meaning about 5 % slower. A
 * pair is one independent observation, whatever happened inside it.
 */

import type { PairLine } from '../../results/gate-schema.ts'
import { median, quantile } from '../stats/quantiles.ts'

/** What may decide. Which does, the pilot says. */
export const metrics = ['wall', 'floor', 'cpu'] as const
export type Metric = (typeof metrics)[number]

export interface PairValues {
  /** Median over rounds of the log ratio: single stalls do not reach it. */
  readonly wall: number
  /** Of the first quartiles of the batches: what the machine does to a batch makes it longer, never shorter. */
  readonly floor: number
  /**
   * Median over rounds of the log ratio of CPU time; over all batches together where the system counts too coarsely for
   * single rounds. Undefined where it did not count any.
   */
  readonly cpu: number | undefined
  /** Of the sums: sees every stall, as a user would. */
  readonly mean: number
  readonly p99: number | undefined
  readonly memory: number
}

export function pairValues(pair: PairLine): PairValues {
  const { rounds, baseline, candidate } = pair
  const before = rounds.flatMap(({ baselineNs }) => baselineNs)
  const after = rounds.flatMap(({ candidateNs }) => candidateNs)
  return {
    wall: median(rounds.map(({ baselineNs: [a, b], candidateNs: [c, d] }) => Math.log((c + d) / (a + b)))),
    floor: Math.log(quantile(after, 0.25) / quantile(before, 0.25)),
    cpu: cpuOfRounds(rounds) ?? logRatio(candidate.cpuNs, baseline.cpuNs),
    mean: Math.log(sum(after) / sum(before)),
    p99: logRatio(candidate.p99Ns, baseline.p99Ns),
    memory: Math.log(candidate.residentBytesMax / baseline.residentBytesMax),
  }
}

/** Undefined where the system counts in steps so coarse that the median would be one of a few values. */
function cpuOfRounds(rounds: PairLine['rounds']): number | undefined {
  const times = rounds.flatMap(({ baselineCpuNs = 0, candidateCpuNs = 0 }) => [baselineCpuNs, candidateCpuNs])
  if (times.includes(0) || new Set(times).size < times.length / 2) return undefined
  return median(rounds.map(({ baselineCpuNs, candidateCpuNs }) => Math.log(candidateCpuNs! / baselineCpuNs!)))
}

function logRatio(after: number | undefined, before: number | undefined): number | undefined {
  return after !== undefined && before !== undefined && after > 0 && before > 0
    ? Math.log(after / before)
    : undefined
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
