/**
 * Measures one pair: four forks alive at once, two per side, each on a fresh store of its own, taking turns.
 *
 * One round is four batches, A on one store, B, B, A on the other store; who is A is drawn anew in each round, and the
 * stores change places. Slow drift cancels inside a round; luck in where a store lies on the disk, and in how a process
 * was compiled and placed in memory, is averaged over two forks per side and then over pairs. Warming up is not
 * measured, so it happens at once in all forks.
 *
 * The two sides never open the same store: the caches of one would hear of the commits of the other.
 */

import { Histogram } from '../../core/histogram.ts'
import { Random } from '../../core/random.ts'
import { settled } from '../../core/settled.ts'
import type {
  CountersLine,
  ExplanationLine,
  FunctionTime,
  PairLine,
  RoundRecord,
  Side,
  SideRecord,
  Stage,
  WatchedSide,
} from '../../results/gate-schema.ts'
import type { BatchRecord, CompletedFork } from '../../results/schema.ts'
import { fewestOperations, type GateOrder, gateOrder, mustWork, probe, worthOf } from './calibration.ts'
import { selfTimes } from './cpu-profile.ts'
import type { ForkFactory, GateTask, SideFork } from './side.ts'

/**
 * Rounds per pair. Starting a pair takes about as long as this many rounds, and most of the noise of a pair is that of
 * its batches, so fewer would need more pairs and more time.
 */
export const defaultRounds = 30

/**
 * Rounds before the first that counts. What a fork does for the first time when it measures (code that is compiled anew,
 * garbage of warming up) makes that batch half as long again.
 */
const roundsToSettle = 1
/**
 * Operations per worker and batch while work is counted: a multiple of the step, as many as take about so long, and
 * no more than a pass over any scenario's data needs. Fewer would read the same few objects again and again, and a cache
 * too small for all of them would not show.
 */
const countedStep = 25
const countedNs = 500e6
const countedMax = 2500
const countedBatches = 2
const watchedPairs = 2
/** A batch lasts 5 ms; with V8's own 1 ms it would have five samples. */
const profileIntervalUs = 200
/** Functions that are written into the journal. */
const functionsKept = 100
/** Fewer operations have no 99th percentile. */
const operationsForP99 = 1000

export class PairEngine {
  readonly #factory: ForkFactory
  readonly #seed: string
  readonly #rounds: number
  readonly #operationsMin: number

  /** @param operationsMin in each batch, however long they take */
  constructor(factory: ForkFactory, seed: string, rounds: number, operationsMin = fewestOperations) {
    this.#factory = factory
    this.#seed = seed
    this.#rounds = rounds
    this.#operationsMin = operationsMin
  }

  /** Counts the work of a fixed number of operations, twice per side. Takes a second or two. @throws SideFailure */
  countWork(task: GateTask): Promise<CountersLine> {
    const sides: readonly Side[] = ['baseline', 'baseline', 'candidate', 'candidate']
    return this.#factory.withForks(
      sides.map((side) => this.#factory.make(side, task, 'count', countedBatches)),
      async (forks) => {
        const costs = await settled(forks.map((fork) => fork.warmUp(countedStep, countedStep)))
        const operations = countedOperations(Math.max(...costs) / countedStep)
        const counted = await settled(
          forks.map(async (fork) => {
            await fork.warmUp(operations, operations)
            for (let batch = 0; batch < countedBatches; batch++) await fork.measure(operations, operations, 0)
            // A cache that misses where it must not is a change of work, to be told with its numbers.
            return (await fork.complete(false)).counters
          }),
        )
        return {
          type: 'counters',
          ...cellId(task),
          operations: operations * countedBatches * task.setting.concurrency.workers,
          baseline: counted.slice(0, 2),
          candidate: counted.slice(2),
        }
      },
    )
  }

  /** How many operations make a batch, found on both sides. @throws SideFailure */
  calibrate(task: GateTask): Promise<GateOrder> {
    const sides: readonly Side[] = ['baseline', 'candidate']
    return this.#factory.withForks(
      sides.map((side) => this.#factory.make(side, task, 'calibrate', 1)),
      async (forks) => {
        const costs: number[] = []
        for (const fork of forks) costs.push(await probe(fork))
        const order = gateOrder(Math.max(...costs), Math.min(...costs), this.#operationsMin)
        for (const fork of forks) await mustWork(fork, order)
        return order
      },
    )
  }

  /**
   * How much more time a batch of the baseline takes for twice the operations: 1 where all of its time is that of
   * operations, less where beginning a batch costs something. What a burden of more operations is really worth.
   * @throws SideFailure
   */
  worth(task: GateTask, order: GateOrder): Promise<number> {
    return this.#factory.withForks([this.#factory.make('baseline', task, 'worth', 1)], async ([fork]) => {
      await warmUp(fork!, order)
      return (await worthOf(fork!, order, this.#rounds)).typical
    })
  }

  /** One pair; in the pilot, both sides are the baseline. @throws SideFailure */
  async measurePair(task: GateTask, order: GateOrder, stage: Stage, pair: number): Promise<PairLine> {
    const second: Side = stage === 'pilot' ? 'baseline' : 'candidate'
    const { turns, completed } = await this.#runPair(task, order, stage, pair, second)
    return {
      type: 'pair',
      ...cellId(task),
      stage,
      pair,
      operations: order.operations,
      rounds: turns.map((turn, round) => ({
        ...turn,
        baselineNs: roundTimes(completed.baseline, round),
        candidateNs: roundTimes(completed.candidate, round),
        baselineCpuNs: roundCpu(completed.baseline, round),
        candidateCpuNs: roundCpu(completed.candidate, round),
      })),
      baseline: sideRecord(completed.baseline),
      candidate: sideRecord(completed.candidate),
    }
  }

  /**
   * Two pairs under the profiler.
   * @param folder where the profiles are written
   * @throws SideFailure
   */
  async watch(task: GateTask, order: GateOrder, folder: string): Promise<ExplanationLine> {
    const forks: Record<Side, CompletedFork[]> = { baseline: [], candidate: [] }
    for (let pair = 0; pair < watchedPairs; pair++) {
      const { completed } = await this.#runPair(task, order, 'explain', pair, 'candidate', folder)
      for (const side of ['baseline', 'candidate'] as const) forks[side].push(...completed[side])
    }
    const batches = 2 * watchedPairs * (roundsToSettle + this.#rounds) * task.setting.concurrency.workers
    return {
      type: 'explanation',
      ...cellId(task),
      pairs: watchedPairs,
      operations: batches * order.operations,
      profiledOperations: batches * (order.operations + order.primer),
      baseline: watchedSide(forks.baseline, selfTimes(folder, 'baseline')),
      candidate: watchedSide(forks.candidate, selfTimes(folder, 'candidate')),
    }
  }

  /** Both sides alive, warm, and taking turns for all rounds. */
  async #runPair(
    task: GateTask,
    order: GateOrder,
    stage: Stage | 'explain',
    pair: number,
    second: Side,
    profileFolder?: string,
  ) {
    const { scenario, objects, concurrency } = task.setting
    const random = new Random(this.#seed).split(
      stage,
      pair,
      scenario,
      objects,
      concurrency.kind,
      concurrency.workers,
    )
    // Stores and processes are made in this order, which is drawn so that neither side is always the older one.
    const sides: readonly Side[] =
      random.integer(2) === 0
        ? ['baseline', 'candidate', 'candidate', 'baseline']
        : ['candidate', 'baseline', 'baseline', 'candidate']
    const label = `${stage}/${pair}`
    const profileOf = (side: Side, index: number) =>
      profileFolder === undefined
        ? undefined
        : { folder: profileFolder, name: `${side}-${pair}-${index}`, intervalUs: profileIntervalUs }
    return this.#factory.withForks(
      sides.map((side, index) =>
        this.#factory.make(
          side === 'baseline' ? side : second,
          task,
          label,
          roundsToSettle + this.#rounds,
          profileOf(side, index),
        ),
      ),
      async (forks) => {
        const of = (side: Side) => forks.filter((_, index) => sides[index] === side) as [SideFork, SideFork]
        const forksOf = { baseline: of('baseline'), candidate: of('candidate') }
        await settled(forks.map((fork) => warmUp(fork, order)))
        const turns = await this.#takeTurns(forksOf, order, random)
        const completed = {
          baseline: await settled(forksOf.baseline.map((fork) => fork.complete())),
          candidate: await settled(forksOf.candidate.map((fork) => fork.complete())),
        }
        return { turns, completed }
      },
    )
  }

  async #takeTurns(
    forks: Readonly<Record<Side, readonly [SideFork, SideFork]>>,
    { operations, operationsPerLap, primer }: GateOrder,
    random: Random,
  ): Promise<readonly Pick<RoundRecord, 'first' | 'store'>[]> {
    const start = random.integer(2)
    const turns: Pick<RoundRecord, 'first' | 'store'>[] = []
    for (let round = -roundsToSettle; round < this.#rounds; round++) {
      const first: Side = random.integer(2) === 0 ? 'baseline' : 'candidate'
      const [a, b] = [forks[first], forks[first === 'baseline' ? 'candidate' : 'baseline']]
      const store = ((start + round + roundsToSettle) % 2) as 0 | 1
      const other = (1 - store) as 0 | 1
      const sequence = [a[store], b[other], b[store], a[other]]
      for (const [position, fork] of sequence.entries())
        await fork.measure(operations, operationsPerLap, position, primer)
      if (round >= 0) turns.push({ first, store })
    }
    return turns
  }
}

/** @param costNs of an operation, before its code is compiled */
function countedOperations(costNs: number): number {
  return countedStep * Math.max(1, Math.floor(Math.min(countedMax, countedNs / costNs) / countedStep))
}

async function warmUp(fork: SideFork, { operations, operationsPerLap, warmups }: GateOrder): Promise<void> {
  for (let batch = 0; batch < warmups; batch++) await fork.warmUp(operations, operationsPerLap)
}

function cellId({ setting: { scenario, objects, concurrency } }: GateTask) {
  return { scenario, objects, concurrency }
}

function roundTimes([one, other]: readonly CompletedFork[], round: number): readonly [number, number] {
  return [batchTime(batchOf(one!, round)), batchTime(batchOf(other!, round))]
}

function roundCpu(forks: readonly CompletedFork[], round: number): number {
  return forks.reduce((sum, fork) => sum + (batchOf(fork, round).cpuNs ?? 0), 0)
}

function batchOf({ batches }: CompletedFork, round: number): BatchRecord {
  return batches[roundsToSettle + round]!
}

function batchTime({ workersNs }: BatchRecord): number {
  return Math.round(workersNs.reduce((sum, ns) => sum + ns, 0) / workersNs.length)
}

function sideRecord(forks: readonly CompletedFork[]): SideRecord {
  const sum = (value: (fork: CompletedFork) => number) =>
    forks.reduce((total, fork) => total + value(fork), 0)
  const latencies = new Histogram()
  for (const { buckets, maxNs } of forks.flatMap((fork) => fork.latencies ?? [])) {
    for (let index = 0; index < buckets.length; index += 2)
      latencies.add(buckets[index]!, buckets[index + 1]!)
    latencies.raiseMax(maxNs)
  }
  return {
    cpuNs: sum(({ cpuNs }) => cpuNs.user + cpuNs.system),
    residentBytesMax: Math.round(sum(({ residentBytesMax }) => residentBytesMax) / forks.length),
    ...(latencies.count >= operationsForP99 ? { p99Ns: Math.round(latencies.quantileNs(0.99)) } : {}),
  }
}

function watchedSide(forks: readonly CompletedFork[], functions: readonly FunctionTime[]): WatchedSide {
  const sum = (value: (fork: CompletedFork) => number) =>
    forks.reduce((total, fork) => total + value(fork), 0)
  const names = new Set(forks.flatMap(({ counters }) => Object.keys(counters)))
  return {
    timeNs: sum(({ batches }) =>
      batches.flatMap(({ workersNs }) => workersNs).reduce((all, ns) => all + ns, 0),
    ),
    cpuNs: { user: sum(({ cpuNs }) => cpuNs.user), system: sum(({ cpuNs }) => cpuNs.system) },
    gcNs: sum(({ gcNs }) => gcNs),
    loopDelayNsMax: Math.max(...forks.map(({ loopDelayNsMax }) => loopDelayNsMax)),
    counters: Object.fromEntries(
      [...names].map((name) => [name, sum(({ counters }) => counters[name] ?? 0)]),
    ),
    functions: functions.slice(0, functionsKept),
  }
}
