import { expect, test } from 'vitest'
import type { Tid } from '../../../src/core/ids.ts'
import { movedPosition, PositionIndex } from '../../../src/storages/file/position-index.ts'
import { oid } from './support.ts'

const serial = 7 as Tid

/** Both sides of an index with room for a few dozen pages of 512 objects. */
function newIndex() {
  const buffer = new SharedArrayBuffer(1 << 19)
  return { even: new PositionIndex(buffer, 0), odd: new PositionIndex(buffer, 1) }
}

/** Positions of the page that begins with object 0, with one object in it. */
function pageWith(id: number, position: number): Float64Array {
  const page = new Float64Array(512)
  page[id] = position
  return page
}

test('the new log has positions of its own, and a reader of the old one notices', () => {
  const { even, odd } = newIndex()
  even.set(oid(3), 100, serial)
  even.set(oid(4), 200, serial)
  odd.replace(even, () => pageWith(3, 64))
  expect([odd.position(oid(3)), odd.serial(oid(3))]).toEqual([64, serial])
  expect([even.position(oid(3)), even.position(oid(2))]).toEqual([movedPosition, 0])
  // Collected: there is no such object any more, on either side.
  expect([odd.position(oid(4)), odd.serial(oid(4)), even.position(oid(4))]).toEqual([0, 0, 0])
  even.replace(odd, () => pageWith(3, 4096))
  expect([even.position(oid(3)), odd.position(oid(3))]).toEqual([4096, movedPosition])
})

test('claims outlive the log they were made on', () => {
  const { even, odd } = newIndex()
  even.set(oid(3), 100, serial)
  even.makeRoom(oid(1000))
  even.claim(oid(3), false)
  even.claim(oid(1000), true)
  odd.replace(even, (start) => (start === 0 ? pageWith(3, 64) : undefined))
  expect([odd.isClaimed(oid(3), true), odd.isClaimed(oid(1000), false)]).toEqual([true, true])
  odd.unclaim(oid(3), false)
  odd.unclaim(oid(1000), true)
  expect([odd.isClaimed(oid(3), true), odd.isClaimed(oid(1000), false)]).toEqual([false, false])
})

test('pages of which nothing is left are used again, so that ids may rise for ever', () => {
  const sides = newIndex()
  let [index, spare] = [sides.even, sides.odd]
  let next = 0
  for (let round = 0; round < 100; round++, next += 20 * 512) {
    for (let id = next; id < next + 20 * 512; id++) index.set(oid(id), 64 + id, serial)
    spare.replace(index, () => undefined)
    ;[index, spare] = [spare, index]
    expect(index.bytes).toBe(0)
  }
  index.set(oid(next), 64, serial)
  expect([index.position(oid(next)), index.serial(oid(next + 1))]).toEqual([64, 0])
  expect(() => {
    for (let id = 0; ; id += 512) index.set(oid(id), 64, serial)
  }).toThrow(expect.objectContaining({ code: 'index-full' }))
})

test('takes at most 24 bytes per object, also after a pack', () => {
  const { even, odd } = newIndex()
  const count = 16 * 512
  for (let id = 0; id < count; id++) even.set(oid(id), 64 + id, serial)
  odd.replace(even, (start) => Float64Array.from({ length: 512 }, (_, slot) => 64 + start + slot))
  expect(odd.bytes / count).toBeLessThan(24)
  expect(odd.position(oid(count - 1))).toBe(64 + count - 1)
})
