import { describe, expect, test } from 'vitest'
import { VerificationError } from '../../src/core/errors.ts'
import type { Oid, Tid } from '../../src/core/ids.ts'
import { classNameOf } from '../../src/database/record-decoder.ts'
import add from '../../src/scenarios/add.ts'
import cachedRead from '../../src/scenarios/cached-read.ts'
import coldRead from '../../src/scenarios/cold-read.ts'
import conflict from '../../src/scenarios/conflict.ts'
import { Item } from '../../src/scenarios/payload.ts'
import type { ScenarioModule } from '../../src/scenarios/scenario.ts'
import update from '../../src/scenarios/update.ts'
import type { Revision } from '../../src/storages/storage.ts'
import { TestStorage } from '../database/test-storage.ts'
import { drive } from './drive.ts'

const isItem = (data: Uint8Array) => classNameOf(data) === Item.className

describe.each([
  [1, 1, false],
  [2, 3, true],
  [5, 20, false],
])('with %i workers and %i objects (waiting: %s)', (workers, objectsPerTransaction, waits) => {
  const how = { workers, objectsPerTransaction, operations: 7, batches: 2 }
  const operations = 7 * 2 * workers
  const objects = operations * objectsPerTransaction

  test('add stores N objects of the exact size, and two records besides, however many came before', async () => {
    const storage = new TestStorage({ waits })
    const before = storage.counts.stores
    expect(before).toBe(0)
    const totals = await drive(add, storage, { ...how, recordBytes: 333 })
    expect(totals.operations).toBe(operations)
    expect(totals.counters.stores).toBe(objects + 2 * operations)
    const items = [...storage.revisions.values()].filter((list) => isItem(list[0]!.data))
    expect(items).toHaveLength(objects)
    for (const [revision, ...later] of items) {
      expect(revision!.data.length).toBe(333)
      expect(later).toHaveLength(0)
    }
    const last = storage.log.at(-1)!
    const first = storage.log.find(({ oids }) => oids.length === objectsPerTransaction + 2)!
    const bytesOf = ({ tid, oids }: { tid: Tid; oids: readonly Oid[] }) =>
      oids.reduce((sum, oid) => sum + storage.read(oid, tid)!.data.length, 0)
    // Numbers grow by a digit or two; nothing else may.
    expect(bytesOf(last) - bytesOf(first)).toBeLessThan(30)
  })

  test('sizes of a distribution are exact, record by record', async () => {
    const storage = new TestStorage({ waits })
    const recordBytes = { min: 100, max: 400 }
    await drive(add, storage, { ...how, recordBytes })
    const sizes = [...storage.revisions.values()]
      .filter((list) => isItem(list[0]!.data))
      .map(([revision]) => revision!.data.length)
    expect(sizes).toHaveLength(objects)
    for (const size of sizes) expect(size >= 100 && size <= 400).toBe(true)
    expect(new Set(sizes).size).toBeGreaterThan(Math.min(5, objects - 2))
  })

  test('update gives every object new content of the same size and loads nothing', async () => {
    const storage = new TestStorage({ waits })
    const totals = await drive(update, storage, how)
    expect(totals.counters).toMatchObject({ stores: objects, commits: operations, loads: 0 })
    const changed = [...storage.revisions.values()].filter((list) => isItem(list[0]!.data) && list.length > 1)
    expect(changed.length).toBeGreaterThan(0)
    for (const list of changed) {
      for (let at = 1; at < list.length; at++) {
        expect(list[at]!.data).not.toStrictEqual(list[at - 1]!.data)
        expect(list[at]!.data.length).toBe(100)
      }
    }
  })

  test.each([
    ['with a cache', true],
    ['without', false],
  ])('cold-read takes N objects per operation from the backend, %s', async (_name, cached) => {
    const totals = await drive(coldRead, new TestStorage({ waits, cached }), how)
    expect(totals.transfers).toStrictEqual({ loads: objects, stores: 0 })
    expect(totals.counters).toMatchObject({ loads: objects, backendLoads: objects, stores: 0 })
  })

  test('cached-read takes N objects per operation from the storage’s cache', async () => {
    const totals = await drive(cachedRead, new TestStorage({ waits, cached: true }), how)
    expect(totals.counters).toMatchObject({ loads: objects, backendLoads: 0, stores: 0 })
  })

  test('cached-read on a storage without cache takes them from the backend', async () => {
    const totals = await drive(cachedRead, new TestStorage({ waits }), how)
    expect(totals.counters).toMatchObject({ loads: objects, backendLoads: objects })
  })
})

test.each([2, 3, 5])('conflict collides in every round of %i workers, and loses nothing', async (workers) => {
  for (const waits of [false, true]) {
    const how = { workers, objectsPerTransaction: 3, operations: 4, batches: 2 }
    const totals = await drive(conflict, new TestStorage({ waits }), how)
    const rounds = 4 * 2
    expect(totals.operations).toBe(rounds * workers)
    expect(totals.tallies['attempts']).toBe(totals.operations + totals.tallies['retried']!)
    expect(totals.tallies['conflicts']).toBeGreaterThanOrEqual(rounds * (workers - 1))
    expect(totals.tallies['givenUp']).toBe(0)
    expect(totals.counters.stores).toBe(totals.operations * 3)
  }
})

test('reads go through every object of a set once before any is read again', async () => {
  const storage = new TestStorage()
  const how = { workers: 1, objectsPerTransaction: 10, operations: 200, batches: 1 }
  await drive(coldRead, storage, {
    ...how,
    onSection() {
      storage.calls.length = 0
    },
  })
  const loads = storage.calls.filter((call) => call.startsWith('load'))
  expect(loads).toHaveLength(1000)
  expect(new Set(loads).size).toBe(1000)
})

describe('a storage that lies is found out:', () => {
  const how = { workers: 2, objectsPerTransaction: 3, operations: 5 }
  const found = (module: ScenarioModule<never>, storage: TestStorage) =>
    expect(drive(module as ScenarioModule, storage, how)).rejects.toBeInstanceOf(VerificationError)
  const all: [string, ScenarioModule<never>][] = [add, update, coldRead, cachedRead, conflict].map(
    (module) => [module.name, module as ScenarioModule<never>],
  )

  /** Lies only from the first timed section on, so that the data set itself is in order. */
  class Liar extends TestStorage {
    isLying = false
  }
  const lying = async (module: ScenarioModule<never>, storage: Liar) => {
    const outcome = drive(module as ScenarioModule, storage, {
      ...how,
      onSection() {
        storage.isLying = true
      },
    })
    await expect(outcome).rejects.toBeInstanceOf(VerificationError)
  }

  test.each(all)('%s, when one byte of an object is wrong', async (_name, module) => {
    await lying(
      module,
      new (class extends Liar {
        override read(oid: Oid, snapshot: Tid): Revision | undefined {
          const revision = super.read(oid, snapshot)
          if (!this.isLying || revision === undefined || !isItem(revision.data)) return revision
          const data = revision.data.slice()
          data[data.length - 1] = data[data.length - 1]! ^ 1
          return { ...revision, data }
        }
      })({ cached: true }),
    )
  })

  test.each([
    ['cold-read', coldRead as ScenarioModule<never>],
    ['cached-read', cachedRead as ScenarioModule<never>],
  ])('%s, when another object is served', async (_name, module) => {
    await lying(
      module,
      new (class extends Liar {
        override read(oid: Oid, snapshot: Tid): Revision | undefined {
          const right = super.read(oid, snapshot)
          const other = super.read((oid - 1) as Oid, snapshot)
          const swap = this.isLying && right && other && isItem(right.data) && isItem(other.data)
          return swap ? other : right
        }
      })({ cached: true }),
    )
  })

  test.each([
    ['add', add as ScenarioModule<never>],
    ['update', update as ScenarioModule<never>],
    ['conflict', conflict as ScenarioModule<never>],
  ])('%s, when an object is acknowledged and not kept', async (_name, module) => {
    let commits = 0
    await lying(
      module,
      new (class extends Liar {
        override commit(changes: ReadonlyMap<Oid, Uint8Array>): Tid {
          const dropped =
            this.isLying && ++commits === 4
              ? [...changes.keys()].find((oid) => isItem(changes.get(oid)!))
              : undefined
          const kept = new Map([...changes].filter(([oid]) => oid !== dropped))
          this.counts.stores += changes.size - kept.size
          this.counts.storedBytes += 100 * (changes.size - kept.size)
          const tid = super.commit(kept)
          if (dropped !== undefined && !this.revisions.has(dropped)) {
            this.revisions.set(dropped, [{ data: changes.get(dropped)!.slice().fill(0, 60), serial: tid }])
          } else if (dropped !== undefined) {
            // The writer is to believe that its revision is the current one.
            const list = this.revisions.get(dropped)!
            list.push({ data: list.at(-1)!.data, serial: tid })
          }
          return tid
        }
      })(),
    )
  })

  test('conflict, when the second of two commits simply wins', async () => {
    await found(
      conflict as ScenarioModule<never>,
      new TestStorage({ resolveConflict: (_oid, _base, _committed, mine) => mine }),
    )
  })

  test('cold-read, when its cache cannot be cleared', async () => {
    const storage = new TestStorage({ cached: true })
    storage.cache!.clear = () => {}
    await found(coldRead as ScenarioModule<never>, storage)
  })

  test('cached-read, when its cache keeps nothing', async () => {
    const storage = new TestStorage({ cached: true })
    storage.cachedOids.add = () => storage.cachedOids
    await found(cachedRead as ScenarioModule<never>, storage)
  })

  test('update, when the storage reports fewer commits than there were operations', async () => {
    await found(
      update as ScenarioModule<never>,
      new (class extends TestStorage {
        override commit(changes: ReadonlyMap<Oid, Uint8Array>): Tid {
          const tid = super.commit(changes)
          if (tid % 5 === 0) this.counts.commits--
          return tid
        }
      })(),
    )
  })
})
