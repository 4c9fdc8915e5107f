import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { option, parseOptions } from '../../src/core/options.ts'
import {
  formatBytes,
  formatDuration,
  formatRate,
  formatWait,
  parseBytes,
  parseDuration,
} from '../../src/core/units.ts'

const spec = {
  path: option.path({ default: '', summary: 'where' }),
  durability: option.choice({ choices: ['full', 'os'], default: 'full', summary: 'how safe' }),
  limit: option.bytes({ default: 64 * 1024 ** 2, summary: 'how much' }),
  pool: option.integer({ default: 4, min: 1, max: 64, summary: 'how many' }),
  wait: option.duration({ default: 5e9, summary: 'how long' }),
  history: option.boolean({ default: false, summary: 'keep it' }),
}

test('defaults fill what is not given', () => {
  expect(parseOptions('x', spec, {})).toEqual({
    path: '',
    durability: 'full',
    limit: 67_108_864,
    pool: 4,
    wait: 5e9,
    history: false,
  })
})

test('text from a command line and values from a config file mean the same', () => {
  const text = { path: 'a', durability: 'os', limit: '1mb', pool: '8', wait: '2s', history: 'true' }
  const typed = { path: resolve('a'), durability: 'os', limit: 1_048_576, pool: 8, wait: 2e9, history: true }
  expect(parseOptions('x', spec, text)).toEqual(typed)
  expect(parseOptions('x', spec, typed)).toEqual(typed)
})

test('every problem is named, not just the first', () => {
  expect(() =>
    parseOptions('storage file', spec, { durabilty: 'os', pool: '0', limit: 'big', history: 'maybe' }),
  ).toThrow(
    'storage file: no option "durabilty" (did you mean "durability"?); pool: "0" is not an integer from 1 to 64; ' +
      'limit: "big" is not a size; write it such as 300, 64kb or 1gb (1kb = 1024 bytes); history: "maybe" is not true or false',
  )
})

test('what every object has is no option and no unit', () => {
  expect(() => parseOptions('storage file', spec, { constructor: '1' })).toThrow('no option "constructor"')
  expect(() => parseBytes('5constructor')).toThrow('is not a size')
  expect(() => parseDuration('5constructor')).toThrow('is not a duration')
})

test('sizes and durations are read as people write them', () => {
  expect([parseBytes('300'), parseBytes('1.5k'), parseBytes('2 GB')]).toEqual([300, 1536, 2 * 1024 ** 3])
  expect([parseDuration('250us'), parseDuration('4m'), parseDuration('1.5h')]).toEqual([250e3, 240e9, 5400e9])
  expect(() => parseDuration('4')).toThrow('not a duration')
})

test('defaults are shown as a person would write them, and as exactly what they are', () => {
  const sizes = option.bytes({ default: 0, summary: '' })
  const durations = option.duration({ default: 0, summary: '' })
  expect([0, 300, 1500, 64 * 1024 ** 2].map(sizes.format)).toEqual(['0', '300', '1500', '64mb'])
  expect([0, 30e9, 1_500e6, 90e9, 7].map(durations.format)).toEqual(['0s', '30s', '1500ms', '90s', '7ns'])
})

test('sizes, durations and rates are written with three digits', () => {
  expect([0, 999, 1536, 5 * 1024 ** 2].map(formatBytes)).toEqual(['0 B', '999 B', '1.50 KB', '5.00 MB'])
  expect([12.3, 1234, 56.7e6, 3e9].map(formatDuration)).toEqual(['12.3 ns', '1.23 µs', '56.7 ms', '3.00 s'])
  expect([95e9, 3.4e9, 7260e9].map(formatWait)).toEqual(['1m 35s', '3s', '2h 01m'])
  expect([12.34, 9999, 123_456, 7.5e6].map(formatRate)).toEqual(['12.3/s', '9999/s', '123 k/s', '7.50 M/s'])
})
