/** Rows of PostgreSQL's answers, taken out of a stream that may be cut anywhere. */

import { expect, test } from 'vitest'
import { Random } from '../../../src/core/random.ts'
import {
  binaryDecoder,
  decodeRow,
  type PgValue,
  RowSplitter,
  textDecoder,
} from '../../../src/storages/sql/postgres/rows.ts'

const types = { boolean: 16, bytea: 17, bigint: 20, int: 23, text: 25 }
const decoders = [types.bigint, types.bytea, types.text, types.boolean, types.int].map(binaryDecoder)

function message(code: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(code, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function row(columns: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(columns.length)
  const parts = columns.flatMap((column) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(column?.length ?? -1)
    return column === null ? [length] : [length, column]
  })
  return message('D', Buffer.concat([count, ...parts]))
}

function bigint(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const data = Buffer.from([0, 0xff, 0x80, 0xc3, 0x28, 10])
const answer = [
  message('1', Buffer.alloc(0)),
  row([bigint(Number.MAX_SAFE_INTEGER), data, Buffer.from('grün'), Buffer.from([1]), int(-7)]),
  row([null, null, null, null, null]),
  message('C', Buffer.from('SELECT 2\0')),
  row([bigint(-1), Buffer.alloc(70_000, 3), Buffer.alloc(0), Buffer.from([0]), int(2 ** 31 - 1)]),
  row([bigint(0), Buffer.alloc(0), Buffer.from('D'), Buffer.from([1]), int(0)]),
  message('Z', Buffer.from('I')),
]

/** In the order in which it was told: rows, and the codes of other messages. Bytes as text, which compares quickly. */
function told(chunks: readonly Buffer[]): unknown[] {
  const all: unknown[] = []
  const splitter = new RowSplitter(
    (bytes, at) => all.push(decodeRow(decoders, bytes, at).map(plain)),
    (messages) => {
      for (let at = 0; at < messages.length; at += 1 + messages.readInt32BE(at + 1)) {
        all.push(messages.toString('latin1', at, at + 1))
      }
    },
  )
  for (const chunk of chunks) splitter.push(chunk)
  return all
}

function plain(value: PgValue): unknown {
  return value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('hex')}` : value
}

const expected = [
  '1',
  [Number.MAX_SAFE_INTEGER, plain(data), 'grün', true, -7],
  [null, null, null, null, null],
  'C',
  [-1, plain(Buffer.alloc(70_000, 3)), '', false, 2 ** 31 - 1],
  [0, plain(Buffer.alloc(0)), 'D', true, 0],
  'Z',
]

test('rows and other messages are told whole and in order', () => {
  expect(told([Buffer.concat(answer)])).toEqual(expected)
})

test('a stream may be cut anywhere', () => {
  const seed = 20_260_101
  const random = new Random(seed)
  const all = Buffer.concat(answer)
  for (let round = 0; round < 100; round++) {
    const chunks: Buffer[] = []
    const longest = [1, 3, 40, 5000, 60_000][round % 5]!
    for (let at = 0; at < all.length; ) {
      // The long value goes in larger pieces, so that bytes one by one are only where messages begin and end.
      const isInside = at > 300 && at < all.length - 300
      const length = 1 + random.integer(isInside ? 20_000 : longest)
      chunks.push(Buffer.from(all.subarray(at, at + length)))
      at += length
    }
    expect(told(chunks), `seed ${seed}, round ${round}`).toEqual(expected)
  }
})

test('a value does not share memory with what came over the wire', () => {
  const bytes = row([bigint(1), Buffer.from([5]), null, null, null])
  const [, value] = decodeRow(decoders, bytes, 5)
  bytes.fill(0)
  expect(value).toEqual(Buffer.from([5]))
})

test('a column that nobody here reads is named, not guessed', () => {
  const numeric = 1700
  expect(() => binaryDecoder(numeric)).toThrow('type 1700')
  const bytes = Buffer.from('12.5')
  expect(textDecoder(numeric)(bytes, 0, 4)).toBe('12.5')
  expect(textDecoder(types.bigint)(Buffer.from('12'), 0, 2)).toBe(12)
})
