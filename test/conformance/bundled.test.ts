/** The conformance suite over every bundled storage that keeps its data. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../src/conformance/index.ts'
import { loadStorageModule, storageUrl } from '../../src/storages/registry.ts'

for (const name of ['file', 'sqlite']) {
  describe(name, async () => {
    const module = await loadStorageModule(storageUrl(name))
    await checkStorage({ module }, { test, after: afterAll, skip: test.skip })
  })
}
