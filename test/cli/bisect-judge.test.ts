/** What the judge asks of its gates. */

import { expect, test } from 'vitest'
import { limitsBelow } from '../../src/cli/bisect/judge.ts'
import { shareOf } from '../../src/cli/flag-values.ts'

test.each([
  [0.06, 0.06],
  [0.5, 0.5],
  [1.5, 1],
  [40, 1],
])('to find a slowdown of %d, a gate gets limits that it takes', (slowdown, delta) => {
  const flags = limitsBelow(slowdown)
  expect(shareOf('--delta', flags.delta)).toBeCloseTo(delta)
  expect(shareOf('--tau', flags.tau)).toBeCloseTo(delta * 0.4)
})
