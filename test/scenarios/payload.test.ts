import { deflateSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { VerificationError } from '../../src/core/errors.ts'
import { parseRecordSizes } from '../../src/core/record-sizes.ts'
import { encodeRecord } from '../../src/database/record-encoder.ts'
import { Item, indexOf, Payload, versionOf } from '../../src/scenarios/payload.ts'
import { coded } from '../coded.ts'

const record = (payload: Payload, index = 1) => encodeRecord(Item.className, payload.make(0, index, 0))

describe('a payload', () => {
  test.each([34, 35, 149, 150, 151, 300, 16_405, 100_000])(
    'makes records of exactly %i bytes',
    (recordBytes) => {
      for (const compressibility of [0, 0.3, 1]) {
        const payload = new Payload(1, { recordBytes, compressibility })
        expect(record(payload).length).toBe(recordBytes)
      }
    },
  )

  test('has the sizes of the distribution, an object the same one in every version', () => {
    const recordBytes = { min: 100, max: 109 }
    const payload = new Payload(1, { recordBytes, compressibility: 0.5 })
    const counts = new Map<number, number>()
    for (let index = 0; index < 10_000; index++) {
      const bytes = record(payload, index).length
      expect(bytes).toBe(payload.recordBytesOf(0, index))
      counts.set(bytes, (counts.get(bytes) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109])
    // Six standard deviations of a binomial count with n = 10 000, p = 0.1.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(180)
    expect(payload.make(3, 7, 5).length).toBe(payload.make(3, 7, 0).length)
  })

  test('mixes sizes by their weights', () => {
    const recordBytes = parseRecordSizes('100:70,1kb:25,4kb:5')
    const payload = new Payload(2, { recordBytes, compressibility: 0.5 })
    const sizes = Array.from({ length: 10_000 }, (_, index) => payload.recordBytesOf(1, index))
    const share = (bytes: number) => sizes.filter((one) => one === bytes).length / sizes.length
    expect(share(100)).toBeCloseTo(0.7, 1)
    expect(share(1024)).toBeCloseTo(0.25, 1)
    expect(share(4096)).toBeCloseTo(0.05, 1)
    expect(share(100) + share(1024) + share(4096)).toBeCloseTo(1, 12)
  })

  test('says what the least size is', () => {
    expect(() => new Payload(1, { recordBytes: 33, compressibility: 0 })).toThrow(
      coded('record-too-small', 'at least 34'),
    )
    expect(() => new Payload(1, { recordBytes: 50, compressibility: 0 }, 80)).toThrow(
      coded('record-too-small', 'at least 114'),
    )
  })

  test.each([0, 0.25, 0.5, 0.75, 1])('compresses by about the share %d', (compressibility) => {
    const payload = new Payload(1, { recordBytes: 20_000, compressibility })
    const ratio = deflateSync(record(payload)).length / 20_000
    expect(ratio).toBeGreaterThan(1 - compressibility - 0.02)
    expect(ratio).toBeLessThan(1 - compressibility + 0.02)
  })

  test('is the same for the same seed, and another for each object, version and seed', () => {
    const dataset = { recordBytes: 100, compressibility: 0 }
    const make = (seed: number, owner: number, index: number, version: number) =>
      Buffer.from(new Payload(seed, dataset).make(owner, index, version)).toString('hex', 12)
    expect(make(1, 2, 3, 4)).toBe(make(1, 2, 3, 4))
    const others = [make(1, 2, 3, 4), make(9, 2, 3, 4), make(1, 9, 3, 4), make(1, 2, 9, 4), make(1, 2, 3, 9)]
    expect(new Set(others).size).toBe(5)
    // Golden: a change of these bytes makes results of before and after incomparable.
    expect(make(1, 2, 3, 4).slice(0, 32)).toMatchInlineSnapshot(`"e299cbee39740523f84dc03d27af95bb"`)
  })

  test('carries index and version where they are cheaply read', () => {
    const content = new Payload(1, { recordBytes: 100, compressibility: 0.5 }).make(7, 70_000, 3_000_000_000)
    expect(indexOf(content)).toBe(70_000)
    expect(versionOf(content)).toBe(3_000_000_000)
  })

  test('notices every changed byte outside the reserved ones', () => {
    const payload = new Payload(1, { recordBytes: 120, compressibility: 0.5 }, 8)
    const content = payload.make(7, 5, 3)
    payload.check(content, 7, 5, 3, 'unchanged')
    for (let at = 0; at < content.length; at++) {
      const damaged = content.slice()
      damaged[at] = damaged[at]! ^ 0x10
      const check = () => payload.check(damaged, 7, 5, 3, `byte ${at}`)
      if (at >= 12 && at < 20) expect(check).not.toThrow()
      else expect(check).toThrow(VerificationError)
    }
    expect(() => payload.check(content.slice(1), 7, 5, 3, 'short')).toThrow(VerificationError)
  })
})
