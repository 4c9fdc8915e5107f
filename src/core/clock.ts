/**
 * Time. Two clocks, because they answer different questions: `wallUs` makes tids, `monotonicNs` measures.
 * Tests hand in a virtual clock; nothing else reads time directly, except timers that only wait.
 */

/** Both clocks. */
export interface Clock {
  /** Microseconds since 1970-01-01 UTC. May go back. */
  wallUs(): number
  /**
   * Nanoseconds since some fixed moment, the same moment for every thread and process of this machine
   * (CLOCK_MONOTONIC). A double: exact to the nanosecond for 104 days of uptime, to 2 ns beyond.
   */
  monotonicNs(): number
}

/** The system's own. */
export const systemClock: Clock = {
  // Whole milliseconds are enough: `nextTid` keeps tids apart within one.
  wallUs: () => Date.now() * 1000,
  monotonicNs: () => {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1e9 + nanoseconds
  },
}
