/**
 * What an isolate costs besides time: processor, garbage collection, delay of its event loop. Runs from the first
 * measured batch to the last; V8 and libuv count by themselves, so nothing is added to a timed section but a timer
 * of 10 ms.
 */

import { type IntervalHistogram, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'

const loopDelayResolutionMs = 10

export interface MeterReading {
  /** Pauses for garbage collection, ns. */
  readonly gcNs: number
  /** Longest delay of the event loop, ns. */
  readonly loopDelayNsMax: number
}

export class Meter {
  readonly #observer: PerformanceObserver
  readonly #loop: IntervalHistogram
  #gcMs = 0

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#add(list.getEntries()))
    this.#loop = monitorEventLoopDelay({ resolution: loopDelayResolutionMs })
  }

  start(): void {
    this.#observer.observe({ entryTypes: ['gc'] })
    this.#loop.enable()
  }

  stop(): MeterReading {
    this.#add(this.#observer.takeRecords())
    this.#observer.disconnect()
    this.#loop.disable()
    // The histogram holds the whole interval between two ticks, the wanted one included; empty, its maximum is 0.
    const loopDelayNsMax = Math.max(0, this.#loop.max - loopDelayResolutionMs * 1e6)
    return { gcNs: Math.round(this.#gcMs * 1e6), loopDelayNsMax: Math.round(loopDelayNsMax) }
  }

  #add(entries: readonly { readonly duration: number }[]): void {
    for (const { duration } of entries) this.#gcMs += duration
  }
}
