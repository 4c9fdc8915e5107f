/**
 * The whole way of a slowdown of known size, from the timed section to the verdict: the real session, pairs, forks,
 * worker, stopwatch and scenario. Only the clock is virtual, and it goes on by what each load of the storage costs.
 */

import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defaultPolicy } from '../../../src/analysis/gate/policy.ts'
import { pastOf } from '../../../src/cli/gate-past.ts'
import { type GatePast, runSession } from '../../../src/cli/gate-session.ts'
import { siblingModule } from '../../../src/core/load-module.ts'
import { Random } from '../../../src/core/random.ts'
import type { GateHeader, GateLine } from '../../../src/results/gate-schema.ts'
import type { Assignment, FromIsolate, Step, ToIsolate } from '../../../src/runner/assignment.ts'
import type { StepResult, Workforce } from '../../../src/runner/concurrency/concurrency.ts'
import type { RunningContender } from '../../../src/runner/coordinator.ts'
import { PairEngine } from '../../../src/runner/gate/pair-engine.ts'
import { type Burden, ForkFactory, type GateTask } from '../../../src/runner/gate/side.ts'
import { work } from '../../../src/runner/worker.ts'
import coldRead from '../../../src/scenarios/cold-read.ts'
import { scenarioUrl } from '../../../src/scenarios/registry.ts'
import memory from '../../../src/storages/memory.ts'
import { VirtualClock } from '../virtual-clock.ts'
import type { TimedOptions } from './timed-storage.ts'

/** Workers in this process, on the virtual clock. */
class Insiders implements Workforce {
  readonly #assignment: Assignment
  readonly #clock: VirtualClock
  #tell: (message: ToIsolate) => void = () => {}
  #hear: (message: FromIsolate) => void = () => {}
  #ended: Promise<void> = Promise.resolve()
  #reported = false

  constructor(assignment: Assignment, clock: VirtualClock) {
    this.#assignment = assignment
    this.#clock = clock
  }

  async start(): Promise<void> {
    const ready = this.#next()
    const link = {
      send: (message: FromIsolate) => this.#hear(message),
      onMessage: (listener: (message: ToIsolate) => void) => {
        this.#tell = listener
      },
    }
    this.#ended = work(
      this.#assignment,
      { seats: [0], leadsProcess: true, shared: undefined },
      link,
      this.#clock,
    )
    await ready
  }

  async step(step: Step): Promise<readonly StepResult[]> {
    this.#reported = step.name === 'report'
    const done = this.#next()
    this.#tell({ type: 'step', step })
    return [(await done) as StepResult]
  }

  /** One that has not reported waits for a step for ever, and holds nothing but memory. */
  async stop(): Promise<void> {
    if (this.#reported) await this.#ended
  }

  #next(): Promise<FromIsolate> {
    return new Promise((resolve, reject) => {
      this.#hear = (message) => {
        if (message.type === 'failed') reject(new Error(message.error.message))
        else resolve(message)
      }
    })
  }
}

const loadNs = 250e3

const task: GateTask = {
  setting: { scenario: 'cold-read', title: '', objects: 1, concurrency: { kind: 'async', workers: 1 } },
  scenarioUrl: scenarioUrl('cold-read'),
  scenario: coldRead,
}

interface World {
  /** What a load of the candidate costs, where one of the baseline costs 1. */
  readonly cost?: number
  readonly burden?: Burden
  /**
   * How much slower the machine is at this moment than at its best.
   * @param run how many loads this fork has done since another one ran
   */
  readonly machine?: (nowNs: number, random: Random, run: number) => number
  /** What the processor ruler says of each block, where 1 is usual; nobody watches without it. */
  readonly rulers?: readonly number[]
  /** Where profiles go; without it nothing is explained. */
  readonly profileFolder?: string
  /** Gets the journal. */
  readonly lines?: GateLine[]
  readonly past?: GatePast
}

async function gate({ cost = 1, burden, machine = () => 1, rulers, profileFolder, lines, past }: World) {
  const readings = rulers?.values()
  const clock = new VirtualClock()
  const random = new Random('machine')
  let latest: object | undefined
  let run = 0
  const contender = (label: string, factor: number): RunningContender => ({
    label,
    url: siblingModule(import.meta.url, './timed-storage'),
    capabilities: memory.capabilities({ history: false }),
    newStore: async () => {
      const options: TimedOptions = {
        pass: () => {
          run = latest === options ? run + 1 : 0
          latest = options
          clock.advance(Math.round(loadNs * factor * machine(clock.nowNs, random, run)))
        },
      }
      return { options, dispose: () => {} } as unknown as Awaited<ReturnType<RunningContender['newStore']>>
    },
  })
  const factory = new ForkFactory({
    seed: 'seed',
    dataset: { recordBytes: 100, compressibility: 0, hash: '' },
    contenders: { baseline: contender('baseline', 1), candidate: contender('candidate', cost) },
    stepLimitNs: 1e9,
    storePrefix: 'e',
    folder: '/nowhere',
    employ: (assignment) => new Insiders(assignment, clock),
    ...(burden === undefined ? {} : { burden }),
  })
  const { cells, machine: seen } = await runSession({
    tasks: [task],
    failures: new Map(),
    engine: new PairEngine(factory, 'seed', 15, 20),
    policy: defaultPolicy,
    budgetNs: 600e9,
    seed: 'seed',
    tolerances: undefined,
    journal: { append: (line) => void lines?.push(line), close: () => {} },
    ...(past === undefined ? {} : { past }),
    signal: new AbortController().signal,
    ...(profileFolder === undefined ? {} : { profileFolder }),
    ...(readings === undefined
      ? {}
      : {
          sentinel: {
            missing: [],
            read: () => ({ cpuRulerNs: 1e6 * (readings.next().value ?? 1), fsyncRulerNs: 1e6 }),
          },
        }),
    progress: { counted: () => {}, block: () => {}, failed: () => {} },
  })
  return { ...cells[0]!, seen }
}

test.each([1, 1.05])('loads of %s times the length are measured as exactly that', async (cost) => {
  const { verdict, ground, evidence } = await gate({ cost })
  expect(evidence!.ratio).toBeCloseTo(cost, 9)
  expect([verdict, ground]).toEqual([cost === 1 ? 'pass' : 'fail', 'time'])
})

test('what became slower is explained, with the profiles of both sides', async () => {
  const profileFolder = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const { explanation } = await gate({ cost: 1.2, profileFolder })
  const { time, counters, pairs, profiles } = explanation!
  expect(time.candidate / time.baseline).toBeCloseTo(1.2, 9)
  expect(time.baseline).toBe(loadNs)
  expect([pairs, counters]).toEqual([2, []])
  expect(readdirSync(profiles).sort()).toHaveLength(2 * 4)
})

test('5 % more operations are measured as exactly 5 %', async () => {
  const { verdict, evidence } = await gate({ burden: { operations: 0.05, recordBytes: 0 } })
  expect(evidence!.ratio).toBeCloseTo(1.05, 9)
  expect(verdict).toBe('fail')
})

test('a machine that drifts by a half and stalls does not hide 5 %', async () => {
  const { verdict, evidence } = await gate({
    cost: 1.05,
    machine: (nowNs, random) =>
      1.25 + 0.25 * Math.sin(nowNs / 3e9) + (random.integer(100) === 0 ? 20 : 0) + random.integer(100) / 1000,
  })
  expect(verdict).toBe('fail')
  expect(Math.abs(evidence!.ratio - 1.05)).toBeLessThan(0.01)
})

test('caches that are cold after a fork has slept do not make 5 % more operations look like less', async () => {
  const { verdict, evidence } = await gate({
    burden: { operations: 0.05, recordBytes: 0 },
    machine: (_, __, run) => (run < 3 ? 5 : 1),
  })
  expect(evidence!.ratio).toBeCloseTo(1.05, 9)
  expect(verdict).toBe('fail')
})

test('a gate that was killed goes on where its journal ends, and counts each block once', async () => {
  const lines: GateLine[] = []
  const whole = await gate({ cost: 1.05, rulers: [], lines })
  const kept = lines.filter(({ type }) => type !== 'verdict')
  // In the middle of the tenth block: its pair is there, its judgement is not.
  const cut = kept.findIndex((line) => line.type === 'block' && line.block === 9)
  const header = { settings: [task.setting] } as unknown as GateHeader
  const rest: GateLine[] = []
  const past = pastOf(header, kept.slice(0, cut))
  expect(past.blocks).toHaveLength(9)
  const resumed = await gate({ cost: 1.05, rulers: [], lines: rest, past })
  expect(resumed).toMatchObject({ verdict: whole.verdict, pairs: whole.pairs })
  expect(resumed.evidence!.ratio).toBeCloseTo(1.05, 9)
  expect(rest.map(({ type }) => type)).not.toContain('counters')
  expect(rest.map(({ type }) => type)).not.toContain('order')
  const pairs = rest.flatMap((line) => (line.type === 'pair' ? [line] : []))
  // Nine blocks are six of the pilot and three of twelve; the fourth was begun and does not count.
  expect(pairs.map(({ stage, pair }) => [stage, pair])).toEqual(
    Array.from({ length: 9 }, (_, index) => ['confirm', 4 + index]),
  )
})

test('a block that the ruler calls disturbed is set aside and measured again', async () => {
  // The first reading is taken before the first block.
  const { evidence, seen } = await gate({ rulers: [1, 1, 1, 1, 1, 1, 1, 1, 2, 1] })
  expect(evidence!.pairs).toBe(12)
  expect(seen).toMatchObject({ blocks: 6 + 12 + 1, isTooDisturbed: false })
  expect(seen!.setAside).toEqual([{ block: 7, reason: 'the processor ruler took 2.0 times its usual time' }])
})

test('where more than a fifth of the blocks is disturbed, it could not be told', async () => {
  const { verdict, ground, pairs } = await gate({ rulers: [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2] })
  expect([verdict, ground, pairs]).toEqual(['inconclusive', 'machine', 1])
})
