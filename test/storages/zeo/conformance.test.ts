/** The conformance suite, race models included, through a server in this process. */

import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { loadStorageModule, storageUrl } from '../../../src/storages/registry.ts'
import { servedModule } from './served-module.ts'

const served = [
  ['memory', { history: false }, {}],
  ['memory', { history: true }, { cacheBytesLimit: 64 * 1024, updateStates: true, prefetchDepth: 2 }],
  ['file', {}, { cacheBytesLimit: 64 * 1024, onDisk: true, blobs: true }],
  ['sqlite', {}, { cacheBytesLimit: 8 * 1024 ** 2, updateStates: true, neighbours: 16 }],
] as const

for (const [name, given, cache] of served) {
  describe(`served ${name} ${JSON.stringify(given)}, clients ${JSON.stringify(cache)}`, async () => {
    const module = await loadStorageModule(storageUrl(name))
    const options = parseOptions(name, module.options, given)
    await checkStorage(
      { module: servedModule(module, options, cache) },
      { test, after: afterAll, skip: test.skip },
    )
  })
}
