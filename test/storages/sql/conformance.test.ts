/** The public conformance suite over SQLite, both schemas; with history, blobs are cached in a folder too. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import { blobCacheOptions, configurations } from './configurations.ts'

const framework = { test, after: afterAll, skip: test.skip }

const withBlobs = configurations.map((given) =>
  given['history'] === true ? { ...blobCacheOptions(), ...given } : given,
)

describe.each(withBlobs)('sqlite with %o', async (given) => {
  await checkStorage({ module: sqlite, options: { ...given, durability: 'os' } }, framework)
})
