/** The public conformance suite over MySQL or MariaDB, both schemas, on a private server. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import { configurations } from './configurations.ts'
import { startTestServer } from './servers.ts'

const server = await startTestServer(mysql, { durability: 'os' })
if (server === undefined) test.skip('there is no MySQL or MariaDB server', () => {})
else {
  await server.stop()
  describe.each(configurations)('mysql with %o', async (given) => {
    const options = { ...given, durability: 'os', lockTimeout: '5s' }
    await checkStorage({ module: mysql, options }, { test, after: afterAll, skip: test.skip })
  })
}
