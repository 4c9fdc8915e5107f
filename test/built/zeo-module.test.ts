/** The module as a run uses it: a server process for each store. The topics that many clients bear on most. */

import { afterAll, describe, expect, test } from 'vitest'
import type * as Conformance from '../../src/conformance/index.ts'
import type { StorageModule } from '../../src/storages/storage.ts'

const built = new URL(process.env['SHOOTOUT_BUILT'] ?? '../../dist/', import.meta.url)
const load = async <T>(path: string) => (await import(new URL(path, built).href)) as T
const { checkStorage } = await load<typeof Conformance>('conformance/index.js')
const { default: zeo } = await load<{ default: StorageModule }>('storages/zeo/index.js')
const { parseOptions } = await load<typeof import('../../src/core/options.ts')>('core/options.js')

const names = { file: 'file/index.js', sqlite: 'sql/sqlite/index.js', memory: 'memory.js' }

for (const serve of ['file', 'sqlite', 'memory'] as const) {
  describe(serve, async () => {
    await checkStorage(
      { module: zeo, options: { serve }, only: ['races', 'sharing', 'honesty'] },
      { test, after: afterAll, skip: test.skip },
    )

    test.each([false, true])('what is claimed for it is what it claims, history %s', async (history) => {
      const { default: served } = await load<{ default: StorageModule }>(`storages/${names[serve]}`)
      const given = 'history' in served.options ? { history } : {}
      const own = served.capabilities(parseOptions(serve, served.options, given))
      const claimed = zeo.capabilities(parseOptions('zeo', zeo.options, { serve, history }))
      const shared = [
        'durability',
        'history',
        'deletion',
        'undo',
        'iteration',
        'pack',
        'blobs',
        'conflictResolution',
      ] as const
      for (const name of shared) expect([name, claimed[name]]).toEqual([name, own[name]])
    })
  })
}
