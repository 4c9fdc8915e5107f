/** The public conformance suite, over every SQL storage and both schemas. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'

const framework = { test, after: afterAll, skip: test.skip }

describe.each([{ history: false }, { history: true }])('sqlite with %o', async ({ history }) => {
  await checkStorage({ module: sqlite, options: { history, durability: 'os' } }, framework)
})
