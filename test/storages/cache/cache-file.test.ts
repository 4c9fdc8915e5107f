/** The persistent cache, in real SQLite files, over a store that goes on changing while nobody looks. */

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { asOid, asTid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import { CacheFile, type CacheFileOptions } from '../../../src/storages/cache/cache-file.ts'
import { type Change, SnapshotIndex } from '../../../src/storages/cache/snapshot-index.ts'
import { createStateCache, StateCache } from '../../../src/storages/cache/state-cache.ts'
import { loadDriver } from '../../../src/storages/sql/sqlite/driver.ts'
import { zeroCounters } from '../../../src/storages/storage.ts'

const folder = mkdtempSync(join(tmpdir(), 'shootout-cache-file-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const driver = await loadDriver()

let files = 0
const newPath = () => join(folder, `cache-${++files}.db`)
const connect = (path: string) => driver.connect(path, { readOnly: false, counters: zeroCounters() })

function open(path: string, identity = 'store', messages: string[] = []): CacheFile {
  const options: CacheFileOptions = {
    connect: () => connect(path),
    remove: () => {
      for (const ending of ['', '-wal', '-shm']) rmSync(path + ending, { force: true })
    },
    identity,
    log: (message) => messages.push(message),
  }
  return new CacheFile(options)
}

/** Objects and the tid of their newest change. */
type World = Map<number, number>
const bytesOf = (oid: number, tid: number) => new TextEncoder().encode(`object ${oid} as of ${tid}`)
const changesSince = (world: World, since: number): Change[] =>
  [...world].filter(([, tid]) => tid > since).map(([oid, tid]) => ({ oid: asOid(oid), tid: asTid(tid) }))

/** A process that has the world in its cache. */
function begin(world: World, horizon: number, from?: StateCache) {
  const cache = from ?? new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const index = new SnapshotIndex(cache)
  const view = index.newView()
  const since = view.beginPoll()
  view.polled(asTid(horizon), since, since === undefined ? 'all' : changesSince(world, since))
  return { cache, index, view }
}

async function savedWorld(path: string, count = 1000): Promise<World> {
  const world: World = new Map(Array.from({ length: count }, (_, oid) => [oid, 10 + (oid % 50)]))
  const { index, view } = begin(world, 100)
  for (const [oid, tid] of world) view.loaded(asOid(oid), asTid(tid), bytesOf(oid, tid), view.snapshot!)
  const file = open(path)
  expect(await file.save(index)).toEqual({ entries: count, written: count, removed: 0 })
  await file.close(index)
  return world
}

test('the next process finds everything that did not change, and nothing that did', async () => {
  const path = newPath()
  const world = await savedWorld(path)
  for (let oid = 0; oid < 1000; oid += 7) world.set(oid, 150)
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const file = open(path)
  expect(await file.load(cache)).toEqual({ entries: 1000, damaged: 0, horizon: 100 })
  const { view } = begin(world, 200, cache)
  for (const [oid, tid] of world) {
    const found = view.find(asOid(oid))
    if (tid > 100) expect(found).toBeUndefined()
    else expect(found).toEqual({ serial: tid, data: bytesOf(oid, tid) })
  }
  await file.close()
})

test('a backend that cannot tell what changed makes all of it useless, not wrong', async () => {
  const path = newPath()
  await savedWorld(path)
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const file = open(path)
  await file.load(cache)
  const view = new SnapshotIndex(cache).newView()
  view.polled(asTid(300), view.beginPoll(), 'all')
  for (let oid = 0; oid < 1000; oid++) expect(view.find(asOid(oid))).toBeUndefined()
  await file.close()
})

test('saving again writes only the difference, and never over what a later process saved', async () => {
  const path = newPath()
  const world = await savedWorld(path)
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const file = open(path)
  await file.load(cache)
  for (const oid of [1, 2, 3]) world.set(oid, 150)
  const later = begin(world, 200, cache)
  later.index.committed(asTid(150), [{ oid: asOid(1), data: bytesOf(1, 150) }])
  expect(await file.save(later.index)).toEqual({ entries: 998, written: 1, removed: 3 })
  const earlier = begin(world, 120)
  expect(await file.save(earlier.index)).toBeUndefined()
  await file.close(later.index)
})

test('what another process saves during a load does not come into it', async () => {
  const path = newPath()
  const world = await savedWorld(path, 5000)
  const messages: string[] = []
  const file = open(path, 'store', messages)
  // It pauses every few hundred rows, and so goes on for longer than the save.
  const loading = file.load(new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 })))
  const { index, view } = begin(world, 200)
  for (let oid = 4900; oid < 5000; oid++) {
    view.loaded(asOid(oid), asTid(150), bytesOf(oid, 150), view.snapshot!)
  }
  const other = open(path)
  expect(await other.save(index)).toEqual({ entries: 100, written: 100, removed: 5000 })
  expect(await loading).toEqual({ entries: 5000, damaged: 0, horizon: 100 })
  expect(messages).toEqual([])
  await other.close()
  await file.close()
})

test('a copy of the file taken at any moment of its life is true', async () => {
  const path = newPath()
  const random = new Random('cache file crash')
  const world = await savedWorld(path, 300)
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const file = open(path)
  await file.load(cache)
  const index = new SnapshotIndex(cache)
  const view = index.newView()
  let horizon = 100
  for (let round = 0; round < 12; round++) {
    horizon += 10
    for (let change = 0; change < 20; change++) world.set(random.integer(300), horizon - random.integer(5))
    const since = view.beginPoll()!
    view.polled(asTid(horizon), since, changesSince(world, since))
    for (const [oid, tid] of world) {
      if (view.find(asOid(oid)) === undefined)
        view.loaded(asOid(oid), asTid(tid), bytesOf(oid, tid), view.snapshot!)
    }
    // The process dies while it saves: what is on disk at this moment is all there is.
    const saving = file.save(index)
    const copy = newPath()
    for (const ending of ['', '-wal']) copyFileSync(path + ending, copy + ending)
    await saving
    const reopened = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
    const second = open(copy)
    expect((await second.load(reopened)).entries).toBeGreaterThan(100)
    const after = begin(world, horizon, reopened)
    for (const [oid, tid] of world) {
      const found = after.view.find(asOid(oid))
      if (found !== undefined) expect(found).toEqual({ serial: tid, data: bytesOf(oid, tid) })
    }
    await second.close()
  }
  await file.close()
})

test('damaged rows are left out and reported', async () => {
  const path = newPath()
  await savedWorld(path)
  const connection = connect(path)
  connection.execute(
    "UPDATE entries SET state = x'00' WHERE oid = 5; UPDATE entries SET tid = tid + 1 WHERE oid = 6",
  )
  connection.close()
  const messages: string[] = []
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const file = open(path, 'store', messages)
  expect(await file.load(cache)).toMatchObject({ entries: 998, damaged: 2 })
  expect(messages).toEqual(['the persistent cache has 2 damaged entries, which are left out'])
  await file.close()
})

test('a file of another store, and one that is no database, are not used and then replaced', async () => {
  const path = newPath()
  await savedWorld(path)
  const cache = new StateCache(createStateCache({ bytesLimit: 4 * 1024 ** 2 }))
  const other = open(path, 'another store')
  expect(await other.load(cache)).toEqual({ entries: 0, damaged: 0, horizon: undefined })
  await other.close()
  const messages: string[] = []
  for (const ending of ['-wal', '-shm']) rmSync(path + ending, { force: true })
  writeFileSync(path, 'this is no database, but it is long enough to be looked at twice'.repeat(20))
  const anew = open(path, 'store', messages)
  expect(messages).toHaveLength(1)
  expect(await anew.save(begin(new Map(), 100).index)).toEqual({ entries: 0, written: 0, removed: 0 })
  await anew.close()
})
