/** Waiting, as everything here does it; tests put a virtual clock in its place. */

export interface Timers {
  /** Milliseconds of some monotonic clock. */
  now(): number
  /** Calls once after `delayMs`, unless cancelled. Never keeps the process alive. */
  after(delayMs: number, call: () => void): Cancel
  /**
   * As `after`, but hears first what has arrived by then: no peer runs out of time because this process stood still.
   */
  limit(delayMs: number, call: () => void): Cancel
}

export type Cancel = () => void

export const systemTimers: Timers = {
  now: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  limit(delayMs, call) {
    let immediate: NodeJS.Immediate | undefined
    const timer = setTimeout(() => {
      // Sockets are read between timers and immediates.
      immediate = setImmediate(call).unref()
    }, delayMs).unref()
    return () => {
      clearTimeout(timer)
      clearImmediate(immediate)
    }
  },
}
