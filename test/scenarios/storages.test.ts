import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'
import { loadScenarioModule, scenarioNames, scenarioUrl } from '../../src/scenarios/registry.ts'
import { openStorage } from '../../src/storages/open.ts'
import { loadStorageModule, storageUrl } from '../../src/storages/registry.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { drive } from './drive.ts'

/** The storages that need no server: what a scenario meets in threads and servers is for the runner's tests. */
const storages = await Promise.all(['file', 'sqlite'].map((name) => loadStorageModule(storageUrl(name))))
const scenarios = await Promise.all(scenarioNames.map((name) => loadScenarioModule(scenarioUrl(name))))

const defaultsOf = (module: StorageModule) =>
  Object.fromEntries(Object.entries(module.options).map(([name, one]) => [name, one.default]))

const cases = storages.flatMap((storage) => {
  const capabilities = storage.capabilities(defaultsOf(storage))
  return scenarios
    .filter(({ requires }) => (requires.capabilities ?? []).every((name) => capabilities[name]))
    .map((scenario) => [storage.name, scenario.name, storage, scenario] as const)
})

test.each(cases)('on %s, %s passes its own checks', async (_storage, _scenario, module, scenario) => {
  const parent = await mkdtemp(join(tmpdir(), 'shootout-scenarios-'))
  const folder = join(parent, 'provision')
  await mkdir(folder)
  try {
    const provision = await module.provision!(defaultsOf(module), { folder, log: () => {} })
    if (!provision.available) throw new Error(provision.reason)
    const store = await provision.newStore('store_1')
    const storage = await openStorage(module, store.options, { resolveConflict })
    try {
      const totals = await drive(scenario, storage, { workers: 3, objectsPerTransaction: 4, operations: 6 })
      expect(totals.operations).toBe(6 * 2 * 3)
    } finally {
      await storage.close()
      await store.dispose()
      await provision.dispose()
    }
  } finally {
    await rm(parent, { recursive: true })
  }
})
