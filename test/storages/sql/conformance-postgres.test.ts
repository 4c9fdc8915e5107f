/** The public conformance suite over PostgreSQL, both schemas, on a private server. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import { configurations } from './configurations.ts'
import { startTestServer } from './servers.ts'

const server = await startTestServer(postgres, { durability: 'os' })
if (server === undefined) test.skip('there is no PostgreSQL server', () => {})
else {
  await server.stop()
  describe.each(configurations)('postgres with %o', async (given) => {
    const options = { ...given, durability: 'os', lockTimeout: '5s' }
    await checkStorage({ module: postgres, options }, { test, after: afterAll, skip: test.skip })
  })
}
