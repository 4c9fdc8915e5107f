/**
 * The disk cache on a disk that fails (the fault model stands in simulated-file-system.ts).
 *
 * The promise that is checked after every failure: what is given out as proven is exactly what the horizon of the store
 * shows, or nothing.
 */

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Oid, Tid } from '../../src/core/ids.ts'
import { Random } from '../../src/core/random.ts'
import { checksumOf, DiskCache } from '../../src/storages/cache/disk/disk-cache.ts'
import { policyNamed } from '../../src/storages/cache/policies/index.ts'
import { MachineStopped, SimulatedFileSystem } from './simulated-file-system.ts'

// What has gathered is written when the test says so, not by the clock.
beforeAll(() => {
  vi.useFakeTimers()
})
afterAll(() => {
  vi.useRealTimers()
})

const objects = 300
const originOf = (store: number) => new Uint8Array(20).fill(store + 1)

/** A store: which revision of an object which snapshot shows. */
class Store {
  readonly origin: Uint8Array
  lastTid = 100 as Tid
  readonly #changes: { readonly oid: Oid; readonly tid: Tid }[] = []
  readonly #tids: Tid[][] = []

  constructor(number: number) {
    this.origin = originOf(number)
    for (let oid = 0 as Oid; oid < objects; oid++) this.#change(oid)
  }

  commit(random: Random): void {
    this.lastTid = (this.lastTid + 1 + random.integer(3)) as Tid
    for (let count = 1 + random.integer(12); count > 0; count--) {
      this.#change(random.integer(objects) as Oid)
    }
  }

  #change(oid: Oid): void {
    this.#changes.push({ oid, tid: this.lastTid })
    this.#tids[oid] = [...(this.#tids[oid] ?? []), this.lastTid]
  }

  since(since: Tid) {
    const newest = new Map(this.#changes.filter(({ tid }) => tid > since).map(({ oid, tid }) => [oid, tid]))
    return [...newest].map(([oid, tid]) => ({ oid, tid }))
  }

  at(horizon: Tid, oid: Oid): Tid | undefined {
    return this.#tids[oid]?.findLast((tid) => tid <= horizon)
  }
}

/** The content of a revision, of any length, that says whose it is. */
function stateOf(store: Store, oid: Oid, tid: Tid): Uint8Array {
  const length = 20 + ((oid * 7919 + tid * 31) % 108)
  return new Uint8Array(length).map((_, at) => (at * 3 + oid + tid * 5 + store.origin[0]! * 11) & 255)
}

function open(files: SimulatedFileSystem, policy = 's3-fifo', bytesLimit = 16 * 1024): DiskCache {
  return new DiskCache({ files, folder: '/cache', bytesLimit, policy: policyNamed(policy), log: () => {} })
}

/** Two stores that take turns behind the same address; a client that comes and goes. */
function workload(files: SimulatedFileSystem, stores: readonly Store[], random: Random, steps: number): void {
  let store = stores[0]!
  let cache = open(files)
  cache.begin(store.origin, store.lastTid)
  for (let step = 0; step < steps; step++) {
    const kind = random.integer(20)
    if (kind < 2) {
      store.commit(random)
      const { horizon } = cache
      const isKnown = horizon > 0 && random.float() < 0.9
      cache.advance(store.lastTid, horizon, isKnown ? store.since(horizon) : 'all')
    } else if (kind < 16) {
      const oid = random.integer(objects) as Oid
      const tid = store.at(cache.horizon, oid)
      if (tid !== undefined) cache.put(oid, tid, stateOf(store, oid, tid))
      const [doubtful] = cache.doubtful()
      if (doubtful !== undefined) {
        const { oid: kept, tid: keptTid, checksum } = doubtful
        const isShown = store.at(cache.horizon, kept) === keptTid
        if (isShown && checksumOf(kept, keptTid, stateOf(store, kept, keptTid)) === checksum) {
          cache.confirm(kept, keptTid)
        } else cache.dropDoubtful(kept, keptTid)
      }
    } else if (kind < 17) {
      cache.flush()
    } else if (kind < 18) {
      verify(cache, store)
    } else if (kind < 19 && random.float() < 0.2) {
      cache.close()
      // With more room than before, what was pushed out must not come back.
      cache = open(files, 's3-fifo', random.float() < 0.7 ? 16 * 1024 : 64 * 1024)
      if (random.float() < 0.4) store = stores.find((other) => other !== store)!
      store.lastTid = Math.max(store.lastTid, cache.horizon) as Tid
      cache.begin(store.origin, store.lastTid)
    } else if (random.float() < 0.02) {
      cache.clear()
    }
  }
  cache.close()
}

/** Entries that are proven and could be read. */
function verify(cache: DiskCache, store: Store): number {
  let read = 0
  for (let oid = 0 as Oid; oid < objects; oid++) {
    const tid = cache.find(oid)
    if (tid === undefined) continue
    // Asked first: an assertion that holds takes longer than all the rest.
    const shown = store.at(cache.horizon, oid)
    if (tid !== shown) expect(tid, `object ${oid} at ${cache.horizon}`).toBe(shown)
    const state = cache.read(oid)
    if (state === undefined) continue
    read++
    const isRight = Buffer.compare(state, stateOf(store, oid, tid)) === 0
    if (!isRight) expect.fail(`the state of object ${oid} at ${cache.horizon} is another one`)
  }
  expect(cache.audit()).toEqual([])
  return read
}

/** Opens what is left, with more room, as each of the stores. Returns how much of it was of use. */
function verifyLeft(files: SimulatedFileSystem, stores: readonly Store[], random: Random): number {
  let read = 0
  for (const store of stores) {
    const copy = files.afterKill(random)
    const cache = open(copy, 's3-fifo', 256 * 1024)
    const { horizon } = cache
    const isProven = cache.begin(store.origin, Math.max(store.lastTid, horizon) as Tid)
    const isGiven = (oid: number) => cache.find(oid as Oid) !== undefined
    if (!isProven) expect(Array.from({ length: objects }, (_, oid) => oid).filter(isGiven)).toEqual([])
    read += verify(cache, store)
    // And it goes on: what changed since is told, and nothing old is shown for it.
    store.lastTid = Math.max(store.lastTid, horizon) as Tid
    store.commit(random)
    cache.advance(store.lastTid, horizon, store.since(horizon))
    verify(cache, store)
    cache.close()
    const again = open(copy, 'fifo', 32 * 1024)
    if (again.begin(store.origin, store.lastTid)) verify(again, store)
    again.close()
  }
  return read
}

const stopped = (work: () => void): boolean => {
  try {
    work()
    return false
  } catch (error) {
    if (error instanceof MachineStopped) return true
    throw error
  }
}

describe('whatever write is the last', () => {
  test('after a kill or a loss of power, nothing stale is given out', () => {
    let read = 0
    let stops = 0
    for (let round = 0; round < 2; round++) {
      const seed = `crash ${round}`
      const steps = round === 0 ? 120 : 800
      const make = () => new Random(seed)
      const whole = new SimulatedFileSystem(make().split('disk'))
      workload(whole, [new Store(0), new Store(1)], make().split('work'), steps)
      expect(whole.operations).toBeGreaterThan(20)
      // Every one of a short life, and some of a long one.
      for (let stopAt = 1; stopAt <= whole.operations; stopAt += round === 0 ? 1 : 1 + (stopAt >> 2)) {
        const random = make().split(stopAt)
        const files = new SimulatedFileSystem(make().split('disk'), { stopAt, shortWrites: 0.1 })
        const stores = [new Store(0), new Store(1)]
        if (stopped(() => workload(files, stores, make().split('work'), steps))) stops++
        try {
          read += verifyLeft(files.afterKill(random), stores, random)
          read += verifyLeft(files.afterPowerLoss(random), stores, random)
        } catch (error) {
          throw new Error(`seed "${seed}", stopped at ${stopAt}: ${(error as Error).message}`, {
            cause: error,
          })
        }
      }
    }
    expect(stops).toBeGreaterThan(25)
    // It is no use to be right by having nothing.
    expect(read).toBeGreaterThan(500)
  })

  test('a full disk ends the cache, not the client', () => {
    for (let bytesFree = 0; bytesFree < 40_000; bytesFree += 3001) {
      const random = new Random(`full ${bytesFree}`)
      const files = new SimulatedFileSystem(random.split('disk'), { bytesFree })
      const stores = [new Store(0), new Store(1)]
      workload(files, stores, random.split('work'), 400)
      verifyLeft(files.afterKill(random), stores, random)
    }
  })
})

test('bits that flip are never given out', () => {
  const random = new Random('bits')
  let damaged = 0
  for (let round = 0; round < 30; round++) {
    const files = new SimulatedFileSystem(random.split(`disk ${round}`))
    const stores = [new Store(0), new Store(1)]
    workload(files, stores, random.split(`work ${round}`), 300)
    const names = [...files.snapshot()].filter(([, content]) => content.length > 0)
    const [name, content] = names[random.integer(names.length)]!
    content[random.integer(content.length)]! ^= 1 << random.integer(8)
    files.put(name, content)
    verifyLeft(files, stores, random)
    damaged++
  }
  expect(damaged).toBe(30)
})
