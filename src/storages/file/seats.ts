/**
 * Who uses a log: each storage opened on it has a seat in shared memory, with what it holds beyond single calls. A worker
 * thread that is terminated says nothing; but the system knows whether its thread still runs, and then whoever waits for
 * it takes away what it held.
 *
 * Where the system does not tell (anywhere but Linux), every seat counts as alive.
 */

import { readFileSync, readlinkSync } from 'node:fs'
import { ShootoutError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'

/** Storages that can be open at once on one log. */
export const seatCount = 1024
const column = {
  /** 0: free; `unknownThread`; or the system's number of the thread. */
  thread: 0,
  /** When the thread began: numbers are used again. */
  started: 1,
  /** Transactions between vote and end. */
  votes: 2,
  /** Transactions with blobs that have not ended: their files belong to no record yet. */
  pendingBlobs: 3,
  /** Iterations under way: they may still ask for blobs that a pack has dropped. */
  iterations: 4,
} as const
const columns = 5

export type Holding = 'votes' | 'pendingBlobs' | 'iterations'

const unknownThread = -1

export const seatsBytes = (seatCount + 1) * columns * 4

export class Seats {
  /** Own seat, from 1; 0 after `leave`. */
  own: number
  readonly #cells: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Int32Array(buffer)
    const thread = threadNumber()
    const started = thread === unknownThread ? 0 : (startOf(thread) ?? 0)
    this.own = this.#take(thread, started)
  }

  #take(thread: number, started: number): number {
    for (let seat = 1; seat <= seatCount; seat++) {
      const at = seat * columns
      if (Atomics.compareExchange(this.#cells, at + column.thread, 0, unknownThread) !== 0) continue
      this.#cells[at + column.started] = started
      Atomics.store(this.#cells, at + column.thread, thread)
      return seat
    }
    throw new ShootoutError(
      'too-many-storages',
      `file: the log is open ${seatCount} times in this process; close storages that are no longer needed`,
    )
  }

  /** Nothing that ends later is counted any more. */
  leave(): void {
    if (this.own === 0) return
    this.free(this.own)
    this.own = 0
  }

  free(seat: number): void {
    const at = seat * columns
    this.#cells.fill(0, at + column.started, at + columns)
    Atomics.store(this.#cells, at + column.thread, 0)
  }

  add(holding: Holding, change: 1 | -1): void {
    if (this.own !== 0) Atomics.add(this.#cells, this.own * columns + column[holding], change)
  }

  count(holding: Holding, seat: number): number {
    return Atomics.load(this.#cells, seat * columns + column[holding])
  }

  /** Over all seats. */
  sum(holding: Holding): number {
    let sum = 0
    for (let seat = 1; seat <= seatCount; seat++) sum += this.count(holding, seat)
    return sum
  }

  /** True if the thread that has this seat runs no more. */
  isDead(seat: number): boolean {
    const thread = Atomics.load(this.#cells, seat * columns + column.thread)
    if (thread <= 0) return false
    return startOf(thread) !== this.#cells[seat * columns + column.started]
  }

  /** Seats whose threads run no more. */
  *dead(): Generator<number> {
    for (let seat = 1; seat <= seatCount; seat++) if (this.isDead(seat)) yield seat
  }
}

/** The system's number of this thread. A synchronous call of the file system is made by the thread itself. */
function threadNumber(): number {
  try {
    return Number(/\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1] ?? unknownThread)
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    return unknownThread
  }
}

/** When a thread of this process began, in ticks of the system's clock, as 32 bits; undefined when it runs no more. */
function startOf(thread: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    // The second field is a name in parentheses, and may hold anything; the start is the 22nd.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) | 0
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemErrorCode(error) ?? '')) return undefined
    throw error
  }
}
