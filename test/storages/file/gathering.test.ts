/** When a flush is held back for others, and whom its end wakes. Time is a number that the test moves. */

import { describe, expect, test } from 'vitest'
import { Gathering, gatheringBytes } from '../../../src/storages/file/gathering.ts'

const flushMs = 0.5

/** Threads with the seats 1 to `count`. */
function threads(count: number) {
  const buffer = new SharedArrayBuffer(gatheringBytes)
  let nowMs = 1000
  const all = Array.from({ length: count }, (_, at) => new Gathering(buffer, at + 1, () => nowMs * 1e6))
  return {
    all,
    pass: (ms: number) => {
      nowMs += ms
    },
    /** A flush for all that have come; `meanwhile` happens while it is under way. Returns who is woken. */
    flush(meanwhile: () => void = () => {}) {
      const number = all[0]!.begin()
      meanwhile()
      nowMs += flushMs
      const woken = all[0]!.end(number, flushMs)
      for (const [at, thread] of all.entries()) if (woken.includes(at + 1)) thread.noteConfirmed()
      return woken
    },
  }
}

/** All come back at once, often enough to be expected. */
function inStep(count: number) {
  const group = threads(count)
  for (let round = 0; round < 3; round++) {
    for (const thread of group.all) thread.come()
    group.flush()
  }
  return group
}

describe('A flush', () => {
  test('of a thread alone is never held back', () => {
    const { all, flush } = inStep(1)
    all[0]!.come()
    expect(all[0]!.holdMs).toBe(0)
    flush()
    all[0]!.come()
    expect(all[0]!.holdMs).toBe(0)
  })

  test('is held back until those have come that use to come back, and the last of them can begin', () => {
    const { all } = inStep(3)
    all[0]!.come()
    expect(all[0]!.holdMs).toBeCloseTo(flushMs)
    expect(all[0]!.isFirst).toBe(true)
    all[1]!.come()
    expect(all[1]!.holdMs).toBeCloseTo(flushMs)
    expect(all[1]!.isFirst).toBe(false)
    all[2]!.come()
    expect(all[2]!.holdMs).toBe(0)
  })

  test('is held back no longer than a flush takes, for somebody who does not come', () => {
    const { all, pass } = inStep(2)
    all[0]!.come()
    pass(flushMs * 0.9)
    expect(all[0]!.holdMs).toBeGreaterThan(0)
    pass(flushMs * 0.2)
    expect(all[0]!.holdMs).toBeLessThanOrEqual(0)
  })

  test('is held back no longer than a millisecond, after a flush that took long', () => {
    const { all, pass } = inStep(2)
    all[0]!.come()
    all[1]!.come()
    all[0]!.end(all[0]!.begin(), 500)
    all[0]!.come()
    expect(all[0]!.holdMs).toBeCloseTo(1)
    pass(1.1)
    expect(all[0]!.holdMs).toBeLessThanOrEqual(0)
  })

  test('is not held back for a thread that took its time, nor for one that came back quickly once', () => {
    const { all, pass, flush } = inStep(2)
    const [quick, slow] = all as [Gathering, Gathering]
    quick.come()
    pass(flushMs * 2)
    slow.come()
    flush()
    quick.come()
    slow.come()
    flush()
    quick.come()
    expect(quick.holdMs).toBe(0)
  })

  test('wakes all that it was for, and the first of those that came too late', () => {
    const { all, flush } = threads(4)
    all[2]!.come()
    all[0]!.come()
    all[0]!.come()
    const woken = flush(() => {
      all[3]!.come()
      all[1]!.come()
    })
    expect(woken).toEqual([3, 1, 4])
    expect(flush()).toEqual([4, 2])
  })

  test('is held back also for those that came while the last was under way', () => {
    const { all, flush } = inStep(3)
    all[0]!.come()
    all[1]!.come()
    flush(() => all[2]!.come())
    expect(all[2]!.holdMs).toBeCloseTo(flushMs)
    all[0]!.come()
    all[1]!.come()
    expect(all[1]!.holdMs).toBe(0)
  })
})
