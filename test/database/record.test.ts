import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CorruptDataError } from '../../src/core/errors.ts'
import type { Oid } from '../../src/core/ids.ts'
import { GenericObject } from '../../src/database/class-registry.ts'
import type { Value } from '../../src/database/persistent.ts'
import { classNameOf, decodeRecord, references } from '../../src/database/record-decoder.ts'
import { encodeRecord } from '../../src/database/record-encoder.ts'

function object(oid: number, className: string): GenericObject {
  const one = new GenericObject(className, null)
  one.oid = oid as Oid
  return one
}

const refer = (oid: Oid, className: string) => object(oid, className)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const fromHex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const decode = (text: string) => decodeRecord(fromHex(text), refer)

/** The same records stand in docs/record-format.md. */
const golden: readonly (readonly [string, string, Value, string])[] = [
  ['null', 'a.B', null, '01 00 01 03612e42 00'],
  ['false', 'a.B', false, '01 00 01 03612e42 01'],
  ['true', 'a.B', true, '01 00 01 03612e42 02'],
  ['zero', 'a.B', 0, '01 00 01 03612e42 03 00'],
  ['300', 'a.B', 300, '01 00 01 03612e42 03 ac02'],
  ['the largest integer', 'a.B', Number.MAX_SAFE_INTEGER, '01 00 01 03612e42 03 ffffffffffffff0f'],
  ['-1', 'a.B', -1, '01 00 01 03612e42 04 00'],
  ['minus zero', 'a.B', -0, '01 00 01 03612e42 05 8000000000000000'],
  ['one and a half', 'a.B', 1.5, '01 00 01 03612e42 05 3ff8000000000000'],
  ['not a number', 'a.B', Number.NaN, '01 00 01 03612e42 05 7ff8000000000000'],
  ['a string', 'a.B', 'zürich', '01 00 01 03612e42 06 07 7ac3bc72696368'],
  ['bytes', 'a.B', new Uint8Array([1, 2, 255]), '01 00 01 03612e42 07 00000003 0102ff'],
  ['an array', 'a.B', [1, []], '01 00 01 03612e42 08 02 0301 0800'],
  ['an object', 'a.B', { x: 1, y: null }, '01 00 01 03612e42 09 02 0178 0301 0179 00'],
  [
    'references',
    'a.B',
    [object(258, 'c.D'), object(1, 'a.B'), null],
    '01 02 0000000000000102 0000000000000001 02 03612e42 03632e44 01 00 08 03 0a00 0a01 00',
  ],
]

describe('a record', () => {
  test.each(golden)('of %s has the documented bytes', (_name, className, state, bytes) => {
    expect(hex(encodeRecord(className, state))).toBe(bytes.replaceAll(' ', ''))
    const decoded = decode(bytes)
    expect(decoded.className).toBe(className)
    expect(hex(encodeRecord(decoded.className, decoded.state))).toBe(bytes.replaceAll(' ', ''))
  })

  test('gives back every state that it can hold', () => {
    const value = fc.letrec<{ value: Value }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        fc.double(),
        fc.string({ unit: 'grapheme', maxLength: 80 }),
        fc.string({ minLength: 60, maxLength: 200 }),
        fc.uint8Array({ maxLength: 50 }),
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 10 }), tie('value'), { maxKeys: 5 }),
      ),
    })).value
    fc.assert(
      fc.property(value, (state) => {
        const record = encodeRecord('test.Any', state)
        const decoded = decodeRecord(record, refer)
        expect(decoded.state).toStrictEqual(withPlainPrototypes(state))
        expect(encodeRecord('test.Any', decoded.state)).toStrictEqual(record)
      }),
      { seed: 20_260_101, numRuns: 500 },
    )
  })

  test('names each object it refers to once, in the order of first mention', () => {
    const [a, b] = [object(7, 'x.A'), object(2 ** 52, 'x.B')]
    const record = encodeRecord('x.C', { first: a, more: [b, a, { deep: b }] })
    expect(references(record)).toStrictEqual([7, 2 ** 52])
    const state = decodeRecord(record, refer).state as { first: GenericObject; more: GenericObject[] }
    expect(state.more[1]).toBe(state.first)
    expect(state.more[0]?.className).toBe('x.B')
  })

  test('gives its references and its class without its state being readable', () => {
    const record = encodeRecord('x.C', [object(3, 'x.A'), 'text']).slice(0, -6)
    expect(references(record)).toStrictEqual([3])
    expect(classNameOf(record)).toBe('x.C')
  })

  test('cut off anywhere, or with anything behind it, is refused', () => {
    const record = encodeRecord('x.C', { a: object(3, 'x.A'), b: [1.5, 'text', new Uint8Array(5), -70_000] })
    for (let length = 0; length < record.length; length++) {
      expect(() => decodeRecord(record.slice(0, length), refer), `length ${length}`).toThrow(CorruptDataError)
    }
    expect(() => decodeRecord(new Uint8Array([...record, 0]), refer)).toThrow(CorruptDataError)
  })

  test('with any byte changed is refused or read as another state, and never anything worse', () => {
    const record = encodeRecord('x.C', { a: object(3, 'x.A'), b: [1.5, 'tüxt', new Uint8Array(5), -70_000] })
    for (let position = 0; position < record.length; position++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = record.slice()
        damaged[position] = damaged[position]! ^ (1 << bit)
        try {
          decodeRecord(damaged, refer)
        } catch (error) {
          expect(error, `byte ${position}, bit ${bit}`).toBeInstanceOf(CorruptDataError)
        }
      }
    }
  })

  test.each([
    ['another version', '02 00 01 03612e42 00'],
    ['no class', '01 00 00 00'],
    ['an empty class name', '01 00 01 00 00'],
    ['a class name with a blank', '01 00 01 03 612042 00'],
    ['a class that nothing refers to', '01 00 02 0161 0162 00'],
    ['an unknown kind of value', '01 00 01 0161 0b'],
    ['a number in more bytes than needed', '01 00 01 0161 03 8000'],
    ['an integer beyond 53 bits', '01 00 01 0161 03 ffffffffffffff1f'],
    ['an integer written as a float', '01 00 01 0161 05 3ff0000000000000'],
    ['a count that the record cannot hold', '01 00 01 0161 08 ffffffff0f'],
    ['a length of bytes beyond its end', '01 00 01 0161 07 ffffffff 00'],
    ['a text that is not UTF-8', '01 00 01 0161 06 01 ff'],
    ['a key twice', '01 00 01 0161 09 02 0178 00 0178 00'],
    ['a reference that is not in the table', '01 00 01 0161 0a 00'],
    ['an oid beyond 53 bits', '01 01 0020000000000000 01 0161 00 00'],
    ['a reference without class', '01 01 0000000000000001 01 0161 01 00'],
    ['nesting without end', `01 00 01 0161 ${'0801'.repeat(300)} 00`],
  ])('with %s is refused', (_name, bytes) => {
    expect(() => decode(bytes)).toThrow(CorruptDataError)
  })

  test('keeps a key called __proto__ an ordinary key', () => {
    const state = JSON.parse('{"__proto__": {"polluted": true}}') as Value
    const decoded = decodeRecord(encodeRecord('x.C', state), refer).state as object
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
    expect(Object.keys(decoded)).toStrictEqual(['__proto__'])
  })

  test.each([
    ['undefined', undefined],
    ['a function', () => {}],
    ['a date', new Date(0)],
    ['a Map', new Map()],
    ['a bigint', 1n],
    ['half a surrogate pair', 'x\ud800'],
  ])('cannot hold %s', (_name, value) => {
    expect(() => encodeRecord('x.C', [value as unknown as Value])).toThrow(
      expect.objectContaining({ code: 'not-storable' }),
    )
  })

  test('cannot hold something that contains itself', () => {
    const list: Value[] = []
    list.push(list)
    expect(() => encodeRecord('x.C', list)).toThrow(expect.objectContaining({ code: 'not-storable' }))
  })

  test('of a large state leaves no trace in the next one', () => {
    encodeRecord('x.C', new Uint8Array(3 << 20).fill(7))
    expect(hex(encodeRecord('a.B', null))).toBe('01000103612e4200')
  })
})

/** fast-check makes some objects without prototype; decoded ones always have the usual one. */
function withPlainPrototypes(value: Value): Value {
  if (Array.isArray(value)) return value.map(withPlainPrototypes)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  const copy: { [key: string]: Value } = {}
  for (const [key, item] of Object.entries(value as { [key: string]: Value })) {
    Object.defineProperty(copy, key, {
      value: withPlainPrototypes(item),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return copy
}

test('docs/record-format.md shows the golden records', async () => {
  const page = await readFile(new URL('../../docs/record-format.md', import.meta.url), 'utf8')
  for (const [name, , , bytes] of golden) expect(page, name).toContain(`\`${bytes}\``)
})
