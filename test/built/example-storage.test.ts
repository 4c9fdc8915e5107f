/** The storage that people copy passes the whole suite, from the built package, as they would run it. */

import { checkStorage } from 'shootout/conformance'
import { afterAll, expect, test } from 'vitest'
import tiny from '../../examples/tiny-storage.js'

const plan = await checkStorage({ module: tiny }, { test, after: afterAll, skip: test.skip })

test('it takes part in most of the suite', () => {
  expect(plan.checks.length).toBeGreaterThan(200)
})
