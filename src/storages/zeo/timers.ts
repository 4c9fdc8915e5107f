/** Waiting, as everything here does it; tests put a virtual clock in its place. */

export interface Timers {
  /** Milliseconds of some monotonic clock. */
  now(): number
  /** Calls once after `delayMs`, unless cancelled. Never keeps the process alive. */
  after(delayMs: number, call: () => void): Cancel
}

export type Cancel = () => void

export const systemTimers: Timers = {
  now: () => performance.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
