import { expect, test } from 'vitest'
import { Histogram } from '../../src/core/histogram.ts'
import type { Release, Section } from '../../src/runner/assignment.ts'
import { BarrierHub } from '../../src/runner/concurrency/barrier.ts'
import { Stopwatch } from '../../src/runner/stopwatch.ts'
import { VirtualClock } from './virtual-clock.ts'

/** Stopwatches of one isolate that meet at one barrier, on a clock that only the operations move. */
function stopwatches(count: number) {
  const clock = new VirtualClock()
  const waiting: ((release: Release) => void)[] = []
  const hub = new BarrierHub(count, 0, clock, (release) => {
    for (const resolve of waiting.splice(0)) resolve(release)
  })
  const arrive = (section?: Section) =>
    new Promise<Release>((resolve) => {
      waiting.push(resolve)
      hub.arrive(section)
    })
  return {
    clock,
    watches: Array.from({ length: count }, (_, seat) => new Stopwatch(seat, count > 1, { arrive }, clock)),
  }
}

test('exactly the operations are timed, not what lies between sections', async () => {
  const { clock, watches } = stopwatches(1)
  const [watch] = watches as [Stopwatch]
  watch.reset(1, undefined)
  await watch.time(3, () => clock.advance(100))
  clock.advance(1_000_000)
  await watch.time(2, () => clock.advance(7))
  expect(watch.batch).toMatchObject({
    durationNs: 314,
    windowNs: 314,
    operations: 5,
    windowOperations: 5,
    skewNs: 0,
  })
})

test('asynchronous operations are awaited one after the other', async () => {
  const { clock, watches } = stopwatches(1)
  const [watch] = watches as [Stopwatch]
  watch.reset(1, undefined)
  let running = 0
  await watch.time(4, async () => {
    expect(++running).toBe(1)
    await Promise.resolve()
    clock.advance(50)
    running--
  })
  expect(watch.batch.durationNs).toBe(200)
})

test('each operation gets its number', async () => {
  const [watch] = stopwatches(1).watches as [Stopwatch]
  const numbers: number[] = []
  watch.reset(2, undefined)
  await watch.time(5, (operation) => void numbers.push(operation))
  expect(numbers).toEqual([0, 1, 2, 3, 4])
})

test('latencies of single operations are exact where a lap is one operation', async () => {
  const { clock, watches } = stopwatches(1)
  const [watch] = watches as [Stopwatch]
  const latencies = new Histogram()
  watch.reset(1, latencies)
  await watch.time(3, (operation) => clock.advance(10 * (operation + 1)))
  expect(latencies.toSparse()).toEqual([10, 1, 20, 1, 30, 1])
})

test('laps of several operations record no latencies', async () => {
  const { clock, watches } = stopwatches(1)
  const [watch] = watches as [Stopwatch]
  const latencies = new Histogram()
  watch.reset(2, latencies)
  await watch.time(4, () => clock.advance(10))
  expect(latencies.count).toBe(0)
  expect(watch.batch.durationNs).toBe(40)
})

test('seats of one event loop take turns, operation by operation, though none of them waits', async () => {
  const { clock, watches } = stopwatches(3)
  const turns: number[] = []
  await Promise.all(
    watches.map((watch, seat) => {
      watch.reset(1, undefined)
      return watch.time(3, () => {
        turns.push(seat)
        clock.advance(10)
      })
    }),
  )
  expect(turns).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
})

test('only operations wholly inside the common window count', async () => {
  const { clock, watches } = stopwatches(2)
  // Seat 1 is over after two operations; what seat 0 does afterwards is not measured at the stated concurrency.
  await Promise.all(
    watches.map((watch, seat) => {
      watch.reset(1, undefined)
      return watch.time(seat === 0 ? 6 : 2, () => clock.advance(10))
    }),
  )
  const [long, short] = watches.map((watch) => watch.batch) as [Stopwatch['batch'], Stopwatch['batch']]
  expect(long.operations).toBe(6)
  expect(long.windowOperations).toBeLessThan(6)
  expect(short.windowNs).toBe(long.windowNs)
  expect(long.windowOperations * 20).toBeLessThanOrEqual(long.windowNs + 20)
})

test('an operation that throws ends the timing with its error', async () => {
  const [watch] = stopwatches(1).watches as [Stopwatch]
  watch.reset(1, undefined)
  await expect(
    watch.time(2, () => {
      throw new Error('disk on fire')
    }),
  ).rejects.toThrow('disk on fire')
})
