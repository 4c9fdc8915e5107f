/** One storage under the selftest: its extra work is counted, its pilot measured, and then its gates are held. */

import type { CountedTrial, Subject, Trial } from '../../analysis/gate/certificate.ts'
import { type CounterComparison, compareCounters } from '../../analysis/gate/counters.ts'
import { pairValues } from '../../analysis/gate/pair-values.ts'
import type { JudgedBlock } from '../../analysis/gate/sentinel.ts'
import { Random } from '../../core/random.ts'
import type { GateJournal } from '../../results/gate-journal.ts'
import type { CountersLine, PairLine } from '../../results/gate-schema.ts'
import type { GateOrder } from '../../runner/gate/calibration.ts'
import { Confounder } from '../../runner/gate/confounder.ts'
import type { Burden, GateTask } from '../../runner/gate/side.ts'
import type { GateBench, GateJob } from '../gate-job.ts'
import { type PastCell, runSession } from '../gate-session.ts'
import type { Arm } from './schedule.ts'

/** In counting: one more operation in 25, records a tenth larger, a flush to disk per commit. */
const countedBurdens: Readonly<Record<CountedTrial['extra'], Burden>> = {
  nothing: { operations: 0, recordBytes: 0 },
  operations: { operations: 0.04, recordBytes: 0 },
  'record bytes': { operations: 0, recordBytes: 0.1 },
  sync: { operations: 0, recordBytes: 0, extraSync: true },
}

/** The scenario in which commits are counted. */
export const committing = 'update'

/** Readings of the machine that tell the next gate what is usual: those of about one gate. */
const blocksKept = 12

/** What one gate may take. On a quiet machine fifty pairs take a fraction of it. */
const gateBudgetNs = 600e9
/** Where the machine is disturbed, pairs are slow, and a gate that cannot tell in this time has told enough. */
const disturbedBudgetNs = 45e9

export class SubjectUnderTest {
  readonly #storage: string
  readonly #job: GateJob
  readonly #bench: GateBench
  readonly #journal: GateJournal
  readonly #task: GateTask
  #order!: GateOrder
  #past!: PastCell
  #blocks: readonly JudgedBlock[] = []
  #worth = 1
  #waitsForDisk = false

  constructor(storage: string, job: GateJob, bench: GateBench, journal: GateJournal) {
    this.#storage = storage
    this.#job = job
    this.#bench = bench
    this.#journal = journal
    this.#task = bench.tasks[0]!
  }

  get subject(): Subject {
    const { scenario, objects } = this.#task.setting
    return {
      storage: this.#storage,
      scenario,
      objects,
      operations: this.#order.operations,
      waitsForDisk: this.#waitsForDisk,
      worth: this.#worth,
    }
  }

  /** Whether so many operations more are at least one. */
  canDo({ extra }: Arm): boolean {
    return extra === 0 || Math.round(extra * this.#order.operations) > 0
  }

  /** @throws SideFailure where the storage cannot do it */
  async count(extra: CountedTrial['extra']): Promise<CountedTrial> {
    const { tasks, engine } = this.#bench
    const task = extra === 'sync' ? tasks.find(({ setting }) => setting.scenario === committing)! : this.#task
    const line = await engine(`${this.#job.seed}/count/${extra}`, countedBurdens[extra]).countWork(task)
    this.#journal.append(line)
    if (extra === 'nothing') this.#keep(line)
    const { changes } = compareCounters(line, {})
    return {
      storage: this.#storage,
      scenario: task.setting.scenario,
      extra,
      expected: expectations[extra],
      changes,
      isRight: isAsExpected[extra](changes),
    }
  }

  #keep(counters: CountersLine): void {
    this.#past = { counters, pairs: [], begun: { pilot: 0, screen: 0, confirm: 0 } }
    this.#waitsForDisk = counters.baseline.some((counts) => (counts['syncs'] ?? 0) > 0)
  }

  /** The length of batches, what more operations are worth, and the pilot. @throws SideFailure */
  async prepare(): Promise<Subject> {
    const { sentinel } = this.#bench
    const engine = this.#bench.engine(`${this.#job.seed}/pilot`, countedBurdens.nothing)
    this.#order = await engine.calibrate(this.#task)
    const { scenario, objects, concurrency } = this.#task.setting
    this.#journal.append({ type: 'order', scenario, objects, concurrency, ...this.#order })
    this.#worth = await engine.worth(this.#task, this.#order)
    const pairs: PairLine[] = []
    const blocks: JudgedBlock[] = []
    sentinel.read()
    for (let pair = 0; pair < this.#job.policy.pilotPairs; pair++) {
      const line = await engine.measurePair(this.#task, this.#order, 'pilot', pair)
      const machine = sentinel.read()
      this.#journal.append(line)
      this.#journal.append({ type: 'block', block: pair, machine })
      pairs.push(line)
      blocks.push({ cells: '0', machine })
    }
    const begun = { pilot: pairs.length, screen: 0, confirm: 0 }
    this.#past = { ...this.#past, order: this.#order, pairs, begun }
    this.#blocks = blocks
    return this.subject
  }

  /** One whole gate. */
  async hold({ extra, isDisturbed }: Arm, number: number, warn: (text: string) => void): Promise<Trial> {
    const { failures, signal, sentinel, engine } = this.#bench
    const seed = `${this.#job.seed}/${number}`
    const pairs: PairLine[] = []
    const unjudged: PairLine[] = []
    const seen: JudgedBlock[] = []
    const random = new Random(seed).split('disturbance')
    const confounder = isDisturbed ? new Confounder(this.#bench.folder) : undefined
    try {
      const { cells, elapsedNs } = await runSession({
        tasks: [this.#task],
        failures,
        engine: engine(seed, { operations: extra, recordBytes: 0 }),
        policy: this.#job.policy,
        budgetNs: isDisturbed ? disturbedBudgetNs : gateBudgetNs,
        seed,
        tolerances: undefined,
        journal: {
          append: (line) => {
            this.#journal.append(line)
            if (line.type === 'pair') unjudged.push(line)
            if (line.type !== 'block') return
            seen.push({ cells: '0', machine: line.machine })
            const judged = unjudged.splice(0)
            if (line.disturbed === undefined) pairs.push(...judged)
          },
          close: () => {},
        },
        signal,
        sentinel,
        keepsDisturbed: isDisturbed,
        past: { cells: [this.#past], blocks: isDisturbed ? [] : this.#blocks },
        progress: {
          counted: () => {},
          block: () => confounder?.set(random.integer(2) === 0),
          failed: (_, { error }) => warn(error.message),
        },
      })
      // What is usual is what was seen lately, as it is for a gate with a pilot of its own.
      if (!isDisturbed) this.#blocks = [...this.#blocks, ...seen].slice(-blocksKept)
      const { verdict, ground, evidence, metric } = cells[0]!
      const { ratio, interval } = evidence ?? { ratio: undefined, interval: undefined }
      const { operations } = this.#order
      return {
        storage: this.#storage,
        scenario: this.#task.setting.scenario,
        extra,
        expected: this.#worth * (Math.round(operations * (1 + extra)) / operations - 1),
        isDisturbed,
        verdict,
        ground,
        ratio,
        interval,
        metric: metric?.metric,
        values:
          metric === undefined
            ? []
            : pairs.map((pair) => Number(pairValues(pair)[metric.metric]!.toFixed(6))),
        elapsedNs,
      }
    } finally {
      await confounder?.close()
    }
  }
}

type Changes = CounterComparison['changes']

const expectations: Readonly<Record<CountedTrial['extra'], string>> = {
  nothing: 'every counter equal',
  operations: 'whatever is counted per operation × 1.04',
  'record bytes': 'bytes of records × 1.10, and nothing but bytes',
  sync: 'one sync more per commit, and nothing else',
}

const isAsExpected: Readonly<Record<CountedTrial['extra'], (changes: Changes) => boolean>> = {
  nothing: (changes) => changes.length === 0,
  operations: (changes) =>
    changes.length > 0 && changes.every((change) => isNear(change.candidate / change.baseline, 1.04)),
  'record bytes': (changes) =>
    changes.some(({ name }) => name === 'loadedBytes' || name === 'storedBytes') &&
    changes.every(({ name, baseline, candidate }) =>
      name === 'loadedBytes' || name === 'storedBytes'
        ? isNear(candidate / baseline, 1.1)
        : name.toLowerCase().includes('bytes') && candidate > baseline,
    ),
  sync: (changes) =>
    changes.length === 1 &&
    changes[0]!.name === 'syncs' &&
    isNear(changes[0]!.candidate - changes[0]!.baseline, 1),
}

/** Counters are whole numbers over whole numbers. */
function isNear(value: number, wanted: number): boolean {
  return Math.abs(value - wanted) < 0.02 * wanted
}
