/** `shootout check` of storages that are modules of their own and break one promise each, as their author would run it. */

import { expect, test } from 'vitest'
import { fixture, shootout } from './shootout.ts'

test.each([
  ['lost-invalidation', /lost invalidation/],
  ['stale-read', /the object is "first", should be "second"/],
  ['torn-commit', /the number of different values in one snapshot .* is 2, should be 1/],
])('%s is found, and said', async (name, message) => {
  const { code, stdout } = await shootout(['check', fixture(`broken-storages/${name}.js`)])
  expect(code).toBe(1)
  expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(message)
})
