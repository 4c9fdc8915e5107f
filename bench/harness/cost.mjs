// What the harness itself costs: an operation that does nothing, timed by the stopwatch, beside the bare loop.
//
//     npm run build && node bench/harness/cost.mjs

import { systemClock } from '../../dist/core/clock.js'
import { BarrierHub } from '../../dist/runner/concurrency/barrier.js'
import { Stopwatch } from '../../dist/runner/stopwatch.js'

const operations = 2_000_000
const rounds = 9

/** @param {readonly number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

let sink = 0
/** @param {number} operation */
const body = (operation) => {
  sink += operation
}

function bareLoop() {
  const startNs = systemClock.monotonicNs()
  for (let operation = 0; operation < operations; operation++) {
    const pending = /** @type {undefined | Promise<void>} */ (/** @type {unknown} */ (body(operation)))
    if (pending !== undefined) throw new Error('never')
  }
  return (systemClock.monotonicNs() - startNs) / operations
}

/**
 * @param {number} seats
 * @param {number} operationsPerLap
 */
async function stopwatch(seats, operationsPerLap) {
  /** @type {((release: import('../../dist/runner/assignment.js').Release) => void)[]} */
  const waiting = []
  const hub = new BarrierHub(seats, 0, systemClock, (release) => {
    for (const resolve of waiting.splice(0)) resolve(release)
  })
  const watches = Array.from({ length: seats }, (_, seat) => {
    const port = {
      /** @param {import('../../dist/runner/assignment.js').Section} [section] */
      arrive: (section) =>
        /** @type {Promise<import('../../dist/runner/assignment.js').Release>} */ (
          new Promise((resolve) => {
            waiting.push(resolve)
            hub.arrive(section)
          })
        ),
    }
    return new Stopwatch(seat, seats > 1, port, systemClock)
  })
  const each = Math.floor(operations / seats)
  for (const watch of watches) watch.reset(operationsPerLap, undefined)
  await Promise.all(watches.map((watch) => watch.time(each, body)))
  const totalNs = Math.max(...watches.map((watch) => watch.batch.durationNs))
  return totalNs / (each * seats)
}

/** @type {readonly [name: string, measure: () => number | Promise<number>][]} */
const cases = [
  ['bare loop', bareLoop],
  ['stopwatch, lap of 100 operations', () => stopwatch(1, 100)],
  ['stopwatch, every operation timed', () => stopwatch(1, 1)],
  ['stopwatch, 5 workers of one loop in turns', () => stopwatch(5, 100)],
]
/** @type {Map<string, number[]>} */
const results = new Map(cases.map(([name]) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const [name, measure] of cases) results.get(name)?.push(await measure())
}
for (const [name, values] of results) {
  console.log(
    `${name.padEnd(44)} ${median(values).toFixed(2).padStart(8)} ns per operation (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`,
  )
}
if (sink === 0) throw new Error('the operations were optimised away')
