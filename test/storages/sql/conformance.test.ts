/** The public conformance suite, over every SQL storage and both schemas. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import { configurations } from './configurations.ts'

const framework = { test, after: afterAll, skip: test.skip }

describe.each(configurations)('sqlite with %o', async (given) => {
  await checkStorage({ module: sqlite, options: { ...given, durability: 'os' } }, framework)
})
