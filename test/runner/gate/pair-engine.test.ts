/** The order of a pair, on workers whose batches take as long as they are told. */

import { describe, expect, test } from 'vitest'
import { pairValues } from '../../../src/analysis/gate/pair-values.ts'
import { ShootoutError } from '../../../src/core/errors.ts'
import type { Assignment, Step } from '../../../src/runner/assignment.ts'
import type { StepResult, Workforce } from '../../../src/runner/concurrency/concurrency.ts'
import type { RunningContender } from '../../../src/runner/coordinator.ts'
import { gateOrder } from '../../../src/runner/gate/calibration.ts'
import { PairEngine } from '../../../src/runner/gate/pair-engine.ts'
import { type Burden, ForkFactory, type GateTask, SideFailure } from '../../../src/runner/gate/side.ts'
import { defineScenario } from '../../../src/scenarios/scenario.ts'
import memory from '../../../src/storages/memory.ts'
import { zeroCounters } from '../../../src/storages/storage.ts'

const scenario = defineScenario({
  name: 'sample',
  summary: '',
  description: '',
  title: () => 'sample',
  requires: {},
  prepare: () => undefined,
  run: () => {},
})

const task: GateTask = {
  setting: { scenario: 'sample', title: 'sample', objects: 1, concurrency: { kind: 'async', workers: 1 } },
  scenarioUrl: 'sample:',
  scenario,
}

interface World {
  /** Who measured, in order: the side's URL and the store. */
  readonly log: string[]
  /** Stores that are made and not yet removed. */
  readonly stores: Set<string>
  readonly seeds: Set<string>
  fault?: { readonly url: string; readonly step: string }
  /** No store can be removed. */
  isStuck?: boolean
}

/** Time of a batch by the number of its operations, ns. */
const costs: Record<string, (operations: number) => number> = {
  'fast:': (operations) => operations * 100_000,
  'slow:': (operations) => operations * 105_000,
  'fixed:': () => 2_000_000,
  'idle:': (operations) => operations * 1.5,
  'ceremonious:': (operations) => 1_000_000 + operations * 100_000,
}

class VirtualWorkers implements Workforce {
  readonly #assignment: Assignment
  readonly #world: World
  #operations = 0

  constructor(assignment: Assignment, world: World) {
    this.#assignment = assignment
    this.#world = world
    world.seeds.add(assignment.seed)
  }

  async start(): Promise<void> {}

  async step(step: Step): Promise<readonly StepResult[]> {
    const { storageUrl: url, storageOptions } = this.#assignment
    if (this.#world.fault?.url === url && this.#world.fault.step === step.name)
      throw new ShootoutError('broken', 'as ordered')
    if (step.name === 'measure' || step.name === 'warmup') {
      if (step.name === 'measure') {
        this.#world.log.push(`${url}${String(storageOptions['store'])}`)
        this.#operations += step.operations
      }
      const durationNs = costs[url]!(step.operations)
      return [{ batch: { seats: [{ seat: 0, durationNs, windowOperations: 1 }], windowNs: 1, skewNs: 0 } }]
    }
    if (step.name !== 'report') return [{}]
    const usage = { userNs: this.#operations * 10, systemNs: 0, residentBytesMax: 1000 }
    return [
      {
        report: {
          counters: { ...zeroCounters(), syncs: this.#operations },
          hasStorageCache: false,
          transfers: { loads: 0, stores: 0 },
          tallies: {},
          gcNs: 0,
          loopDelayNsMax: 0,
          process: usage,
          latencies: [],
        },
      },
    ]
  }

  async stop(): Promise<void> {}
}

interface More {
  readonly seed?: string
  readonly burden?: Burden
  readonly baseline?: string
}

function engineOf(candidate: string, more: More = {}) {
  const world: World = { log: [], stores: new Set(), seeds: new Set() }
  const contender = (url: string): RunningContender => {
    let made = 0
    return {
      label: url,
      url,
      capabilities: memory.capabilities({ history: false }),
      newStore: async (name) => {
        world.stores.add(`${url}${name}`)
        return {
          options: { store: made++ % 2 },
          dispose: async () => {
            if (world.isStuck) throw new Error('no server to remove it from')
            world.stores.delete(`${url}${name}`)
          },
        } as unknown as Awaited<ReturnType<RunningContender['newStore']>>
      },
    }
  }
  const seed = more.seed ?? 'seed'
  const factory = new ForkFactory({
    seed,
    dataset: { recordBytes: 300, compressibility: 0, hash: '' },
    contenders: { baseline: contender(more.baseline ?? 'fast:'), candidate: contender(candidate) },
    stepLimitNs: 1e9,
    storePrefix: 'e',
    folder: '/nowhere',
    employ: (assignment) => new VirtualWorkers(assignment, world),
    ...(more.burden === undefined ? {} : { burden: more.burden }),
  })
  return { world, factory, engine: new PairEngine(factory, seed, 40) }
}

const order = { operations: 20, operationsPerLap: 1, primer: 0, warmups: 2 }

describe('a pair', () => {
  test('runs each round as first, second, second, first, on stores that change places', async () => {
    const { world, engine } = engineOf('slow:')
    const line = await engine.measurePair(task, order, 'confirm', 0)
    // One round before those that count.
    expect(world.log).toHaveLength(4 + 160)
    for (const [round, { first, store }] of line.rounds.entries()) {
      const [a, b] = first === 'baseline' ? ['fast:', 'slow:'] : ['slow:', 'fast:']
      const other = 1 - store
      expect(world.log.slice(4 * round + 4, 4 * round + 8)).toEqual([
        `${a}${store}`,
        `${b}${other}`,
        `${b}${store}`,
        `${a}${other}`,
      ])
      if (round > 0) expect(store).not.toBe(line.rounds[round - 1]!.store)
    }
    expect(new Set(line.rounds.map(({ first }) => first)).size).toBe(2)
  })

  test('finds a slowdown of exactly what it is', async () => {
    const { engine } = engineOf('slow:')
    const values = pairValues(await engine.measurePair(task, order, 'confirm', 0))
    expect(values.wall).toBeCloseTo(Math.log(1.05), 12)
    expect(values.mean).toBeCloseTo(Math.log(1.05), 12)
    expect(values.cpu).toBe(0)
  })

  test('is the same for the same seed, and another for another pair', async () => {
    const firsts = async (seed: string, pair: number) =>
      (await engineOf('slow:', { seed }).engine.measurePair(task, order, 'screen', pair)).rounds.map(
        ({ first }) => first,
      )
    expect(await firsts('a', 0)).toEqual(await firsts('a', 0))
    expect(await firsts('a', 0)).not.toEqual(await firsts('a', 1))
    expect(await firsts('a', 0)).not.toEqual(await firsts('b', 0))
  })

  test('gives both sides the same data', async () => {
    const { world, engine } = engineOf('slow:')
    await engine.measurePair(task, order, 'screen', 0)
    expect(world.seeds.size).toBe(1)
  })

  test('of the pilot is the baseline twice', async () => {
    const { world, engine } = engineOf('slow:')
    const line = await engine.measurePair(task, order, 'pilot', 0)
    expect(new Set(world.log)).toEqual(new Set(['fast:0', 'fast:1']))
    expect(pairValues(line).wall).toBe(0)
  })

  test('leaves no store behind, also when a side fails, and says which', async () => {
    const { world, engine } = engineOf('slow:')
    await engine.measurePair(task, order, 'screen', 0)
    world.fault = { url: 'slow:', step: 'verify' }
    const error = await engine.measurePair(task, order, 'screen', 1).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(SideFailure)
    expect((error as SideFailure).journalLine).toMatchObject({
      side: 'candidate',
      step: 'verify',
      error: { code: 'broken' },
    })
    expect(world.stores).toEqual(new Set())
  })
})

test('work is counted over the same operations twice on each side', async () => {
  const { engine } = engineOf('slow:')
  const { operations, baseline, candidate } = await engine.countWork(task)
  expect([baseline, candidate].map((counts) => counts.map(({ syncs }) => syncs))).toEqual([
    [operations, operations],
    [operations, operations],
  ])
})

test('a burden is real work that the times are not told of', async () => {
  const { engine } = engineOf('fast:', { burden: { operations: 0.05, recordBytes: 0 } })
  const values = pairValues(await engine.measurePair(task, order, 'confirm', 0))
  expect(values.wall).toBeCloseTo(Math.log(1.05), 12)
  expect(values.cpu).toBeCloseTo(Math.log(1.05), 12)
})

test('calibration finds the cost, and both sides get one number of operations', async () => {
  const { engine } = engineOf('slow:')
  const { operations } = await engine.calibrate(task)
  // 5 ms of the slower side, in steps of 20.
  expect(operations).toBe(60)
})

test.each(['fixed:', 'idle:'])(
  'a candidate that is %s does no work, and is not measured',
  async (candidate) => {
    const { engine, world } = engineOf(candidate)
    const error = await engine.calibrate(task).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(SideFailure)
    expect((error as SideFailure).journalLine).toMatchObject({
      side: 'candidate',
      error: { code: 'no-work' },
    })
    expect(world.stores).toEqual(new Set())
  },
)

test('what looked like no work once, on a busy machine, is looked at again', async () => {
  // In the first look, others make every half batch as long as a whole one.
  let left = 16
  costs['disturbed:'] = (operations) => (operations === 30 && left-- > 0 ? 60 : operations) * 100_000
  const { engine } = engineOf('disturbed:')
  expect((await engine.calibrate(task)).operations).toBe(60)
  expect(left).toBeLessThan(0)
})

test('whoever ends all forks hears of none that cannot be ended; whoever uses it does', async () => {
  const { world, factory } = engineOf('fast:')
  world.isStuck = true
  let ended: Promise<void> | undefined
  const used = factory.withForks([factory.make('baseline', task, 'stuck', 1)], async () => {
    ended = factory.stopAll()
  })
  await expect(used).rejects.toThrow('no server to remove it from')
  await expect(ended).resolves.toBeUndefined()
})

test('a batch that costs something to begin is work all the same, and more operations are worth less', async () => {
  const { engine } = engineOf('fast:')
  expect(await engine.worth(task, order)).toBeCloseTo(1, 9)
  const { engine: other } = engineOf('fast:', { baseline: 'ceremonious:' })
  // 1 ms and 20 of 0.1 ms: twice the operations take 5 ms instead of 3.
  expect(await other.worth(task, order)).toBeCloseTo(2 / 3, 9)
  await expect(other.calibrate(task)).resolves.toMatchObject({ operations: expect.any(Number) })
})

test('batches have whole operations, never none, and a lap that hides the clock', () => {
  expect(gateOrder(1e9, 1e9)).toEqual({ operations: 5, operationsPerLap: 1, primer: 0, warmups: 2 })
  // 2 % more of them is a whole one.
  expect(gateOrder(1e9, 1e9, 50)).toMatchObject({ operations: 50 })
  expect(gateOrder(1e5, 1e5, 50)).toMatchObject({ operations: 50 })
  expect(gateOrder(4e4, 4e4, 50)).toMatchObject({ operations: 150 })
  // Compiled by calls: some 1500 where an operation waits for the disk.
  const slow = gateOrder(3e5, 3e5)
  expect(slow.operations * slow.warmups).toBeGreaterThan(1450)
  expect(gateOrder(1e9, 1e9, 20)).toMatchObject({ operations: 20 })
  expect(gateOrder(100, 50)).toMatchObject({ operations: 50_000, operationsPerLap: 200 })
})
