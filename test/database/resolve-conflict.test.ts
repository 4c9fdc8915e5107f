import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CorruptDataError } from '../../src/core/errors.ts'
import { type Oid, rootOid } from '../../src/core/ids.ts'
import { GenericObject } from '../../src/database/class-registry.ts'
import type { Value } from '../../src/database/persistent.ts'
import { decodeRecord, references } from '../../src/database/record-decoder.ts'
import { encodeRecord } from '../../src/database/record-encoder.ts'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'

function merge(className: string, base: Value, committed: Value, mine: Value): Value | undefined {
  const records = [base, committed, mine].map((state) => encodeRecord(className, state))
  const before = records.map((record) => record.slice())
  const merged = resolveConflict(rootOid, records[0]!, records[1]!, records[2]!)
  expect(records).toStrictEqual(before)
  if (merged === undefined) return undefined
  return decodeRecord(merged, () => new GenericObject('x')).state
}

describe('merging', () => {
  test('counters adds both changes', () => {
    expect(merge('shootout.Counter', 10, 13, 8)).toBe(11)
  })

  test('sets applies both changes, unless they touch the same member', () => {
    const set = 'shootout.Set'
    expect(merge(set, ['a', 'b'], ['a', 'b', 'c'], ['b', 1])).toStrictEqual(['b', 'c', 1])
    expect(merge(set, ['a'], ['a', 'x'], ['a', 'x'])).toBeUndefined()
    expect(merge(set, ['a'], [], [])).toBeUndefined()
    expect(merge(set, [], [], [])).toStrictEqual([])
  })

  test('sets that share no change gives both, in whatever order', () => {
    const members = fc.uniqueArray(fc.integer({ min: 0, max: 20 }))
    fc.assert(
      fc.property(members, members, members, (base, committed, mine) => {
        const merged = merge('shootout.Set', base, committed, mine) as number[] | undefined
        const changed = (other: number[]) =>
          new Set([...base, ...other].filter((one) => base.includes(one) !== other.includes(one)))
        const both = [...changed(committed)].filter((one) => changed(mine).has(one))
        if (both.length > 0) {
          expect(merged).toBeUndefined()
          return
        }
        const expected = new Set(base)
        for (const one of [...changed(committed), ...changed(mine)]) {
          if (!expected.delete(one)) expected.add(one)
        }
        expect(new Set(merged)).toStrictEqual(expected)
      }),
      { seed: 20_260_105, numRuns: 500 },
    )
  })

  test('is refused for classes that do not say how, and for classes nobody knows', () => {
    expect(merge('shootout.Map', [], ['a', 1], ['b', 1])).toBeUndefined()
    expect(merge('nobody.Knows', 1, 2, 3)).toBeUndefined()
  })

  test('is refused when the object changed its class', () => {
    const [base, mine] = [encodeRecord('shootout.Counter', 1), encodeRecord('shootout.Counter', 2)]
    expect(resolveConflict(rootOid, base, encodeRecord('shootout.Set', []), mine)).toBeUndefined()
  })

  test('keeps references: equal ones are recognised, and come out as they went in', () => {
    const item = new GenericObject('app.Item', null)
    item.oid = 77 as Oid
    const other = new GenericObject('app.Other', null)
    other.oid = 78 as Oid
    const bucket = (...entries: Value[]) => encodeRecord('shootout.BTreeBucket', [0, ...entries])
    const merged = resolveConflict(
      rootOid,
      bucket(1, item),
      bucket(1, item, 2, other),
      bucket(1, item, 3, { deep: [other] }),
    )!
    expect(references(merged)).toStrictEqual([77, 78])
    const { state } = decodeRecord(merged, (oid, name) => Object.assign(new GenericObject(name), { oid }))
    expect((state as GenericObject[])[4]!.className).toBe('app.Other')
  })

  test('of damaged records is an error, not a result', () => {
    const good = encodeRecord('shootout.Counter', 1)
    expect(() => resolveConflict(rootOid, good.slice(0, 5), good, good)).toThrow(CorruptDataError)
    expect(() => resolveConflict(rootOid, good, encodeRecord('shootout.Counter', 'x'), good)).toThrow(
      CorruptDataError,
    )
  })
})
