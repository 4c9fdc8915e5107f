/**
 * Watches the event loop during a check. A storage that blocks it, with a loop without end or a wait for another
 * thread, stops every timer of the suite too; so a thread of its own looks whether the loop still turns. When it has not
 * for as long as a behaviour may take, the thread says so and kills the process: nothing else can end it any more.
 */

import { url as inspectorUrl } from 'node:inspector'
import { Worker } from 'node:worker_threads'
import { formatDuration } from '../core/units.ts'

/** Often enough for the shortest limit that makes sense. */
const beatMs = 100

/** What the thread is told at each turn: what is under way, so that it can say what blocks. */
export interface Beat {
  readonly message: string
  readonly limitMs: number
}

export class LoopWatch {
  readonly #thread: Worker
  readonly #timer: NodeJS.Timeout
  readonly #limitMs: number
  #doing = 'opening the storage'

  constructor(limitMs: number) {
    this.#limitMs = limitMs
    this.#thread = new Worker(new URL('./check-loop-thread.js', import.meta.url))
    this.#thread.unref()
    this.#timer = setInterval(() => this.#beat(), beatMs)
    this.#timer.unref()
  }

  begins(doing: string): void {
    this.#doing = doing
    this.#beat()
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    await this.#thread.terminate()
  }

  #beat(): void {
    // At a breakpoint it is the author who makes the loop stand still.
    if (inspectorUrl() !== undefined) return
    const limit = formatDuration(this.#limitMs * 1e6)
    const message =
      `shootout: the event loop has stood still for ${limit} during "${this.#doing}" (check-loop-blocked). ` +
      'The storage computes or waits without giving up the thread; the check cannot go on, and is killed.\n'
    const beat: Beat = { message, limitMs: this.#limitMs }
    this.#thread.postMessage(beat)
  }
}
