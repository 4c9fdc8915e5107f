/** The conformance suite over the memory storage, with history and without. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../src/conformance/index.ts'
import memory from '../../src/storages/memory.ts'

for (const history of [false, true]) {
  describe(`memory, history ${history}`, async () => {
    await checkStorage({ module: memory, options: { history } }, { test, after: afterAll, skip: test.skip })
  })
}
