/** The conformance suite, race models included, through a server in this process. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { loadStorageModule, storageUrl } from '../../../src/storages/registry.ts'
import { servedModule } from './served-module.ts'

const served = [
  ['memory', { history: false }],
  ['memory', { history: true }],
  ['file', {}],
  ['sqlite', {}],
] as const

for (const [name, given] of served) {
  describe(`served ${name} ${JSON.stringify(given)}`, async () => {
    const module = await loadStorageModule(storageUrl(name))
    const options = parseOptions(name, module.options, given)
    await checkStorage({ module: servedModule(module, options) }, { test, after: afterAll, skip: test.skip })
  })
}
