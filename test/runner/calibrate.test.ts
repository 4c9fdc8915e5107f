import { expect, test } from 'vitest'
import { calibrate, nextProbe, type Probe, perOperation, warmupsAfter } from '../../src/runner/calibrate.ts'

/** @param costNs of the n-th operation ever performed: it falls while the code is being compiled */
const durations = { batchNs: 60e6, warmupNs: 250e6 }

function probeAll(costNs: (done: number) => number): Probe[] {
  const probes: Probe[] = []
  let done = 0
  for (let next = nextProbe(probes, durations); next !== undefined; next = nextProbe(probes, durations)) {
    probes.push({ operations: next, durationNs: next * costNs(done) })
    done += next
  }
  return probes
}

test('probing begins with one operation, grows, and ends when two long batches agree', () => {
  for (const costNs of [50, 2_000, 300_000, 5_000_000, 2e9]) {
    const probes = probeAll(() => costNs)
    expect(probes[0]!.operations).toBe(1)
    expect(probes.length).toBeLessThanOrEqual(12)
    for (const probe of probes.slice(-2)) expect(probe.durationNs).toBeGreaterThanOrEqual(30e6)
  }
})

test('what operations cost before the code is compiled does not decide', () => {
  const probes = probeAll((done) => (done < 200 ? 400_000 : done < 1_000 ? 60_000 : 20_000))
  expect(perOperation(probes.at(-1)!)).toBe(20_000)
})

test('probing ends, even if the cost never settles or is nothing', () => {
  let costNs = 1_000
  expect(probeAll(() => (costNs = costNs === 1_000 ? 9_000 : 1_000)).length).toBeLessThanOrEqual(16)
  expect(probeAll(() => 0).at(-1)!.operations).toBe(10_000_000)
})

test('all contenders get the same operations, enough for the slowest', () => {
  const { operations } = calibrate(
    new Map([
      ['file', 300_000],
      ['sqlite', 150_000],
    ]),
    1,
    durations,
  )
  expect(operations).toBe(200)
})

test('a fast contender beside a slow one gets a longer batch, within limits', () => {
  const { operations } = calibrate(
    new Map([
      ['memory', 1_000],
      ['file', 300_000],
    ]),
    1,
    durations,
  )
  expect(operations).toBe(400)
})

test('an operation of seconds is still measured, one at a time', () => {
  const { operations, warmups } = calibrate(new Map([['slow', 3e9]]), 1, durations)
  expect([operations, warmups]).toEqual([1, 2])
})

test('the clock is read seldom where operations are short, and each time where they are long', () => {
  const costs = new Map([
    ['memory', 100],
    ['file', 300_000],
  ])
  expect([...calibrate(costs, 1, durations).operationsPerLap]).toEqual([
    ['memory', 200],
    ['file', 1],
  ])
  // Five workers in turns: each operation takes five times as long as the work it does.
  expect(calibrate(new Map([['memory', 500]]), 5, durations).operationsPerLap.get('memory')).toBe(200)
})

test('all forks warm up for as long as the slowest pilot needed, never less than two batches', () => {
  const planned = { operations: 10, warmups: 4, operationsPerLap: new Map() }
  const flat = [10, 11, 10, 9, 10, 10, 11, 10, 9, 10, 10, 10]
  const slow = [90, 60, 40, 20, 10, 10, 11, 10, 9, 10, 10, 10]
  expect(warmupsAfter(planned, [])).toEqual(planned)
  expect(warmupsAfter(planned, [flat, flat]).warmups).toBe(2)
  expect(warmupsAfter(planned, [flat, slow]).warmups).toBe(4)
})
