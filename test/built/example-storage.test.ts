/** The storage that people copy passes the whole suite, from the built package, as they would run it. */

import { readFileSync } from 'node:fs'
import { checkStorage } from 'shootout/conformance'
import { afterAll, expect, test } from 'vitest'
import tiny from '../../examples/tiny-storage.js'

const plan = await checkStorage({ module: tiny }, { test, after: afterAll, skip: test.skip })

test('it has at most 80 lines, as the documentation says', () => {
  const source = readFileSync(new URL('../../examples/tiny-storage.js', import.meta.url), 'utf8')
  expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(80)
})

test('it takes part in most of the suite', () => {
  expect(plan.checks.length).toBeGreaterThan(200)
})
