/**
 * `context.time`: the only stopwatch. One per seat.
 *
 * The clock is read once per *lap* of so many operations, so that reading it costs little; where a lap is one
 * operation, the latency of each is known. Between the first and the last reading nothing happens but the operations
 * and, where several seats share an event loop, giving way to each other.
 */

import type { Clock } from '../core/clock.ts'
import type { Histogram } from '../core/histogram.ts'
import type { Awaitable } from '../storages/storage.ts'
import type { Release, SeatBatch, Section } from './assignment.ts'
import { waitUntil } from './concurrency/barrier.ts'

/** How a seat reaches the barrier of its fork. */
export interface BarrierPort {
  /** Resolves when all have arrived. */
  arrive(section?: Section): Promise<Release>
}

/**
 * On a shared event loop, the longest a seat keeps the loop from its timers and sockets by answering everything
 * synchronously.
 */
const turnNsMax = 1_000_000

export class Stopwatch {
  readonly #seat: number
  readonly #sharesLoop: boolean
  readonly #barrier: BarrierPort
  readonly #clock: Clock
  #operationsPerLap = 1
  #laps = new Float64Array(1)
  #durationNs = 0
  #windowNs = 0
  #windowOperations = 0
  #skewNs = 0
  #operations = 0
  #latencies: Histogram | undefined

  /** @param sharesLoop other seats run on the same event loop and must get their turn */
  constructor(seat: number, sharesLoop: boolean, barrier: BarrierPort, clock: Clock) {
    this.#seat = seat
    this.#sharesLoop = sharesLoop
    this.#barrier = barrier
    this.#clock = clock
  }

  /**
   * Begins a batch.
   * @param latencies where to record single operations, used only when a lap is one operation
   */
  reset(operationsPerLap: number, latencies: Histogram | undefined): void {
    this.#operationsPerLap = operationsPerLap
    this.#latencies = operationsPerLap === 1 ? latencies : undefined
    this.#durationNs = 0
    this.#windowNs = 0
    this.#windowOperations = 0
    this.#skewNs = 0
    this.#operations = 0
  }

  /** What the batch came to. */
  get batch(): SeatBatch & {
    readonly windowNs: number
    readonly skewNs: number
    readonly operations: number
  } {
    return {
      seat: this.#seat,
      durationNs: Math.round(this.#durationNs),
      windowNs: Math.round(this.#windowNs),
      windowOperations: this.#windowOperations,
      skewNs: Math.round(this.#skewNs),
      operations: this.#operations,
    }
  }

  async time(operations: number, body: (operation: number) => Awaitable<void>): Promise<void> {
    const lapCount = Math.ceil(operations / this.#operationsPerLap)
    if (this.#laps.length < lapCount + 1) this.#laps = new Float64Array(lapCount + 1)
    const start = await this.#barrier.arrive()
    if (start.phase !== 'start') throw new Error('barrier out of step')
    waitUntil(start.startAtNs, this.#clock)

    if (this.#sharesLoop) await this.#runInTurns(operations, body)
    else await this.#run(operations, body)

    const startNs = this.#laps[0]!
    const endNs = this.#laps[lapCount]!
    const end = await this.#barrier.arrive({ startNs, endNs })
    if (end.phase !== 'end') throw new Error('barrier out of step')
    this.#durationNs += endNs - startNs
    this.#windowNs += end.window.endNs - end.window.startNs
    this.#skewNs = Math.max(this.#skewNs, end.skewNs)
    this.#operations += operations
    this.#windowOperations += this.#operationsWithin(end.window, operations, lapCount)
    if (this.#latencies !== undefined) {
      for (let lap = 0; lap < lapCount; lap++) this.#latencies.record(this.#laps[lap + 1]! - this.#laps[lap]!)
    }
  }

  async #run(operations: number, body: (operation: number) => Awaitable<void>): Promise<void> {
    const clock = this.#clock
    const laps = this.#laps
    const perLap = this.#operationsPerLap
    let lap = 0
    laps[0] = clock.monotonicNs()
    for (let operation = 0; operation < operations; ) {
      const lapEnd = Math.min(operation + perLap, operations)
      for (; operation < lapEnd; operation++) {
        const pending = body(operation)
        if (pending !== undefined) await pending
      }
      laps[++lap] = clock.monotonicNs()
    }
  }

  /** As `#run`, but after each operation the other seats of the loop have their turn, as requests of a server would. */
  async #runInTurns(operations: number, body: (operation: number) => Awaitable<void>): Promise<void> {
    const clock = this.#clock
    const laps = this.#laps
    const perLap = this.#operationsPerLap
    let lap = 0
    let turnEndsNs = clock.monotonicNs() + turnNsMax
    laps[0] = clock.monotonicNs()
    for (let operation = 0; operation < operations; ) {
      const lapEnd = Math.min(operation + perLap, operations)
      for (; operation < lapEnd; operation++) await body(operation)
      laps[++lap] = clock.monotonicNs()
      if (laps[lap]! > turnEndsNs) {
        await new Promise(setImmediate)
        turnEndsNs = clock.monotonicNs() + turnNsMax
      }
    }
  }

  /** Operations of whole laps that lie inside the window. */
  #operationsWithin(window: Section, operations: number, lapCount: number): number {
    let within = 0
    for (let lap = 0; lap < lapCount; lap++) {
      if (this.#laps[lap]! < window.startNs || this.#laps[lap + 1]! > window.endNs) continue
      within += Math.min(this.#operationsPerLap, operations - lap * this.#operationsPerLap)
    }
    return within
  }
}
