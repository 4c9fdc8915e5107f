/**
 * The public conformance suite over SQLite, both schemas: without history as it is by default, with history at the
 * lesser durability, and with blobs cached in a folder.
 */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import { blobCacheOptions, configurations } from './configurations.ts'

const framework = { test, after: afterAll, skip: test.skip }

const varied = configurations.map((given) =>
  given['history'] === true ? { ...blobCacheOptions(), durability: 'os', ...given } : given,
)

describe.each(varied)('sqlite with %o', async (options) => {
  await checkStorage({ module: sqlite, options }, framework)
})
