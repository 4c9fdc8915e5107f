import { expect, test } from 'vitest'
import {
  checkedRecordSizes,
  describeRecordSizes,
  isRecordSizes,
  parseRecordSizes,
  recordBytesAt,
  recordBytesMax,
  recordBytesMean,
  recordBytesMin,
  scaledRecordSizes,
} from '../../src/core/record-sizes.ts'

test('each notation is read, described, and has its bounds and mean', () => {
  const read = ['300', '100-4kb', '200:70,2kb:25,64kb:5'].map(parseRecordSizes)
  expect(read).toEqual([
    300,
    { min: 100, max: 4096 },
    {
      mix: [
        { bytes: 200, weight: 70 },
        { bytes: 2048, weight: 25 },
        { bytes: 65_536, weight: 5 },
      ],
    },
  ])
  expect(read.map(describeRecordSizes)).toEqual([
    '300 B',
    '100 B to 4.00 KB',
    '200 B (70 %), 2.00 KB (25 %), 64.0 KB (5 %)',
  ])
  expect(read.map(recordBytesMin)).toEqual([300, 100, 200])
  expect(read.map(recordBytesMax)).toEqual([300, 4096, 65_536])
  expect(read.map(recordBytesMean)).toEqual([300, 2098, 0.7 * 200 + 0.25 * 2048 + 0.05 * 65_536])
  for (const sizes of read) expect(isRecordSizes(JSON.parse(JSON.stringify(sizes)))).toBe(true)
})

test('the whole distribution is reached, and nothing outside it', () => {
  const almostOne = 1 - 2 ** -32
  expect([0, almostOne].map((at) => recordBytesAt({ min: 64, max: 66 }, at))).toEqual([64, 66])
  const mixed = parseRecordSizes('100:1,200:3')
  expect([0, 0.2499, 0.25, almostOne].map((at) => recordBytesAt(mixed, at))).toEqual([100, 100, 200, 200])
})

test('scaling scales every size', () => {
  expect(scaledRecordSizes(300, 1.1)).toBe(330)
  expect(scaledRecordSizes({ min: 100, max: 200 }, 1.1)).toEqual({ min: 110, max: 220 })
  expect(scaledRecordSizes(parseRecordSizes('100:2'), 1.1)).toEqual({ mix: [{ bytes: 110, weight: 2 }] })
})

test.each([{}, null, [], { min: 1 }, { mix: [] }, { mix: [{ bytes: 1 }] }, { mix: [null] }, -1, 1.5, true])(
  '%j is not a distribution of sizes',
  (value) => {
    expect(isRecordSizes(value)).toBe(false)
    expect(() => checkedRecordSizes(value)).toThrow('record size')
  },
)
