import { expect, test } from 'vitest'
import { calibrate, nextProbe, type Probe } from '../../src/runner/calibrate.ts'

function probeAll(perOperationNs: number): Probe[] {
  const probes: Probe[] = []
  for (let next = nextProbe(undefined); next !== undefined; next = nextProbe(probes.at(-1))) {
    probes.push({ operations: next, durationNs: next * perOperationNs })
  }
  return probes
}

test('probing begins with one operation, grows, and ends when a batch is long enough to tell', () => {
  for (const costNs of [50, 2_000, 300_000, 5_000_000, 2e9]) {
    const probes = probeAll(costNs)
    expect(probes[0]!.operations).toBe(1)
    expect(probes.length).toBeLessThanOrEqual(9)
    expect(probes.at(-1)!.durationNs).toBeGreaterThanOrEqual(30e6)
  }
})

test('an operation that takes no time at all does not probe for ever', () => {
  expect(probeAll(0).at(-1)!.operations).toBe(10_000_000)
})

test('all contenders get the same operations, enough for the slowest', () => {
  const { operations } = calibrate(
    new Map([
      ['file', 300_000],
      ['sqlite', 150_000],
    ]),
  )
  expect(operations).toBe(200)
})

test('a fast contender beside a slow one gets a longer batch, within limits', () => {
  const { operations } = calibrate(
    new Map([
      ['memory', 1_000],
      ['file', 300_000],
    ]),
  )
  expect(operations).toBe(600)
})

test('an operation of seconds is still measured, one at a time', () => {
  const { operations, warmups } = calibrate(new Map([['slow', 3e9]]))
  expect([operations, warmups]).toEqual([1, 2])
})

test('the clock is read seldom where operations are short, and each time where they are long', () => {
  const { operationsPerLap } = calibrate(
    new Map([
      ['memory', 100],
      ['file', 300_000],
    ]),
  )
  expect([...operationsPerLap]).toEqual([
    ['memory', 100],
    ['file', 1],
  ])
})
