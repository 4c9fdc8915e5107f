import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  after,
  asOid,
  asTid,
  maxTid,
  nextTid,
  noTid,
  readOid,
  readTid,
  tidToDate,
  writeId,
} from '../../src/core/ids.ts'

const safe = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })

test('ids survive 8 bytes, wherever they lie', () => {
  fc.assert(
    fc.property(safe, fc.integer({ min: 0, max: 9 }), (value, offset) => {
      const bytes = new Uint8Array(20)
      writeId(bytes, asOid(value), offset)
      expect(readOid(bytes, offset)).toBe(value)
      expect(Buffer.from(bytes.buffer).readBigUInt64BE(offset)).toBe(BigInt(value))
    }),
  )
})

test('encoded ids sort as the ids do', () => {
  fc.assert(
    fc.property(safe, safe, (a, b) => {
      const [left, right] = [a, b].map((id) => {
        const bytes = Buffer.alloc(8)
        writeId(bytes, asTid(id), 0)
        return bytes
      }) as [Buffer, Buffer]
      expect(Math.sign(Buffer.compare(left, right))).toBe(Math.sign(a - b))
    }),
  )
})

test('bytes that are no id are refused, not rounded', () => {
  expect(() => readTid(new Uint8Array(8).fill(255), 0)).toThrow(RangeError)
  for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => asOid(bad)).toThrow(RangeError)
})

test('tids increase even when the clock stands still or goes back', () => {
  expect(nextTid(noTid, 1_000)).toBe(1_000)
  expect(nextTid(asTid(1_000), 1_000)).toBe(1_001)
  expect(nextTid(asTid(5_000), 1_000)).toBe(5_001)
  expect(after(maxTid)).toBe(maxTid)
})

test('a tid tells when it was', () => {
  expect(tidToDate(asTid(Date.UTC(2026, 0, 2) * 1000)).toISOString()).toBe('2026-01-02T00:00:00.000Z')
})
