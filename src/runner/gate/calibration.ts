/** How long the batches of a cell are, found on throw-away forks of both sides; and whether they are work at all. */

import { ShootoutError } from '../../core/errors.ts'
import { formatDuration } from '../../core/units.ts'
import { emptyOperationNs } from './empty-loop.ts'
import type { SideFork } from './side.ts'

/** Operations and laps of every batch of a cell, equal on both sides. */
export interface GateOrder {
  readonly operations: number
  readonly operationsPerLap: number
  /** Operations before each batch that do not count. */
  readonly primer: number
  readonly warmups: number
}

/** How long a batch of the slower side shall last: short, so that whatever slows the machine down hits both sides. */
const batchNs = 5e6
/**
 * While a fork slept, others had the processor's caches. Filling them again is no part of an operation: it made batches
 * up to 10 % longer, whatever their length, so that a slowdown looked smaller than it is. So much work comes before.
 */
const primerNs = 1.25e6
/** Where each operation waits for the disk, a batch should hold several. */
export const fewestOperations = 5
/** From here on batches are a multiple of this, so that the selftest can add whole operations: 5 % of 20 is one. */
export const operationsStep = 20
/** All warm-up batches of a fork together: most code is compiled by then, and what is not, is equally old on both sides. */
const warmupNs = 200e6
/**
 * V8 compiles what was called often, however long that took. Where operations wait for the disk, 200 ms were 660 of
 * them: in the rounds that followed, operations went from 270 to 220 µs, and those of forks with twice as many took 200.
 */
const warmupOperations = 1500
const slowWarmupNs = 600e6
const warmupsMax = 100
/** Batches of each length while probing, and how much longer the next may be. */
const probesPerLength = 4
const growthMax = 8
/** While probing it is not known yet how short an operation is, so the clock is read this often at most. */
const lapsOfProbe = 50
const operationsMax = 10_000_000
/**
 * An operation that takes less than so many that do nothing is none itself: those of a scenario that waits for a timer
 * and then does nothing take two to six. Reading a field of an object that is there takes eight to twenty; what takes
 * as much as the second number is work without another look.
 */
const emptyOperations = 7
const clearOperations = 10
let emptyNs = Number.POSITIVE_INFINITY
/** How often twice the operations are compared with half of them, and the share of a batch that must follow. */
const worthRounds = 8
const worthMin = 0.2
/** On a busy machine no batch may be as quick as it can be; among so many times as many, some are. */
const worthAttempts = 3
/** Reading the clock costs some 50 ns: a lap of this length makes that at most 0.5 %. */
const lapNs = 10_000
/**
 * @param slowestNs of an operation, on the slower side
 * @param fastestNs the same on the faster one
 */
export function gateOrder(slowestNs: number, fastestNs: number, operationsMin = fewestOperations): GateOrder {
  const wanted = Math.min(operationsMax, Math.max(operationsMin, batchNs / slowestNs))
  const step = Math.max(operationsStep, operationsMin)
  const operations = wanted < step ? Math.ceil(wanted) : Math.ceil(wanted / step) * step
  const warmNs = Math.max(warmupNs, Math.min(warmupOperations * slowestNs, slowWarmupNs))
  return {
    operations,
    operationsPerLap: Math.max(1, Math.ceil(lapNs / fastestNs)),
    primer: Math.min(operations, Math.floor(primerNs / slowestNs)),
    warmups: Math.min(warmupsMax, Math.max(2, Math.round(warmNs / (operations * slowestNs)))),
  }
}

/**
 * What one operation costs, ns: the quickest of a few batches of the wanted length. Whatever else the machine does makes
 * a batch longer, never shorter; and cost taken for more than it is would leave batches short and forks cold. For the
 * same reason it goes on until the code has had time to be compiled.
 */
export async function probe(fork: SideFork): Promise<number> {
  let spentNs = 0
  for (let operations = 1; ; ) {
    const times: number[] = []
    for (let batch = 0; batch < probesPerLength; batch++) {
      times.push(await fork.warmUp(operations, Math.ceil(operations / lapsOfProbe)))
    }
    spentNs += times.reduce((sum, ns) => sum + ns, 0)
    const costNs = Math.max(1, Math.min(...times) / operations)
    const wanted = Math.min(operationsMax, Math.max(1, batchNs / costNs))
    if (wanted > 1.25 * operations) operations = Math.ceil(Math.min(wanted, growthMax * operations))
    else if (spentNs >= warmupNs) return costNs
  }
}

/** @throws SideFailure `no-work` */
export async function mustWork(fork: SideFork, order: GateOrder): Promise<void> {
  const half = { ...order, operations: Math.ceil(order.operations / 2) }
  let [onceNs, twiceNs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let attempt = 1; ; attempt++) {
    const { quickest } = await worthOf(fork, half, worthRounds)
    onceNs = Math.min(onceNs, quickest[1])
    twiceNs = Math.min(twiceNs, quickest[2])
    if (attempt > 1 || emptyNs === Number.POSITIVE_INFINITY)
      emptyNs = Math.min(emptyNs, await emptyOperationNs())
    const least = twiceNs / onceNs - 1
    const operationNs = (twiceNs - onceNs) / half.operations
    const isLast = attempt === worthAttempts
    const operationMin = (isLast ? emptyOperations : clearOperations) * emptyNs
    if (operationNs >= operationMin && least >= worthMin) return
    if (isLast) throw fork.failure(noWork(least, operationNs))
  }
}

const noWork = (least: number, operationNs: number) =>
  new ShootoutError(
    'no-work',
    `twice the operations take ${(1 + least).toFixed(2)} times the time, and one more ${formatDuration(Math.max(0, operationNs))}: ` +
      'what is timed is no work, so there is nothing to compare; choose another scenario, or more objects',
  )

/**
 * How much more time twice the operations take: 1 if it is twice the time. Longer and shorter batches take turns, so that
 * a drift of the machine hits both.
 * @returns `typical`: the median over rounds; `quickest`: the quickest batches of each length, ns, which no other
 * process made longer
 */
export async function worthOf(fork: SideFork, order: GateOrder, rounds: number) {
  const { operations, operationsPerLap, primer } = order
  const timed = async (times: number) => {
    if (primer > 0) await fork.warmUp(primer, operationsPerLap)
    return fork.warmUp(times * operations, operationsPerLap)
  }
  const ratios: number[] = []
  const quickest = { 1: Number.POSITIVE_INFINITY, 2: Number.POSITIVE_INFINITY }
  for (let round = 0; round < rounds; round++) {
    const totals = { 1: 0, 2: 0 }
    for (const times of round % 2 === 0 ? ([1, 2, 2, 1] as const) : ([2, 1, 1, 2] as const)) {
      const durationNs = await timed(times)
      totals[times] += durationNs
      quickest[times] = Math.min(quickest[times], durationNs)
    }
    ratios.push(totals[2] / totals[1])
  }
  const typical = ratios.sort((a, b) => a - b)[Math.floor(rounds / 2)]! - 1
  return { typical, quickest }
}
