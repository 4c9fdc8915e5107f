import { describe, expect, test } from 'vitest'
import { VerificationError } from '../../src/core/errors.ts'
import type { Oid, Tid } from '../../src/core/ids.ts'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'
import { loadScenarioModule, scenarioNames, scenarioUrl } from '../../src/scenarios/registry.ts'
import memory from '../../src/storages/memory.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { Storage } from '../../src/storages/storage.ts'
import { TestStorage } from '../database/test-storage.ts'
import { type Drive, drive } from './drive.ts'

const modules = await Promise.all(scenarioNames.map((name) => loadScenarioModule(scenarioUrl(name))))
const named = (name: string) => modules[scenarioNames.indexOf(name)]!

async function openMemory(): Promise<Storage> {
  const options = Object.fromEntries(Object.entries(memory.options).map(([name, one]) => [name, one.default]))
  return openStorage(memory, options as never, { resolveConflict })
}

describe.each(modules.map((module) => [module.name, module] as const))('%s', (_name, module) => {
  const runs: readonly [number, number][] = [
    [1, 1],
    [2, 20],
    [5, 3],
  ]
  for (const [workers, objectsPerTransaction] of runs) {
    if (workers < (module.requires.workersMin ?? 1)) continue
    const how: Drive = { workers, objectsPerTransaction, operations: 12, recordBytes: 200 }
    const capabilities = module.requires.capabilities ?? []

    test(`passes its own checks with ${workers} workers on a storage that makes one wait`, async () => {
      const storage = new TestStorage({ waits: true, cached: true, resolveConflict })
      const totals = await drive(module, storage, how)
      expect(totals.operations).toBe(12 * 2 * workers)
    })

    if (capabilities.includes('prefetch')) continue
    test(`passes its own checks with ${workers} workers in memory`, async () => {
      const storage = await openMemory()
      const totals = await drive(module, storage, how)
      expect(totals.operations).toBe(12 * 2 * workers)
      await storage.close()
    })
  }
})

describe('a claim that does not hold is found out:', () => {
  const how: Drive = { workers: 2, objectsPerTransaction: 3, operations: 8, recordBytes: 200 }
  const isFoundOut = async (name: string, storage: Storage, more: Partial<Drive> = {}) => {
    await expect(drive(named(name), storage, { ...how, ...more })).rejects.toBeInstanceOf(VerificationError)
  }

  test('conflict-resolve, when the last one simply wins', async () => {
    await isFoundOut(
      'conflict-resolve',
      new TestStorage({ resolveConflict: (_oid, _base, _committed, mine) => mine }),
    )
  })

  test('conflict-resolve, when nothing was merged', async () => {
    await isFoundOut('conflict-resolve', new TestStorage())
  })

  test('prefetch-read, when each object is a request of its own', async () => {
    const storage = new TestStorage({ cached: true })
    const add = storage.cachedOids.add.bind(storage.cachedOids)
    storage.cachedOids.add = (key) => {
      storage.counts.roundTrips++
      return add(key)
    }
    await isFoundOut('prefetch-read', storage)
  })

  test('bulk-read, when the cache was not emptied', async () => {
    const storage = new TestStorage({ cached: true })
    storage.cache!.clear = () => {}
    await isFoundOut('bulk-read', storage)
  })

  test('warm-read, when a new snapshot shows an older state', async () => {
    let isLying = false
    const storage = new (class extends TestStorage {
      override read(oid: Oid, snapshot: Tid) {
        const now = super.read(oid, snapshot)
        return isLying && now !== undefined ? (super.read(oid, (now.serial - 1) as Tid) ?? now) : now
      }
    })()
    await isFoundOut('warm-read', storage, {
      onSection() {
        isLying = true
      },
    })
  })

  test('live-read, when the storage was asked', async () => {
    const counting = new (class extends TestStorage {
      #reads = 0
      // Claims one more load at each look, as if it had been asked in between.
      override counters() {
        return { ...this.counts, loads: this.counts.loads + this.#reads++ }
      }
    })()
    await isFoundOut('live-read', counting)
  })

  test('read-current, when the check always agrees', async () => {
    const storage = new TestStorage()
    const newInstance = storage.newInstance.bind(storage)
    storage.newInstance = () => {
      const instance = newInstance() as Awaited<ReturnType<typeof newInstance>>
      const begin = instance.begin.bind(instance)
      instance.begin = () => Object.assign(begin(), { readCurrent: () => {} })
      return instance
    }
    await isFoundOut('read-current', storage)
    await isFoundOut('read-current-conflict', storage)
  })

  test('store, when a record is not kept as it was handed over', async () => {
    await isFoundOut(
      'store',
      new (class extends TestStorage {
        override commit(changes: ReadonlyMap<Oid, Uint8Array>): Tid {
          return super.commit(new Map([...changes].map(([oid, data]) => [oid, data.slice().fill(1, 150)])))
        }
      })(),
    )
  })

  test('tpc, when tids go back', async () => {
    let falling = 1_000_000
    await isFoundOut(
      'tpc',
      new (class extends TestStorage {
        override commit(): Tid {
          return falling-- as Tid
        }
      })(),
    )
  })

  test('new-oid, when an id is given twice', async () => {
    const storage = new TestStorage()
    let calls = 0
    Object.defineProperty(storage, 'nextOid', { get: () => 1 + (calls++ % 7) * 3, set: () => {} })
    await isFoundOut('new-oid', storage, { workers: 1 })
  })

  test('mixed, when a commit is acknowledged and not kept', async () => {
    let commits = 0
    await isFoundOut(
      'mixed',
      new (class extends TestStorage {
        override commit(changes: ReadonlyMap<Oid, Uint8Array>): Tid {
          const [[oid, data]] = [...changes] as [[Oid, Uint8Array]]
          const lost = changes.size === 1 && data.length === 200 && ++commits === 2
          const kept = this.currentOf(oid)
          return super.commit(lost && kept !== undefined ? new Map([[oid, kept.data]]) : changes)
        }
      })(),
      { operations: 60 },
    )
  })
})
