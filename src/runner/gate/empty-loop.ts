/** What timing takes on this machine where there is nothing to time. */

import { systemClock } from '../../core/clock.ts'
import type { Release, Section } from '../assignment.ts'
import { Stopwatch } from '../stopwatch.ts'

/** Some 250 µs: shorter than a process is let run before others have their turn. */
const operations = 50_000
/** V8 compiles the loop in the first; whatever else the machine does makes some longer. */
const repetitions = 160

/** Nobody to wait for. */
const aloneAtBarrier = {
  async arrive(section?: Section): Promise<Release> {
    return section === undefined
      ? { phase: 'start', startAtNs: 0 }
      : { phase: 'end', window: section, skewNs: 0 }
  },
}

/** An operation that does nothing, with its share of the loop around it, ns. Takes some 40 ms. */
export async function emptyOperationNs(): Promise<number> {
  let leastNs = Number.POSITIVE_INFINITY
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const stopwatch = new Stopwatch(0, false, aloneAtBarrier, systemClock)
    stopwatch.reset(operations, undefined)
    await stopwatch.time(operations, () => undefined)
    leastNs = Math.min(leastNs, stopwatch.batch.durationNs / operations)
  }
  return leastNs
}
