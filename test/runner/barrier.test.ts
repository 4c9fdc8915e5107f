import { expect, test } from 'vitest'
import type { Release } from '../../src/runner/assignment.ts'
import { BarrierHub } from '../../src/runner/concurrency/barrier.ts'
import { VirtualClock } from './virtual-clock.ts'

function hubOf(seats: number, leadNs: number) {
  const releases: Release[] = []
  const clock = new VirtualClock()
  return { releases, clock, hub: new BarrierHub(seats, leadNs, clock, (release) => releases.push(release)) }
}

test('nobody is released before the last has arrived, and the start lies ahead', () => {
  const { hub, releases, clock } = hubOf(3, 500)
  hub.arrive()
  hub.arrive()
  expect(releases).toEqual([])
  clock.advance(40)
  hub.arrive()
  expect(releases).toEqual([{ phase: 'start', startAtNs: 1_540 }])
})

test('the window runs from the last start to the first end', () => {
  const { hub, releases } = hubOf(2, 0)
  hub.arrive({ startNs: 100, endNs: 900 })
  hub.arrive({ startNs: 130, endNs: 700 })
  expect(releases).toEqual([{ phase: 'end', window: { startNs: 130, endNs: 700 }, skewNs: 30 }])
})

test('workers that never overlap have an empty window', () => {
  const { hub, releases } = hubOf(2, 0)
  hub.arrive({ startNs: 100, endNs: 200 })
  hub.arrive({ startNs: 300, endNs: 400 })
  expect(releases).toEqual([{ phase: 'end', window: { startNs: 300, endNs: 300 }, skewNs: 200 }])
})

test('a worker that starts what another ends is an error, not a hang', () => {
  const { hub } = hubOf(2, 0)
  hub.arrive({ startNs: 1, endNs: 2 })
  expect(() => hub.arrive()).toThrow('equally often')
})

test('the barrier serves again and again', () => {
  const { hub, releases } = hubOf(1, 0)
  for (let section = 0; section < 3; section++) {
    hub.arrive()
    hub.arrive({ startNs: section, endNs: section + 1 })
  }
  expect(releases.map(({ phase }) => phase)).toEqual(['start', 'end', 'start', 'end', 'start', 'end'])
})
