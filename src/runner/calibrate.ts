/**
 * How many operations make a batch long enough to be timed well. Found once per setting in throw-away forks of all its
 * contenders, then frozen: every contender performs the same operations in every fork.
 */

import type { BatchOrder } from './live-fork.ts'
import { truncationPoint } from './steady.ts'

/** How long things shall last for the slowest contender of a setting, ns. */
export interface Durations {
  /** One batch. */
  readonly batchNs: number
  /** All warm-up batches together. */
  readonly warmupNs: number
}

/** Where the fastest would be over before it can be timed well, the batch of the slowest may last this much longer. */
const stretchMax = 2
/** What a batch of the fastest contender should last. */
const fastestNs = 2e6
const warmupBatchesMin = 2
const warmupBatchesMax = 30
/** Reading the clock costs some 50 ns: for a lap of this length that is 0.25 %. */
const lapNs = 20_000
/** Growth from one probing batch to the next. */
const growthMax = 10
/** Two probes agree when neither costs this much more than the other. */
const agreement = 1.25
const longProbesMin = 3
const probesMax = 16
const operationsMax = 10_000_000

/** The operations of one probing batch and how long the slowest worker took. */
export interface Probe {
  readonly operations: number
  readonly durationNs: number
}

/**
 * The next probing batch after these, or undefined when they tell enough: at least three batches of the wanted length,
 * the last two of which agree. The first alone would not do; much of it is spent before the code is compiled.
 */
export function nextProbe(probes: readonly Probe[], { batchNs }: Durations): number | undefined {
  const last = probes.at(-1)
  if (last === undefined) return 1
  if (probes.length >= probesMax) return undefined
  if (last.durationNs < batchNs / 2) {
    if (last.operations >= operationsMax) return undefined
    const factor = Math.min(growthMax, Math.max(2, batchNs / Math.max(1, last.durationNs)))
    return Math.min(operationsMax, Math.ceil(last.operations * factor))
  }
  const long = probes.filter((probe) => probe.durationNs >= batchNs / 4)
  if (long.length >= longProbesMin) {
    const change = perOperation(last) / perOperation(long.at(-2)!)
    if (change > 1 / agreement && change < agreement) return undefined
  }
  return Math.min(operationsMax, Math.max(1, Math.round(batchNs / perOperation(last))))
}

/** What the probes say one operation costs, ns. */
export function perOperation(probe: Probe): number {
  return Math.max(1, probe.durationNs / probe.operations)
}

/** What all forks of a setting will do. */
export interface Calibration {
  readonly operations: number
  readonly warmups: number
  /** Per contender: how many operations share one reading of the clock. */
  readonly operationsPerLap: ReadonlyMap<string, number>
}

/**
 * @param perOperationNs per contender that could be probed, as one worker sees it; not empty
 * @param sharers workers that share one event loop, so that an operation lasts through the turns of all of them
 */
export function calibrate(
  perOperationNs: ReadonlyMap<string, number>,
  sharers: number,
  { batchNs, warmupNs }: Durations,
): Calibration {
  const costs = [...perOperationNs.values()]
  const slowest = Math.max(...costs)
  const fastest = Math.min(...costs)
  const wanted = Math.max(batchNs / slowest, Math.min(fastestNs / fastest, (stretchMax * batchNs) / slowest))
  const operations = Math.min(operationsMax, Math.max(1, Math.round(wanted)))
  return {
    operations,
    warmups: Math.min(
      warmupBatchesMax,
      Math.max(warmupBatchesMin, Math.floor(warmupNs / (operations * slowest))),
    ),
    operationsPerLap: new Map(
      [...perOperationNs].map(([label, costNs]) => [
        label,
        Math.max(1, Math.ceil((lapNs * sharers) / costNs)),
      ]),
    ),
  }
}

/** A pilot fork runs this many times the warm-ups that time would allow, so that it can be seen where they end. */
const pilotStretch = 3

/** Batches of a pilot fork. */
export function pilotBatches({ warmups }: Calibration): number {
  return pilotStretch * warmups
}

/**
 * Warm-ups of every fork, from what pilot forks showed: as many as the slowest to settle needed. The same for all
 * contenders, fixed before anything is measured.
 * @param pilotsNs per pilot fork, of any contender: what its batches took, in order
 */
export function warmupsAfter(
  calibration: Calibration,
  pilotsNs: readonly (readonly number[])[],
): Calibration {
  if (pilotsNs.length === 0) return calibration
  return { ...calibration, warmups: Math.max(warmupBatchesMin, ...pilotsNs.map(truncationPoint)) }
}

/** The order for one contender's batches. */
export function batchOrder(calibration: Calibration, label: string): BatchOrder {
  return {
    operations: calibration.operations,
    operationsPerLap: calibration.operationsPerLap.get(label) ?? 1,
  }
}
