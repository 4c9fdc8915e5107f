/**
 * Drives a scenario without the runner: all workers as tasks of one event loop over one storage, with a barrier in
 * `time` and all counting that the contract asks for. It does not read the clock.
 */

import { Random } from '../../src/core/random.ts'
import type { RecordSizes } from '../../src/core/record-sizes.ts'
import { Database } from '../../src/database/database.ts'
import type {
  ForkTotals,
  ScenarioContext,
  ScenarioModule,
  ScenarioParameters,
} from '../../src/scenarios/scenario.ts'
import { type Capabilities, combineCounters, type Storage, zeroCounters } from '../../src/storages/storage.ts'

export interface Drive {
  readonly workers: number
  readonly objectsPerTransaction: number
  readonly operations: number
  readonly batches?: number
  readonly recordBytes?: RecordSizes
  readonly compressibility?: number
  readonly seed?: string
  /** Called at the start of each timed section, once for all workers. */
  readonly onSection?: () => void
}

export const everything: Capabilities = {
  reach: 'isolate',
  durability: 'memory',
  persistent: false,
  blocking: false,
  history: true,
  conflictResolution: true,
  deletion: false,
  undo: false,
  iteration: false,
  pack: false,
  prefetch: true,
  blobs: false,
}

/** Everything that happens to one fork, its audit included. Returns what the audit saw. */
export async function drive(module: ScenarioModule, storage: Storage, how: Drive): Promise<ForkTotals> {
  const { workers, objectsPerTransaction, operations, batches = 2 } = how
  const parameters: ScenarioParameters = {
    workers,
    objectsPerTransaction,
    dataset: { recordBytes: how.recordBytes ?? 100, compressibility: how.compressibility ?? 0 },
  }
  const database = new Database(storage)
  const tallies: Record<string, number> = {}
  let timed = 0
  let counters = zeroCounters()
  const transfers = { loads: 0, stores: 0 }
  let before = { counters: zeroCounters(), transfers }
  const barrier = new Barrier(workers)

  const read = () => ({ counters: { ...storage.counters() }, transfers: database.transferCounts() })
  const contexts = Array.from(
    { length: workers },
    (_, worker): ScenarioContext => ({
      parameters,
      worker,
      operations,
      random: new Random(how.seed ?? 'drive').split(worker),
      database,
      capabilities: everything,
      async time(count, body) {
        await barrier.meet(() => {
          how.onSection?.()
          before = read()
        })
        for (let operation = 0; operation < count; operation++) await body(operation)
        timed += count
        await barrier.meet(() => {
          const after = read()
          counters = combineCounters(counters, combineCounters(after.counters, before.counters, -1))
          transfers.loads += after.transfers.loads - before.transfers.loads
          transfers.stores += after.transfers.stores - before.transfers.stores
        })
      },
      tally(name, amount) {
        tallies[name] = (tallies[name] ?? 0) + amount
      },
    }),
  )

  const states: unknown[] = []
  const all = (work: (context: ScenarioContext, state: unknown) => unknown) =>
    Promise.all(
      contexts.map((context) => Promise.race([work(context, states[context.worker]), barrier.broken])),
    )
  try {
    await module.populate?.(contexts[0]!)
    await all(async (context) => {
      states[context.worker] = await module.prepare(context)
    })
    for (let batch = 0; batch < batches; batch++) {
      await all(async (context, state) => {
        try {
          await module.run(context, state)
        } catch (error) {
          barrier.break(error)
          throw error
        }
      })
    }
    await all((context, state) => module.verify?.(context, state))
    const totals: ForkTotals = {
      parameters,
      capabilities: everything,
      hasStorageCache: storage.cache !== undefined,
      operations: timed,
      counters,
      transfers,
      tallies,
    }
    module.audit?.(totals)
    return totals
  } finally {
    for (const context of contexts) {
      if (states[context.worker] !== undefined) await module.dispose?.(context, states[context.worker])
    }
    await database.close()
  }
}

class Barrier {
  readonly #size: number
  #waiting: (() => void)[] = []
  readonly broken: Promise<never>
  break!: (error: unknown) => void

  constructor(size: number) {
    this.#size = size
    this.broken = new Promise((_, reject) => {
      this.break = reject
    })
    this.broken.catch(() => {})
  }

  /** `last` runs when everybody is there, before anybody goes on. */
  async meet(last: () => void): Promise<void> {
    if (this.#waiting.length + 1 < this.#size) {
      return new Promise((resolve) => this.#waiting.push(resolve))
    }
    last()
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
