/**
 * The module as a run uses it: a server process for each store. Over the log with the topics that many clients bear on
 * most; what the others do behind a server is seen without processes, in test/storages/zeo/conformance.test.ts.
 */

import { afterAll, describe, expect, test } from 'vitest'
import type * as Conformance from '../../src/conformance/index.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { dist } from './processes.ts'

const load = async <T>(path: string) => (await import(new URL(path, dist).href)) as T
const { checkStorage } = await load<typeof Conformance>('conformance/index.js')
const { default: zeo } = await load<{ default: StorageModule }>('storages/zeo/index.js')
const { parseOptions } = await load<typeof import('../../src/core/options.ts')>('core/options.js')

const names = { file: 'file/index.js', sqlite: 'sql/sqlite/index.js', memory: 'memory.js' }

for (const serve of ['file', 'sqlite', 'memory'] as const) {
  describe(serve, async () => {
    await checkStorage(
      {
        module: zeo,
        options: { serve },
        only: serve === 'file' ? ['races', 'sharing', 'honesty'] : ['honesty'],
      },
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
