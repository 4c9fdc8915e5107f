import { expect, test } from 'vitest'
import { durationOf, shareOf } from '../../src/cli/flag-values.ts'

test('a value that cannot be read is refused with the name of its flag', () => {
  expect(() => durationOf('--budget', '5')).toThrow('--budget: "5" is not a duration')
  expect(() => shareOf('--tau', '5')).toThrow('--tau: "5" is not a share')
  expect([durationOf('--budget', '2s'), shareOf('--tau', '5%')]).toEqual([2e9, 0.05])
})
