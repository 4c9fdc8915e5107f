/** The state cache in one thread: what it keeps, what it gives back, and that its accounts are exact. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asOid, asTid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import { policyNames } from '../../../src/storages/cache/policies/index.ts'
import { blocksFor } from '../../../src/storages/cache/shard-layout.ts'
import { createStateCache, StateCache } from '../../../src/storages/cache/state-cache.ts'
import { coded } from '../../coded.ts'

const random = new Random('state cache')

function bytesOf(length: number, label: string | number): Uint8Array {
  const source = random.split(label, length)
  return Uint8Array.from({ length }, () => source.integer(256))
}

const newCache = (options = {}) =>
  new StateCache(createStateCache({ bytesLimit: 512 * 1024, shardCount: 1, ...options }))

describe('what goes in comes out', () => {
  test('bytes of every length around the ends of blocks come back as they were', () => {
    const cache = newCache({ bytesLimit: 16 * 1024 ** 2 })
    const lengths = Array.from({ length: 700 }, (_, length) => length)
    for (const length of lengths) cache.add(asOid(length), asTid(1), bytesOf(length, 'any'))
    for (const length of lengths) {
      const data = cache.get(asOid(length), asTid(1))!.data
      expect(data.length).toBe(length)
      expect(Buffer.compare(data, bytesOf(length, 'any'))).toBe(0)
    }
    expect(cache.audit()).toEqual([])
  })

  test('a view of memory at an odd offset is copied right', () => {
    const cache = newCache()
    const whole = bytesOf(1000, 'whole')
    for (let offset = 0; offset < 8; offset++) {
      cache.add(asOid(offset), asTid(9), whole.subarray(offset, offset + 333))
      expect([...cache.get(asOid(offset), asTid(9))!.data]).toEqual([...whole.subarray(offset, offset + 333)])
    }
  })

  test('a result stays what it was after its entry has been evicted and its block used again', () => {
    const cache = newCache({ bytesLimit: 64 * 1024 })
    cache.add(asOid(0), asTid(1), bytesOf(300, 'kept'))
    const kept = cache.get(asOid(0), asTid(1))!.data
    for (let oid = 1; oid < 1000; oid++) {
      cache.add(asOid(oid), asTid(1), bytesOf(300, oid))
      cache.get(asOid(oid), asTid(1))
    }
    expect(cache.has(asOid(0), asTid(1))).toBe(false)
    expect([...kept]).toEqual([...bytesOf(300, 'kept')])
  })

  test('ids use all their bits: neighbours in the upper ones are told apart', () => {
    const cache = newCache()
    const oids = [0, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 42, 2 ** 43 - 1].map(asOid)
    const tids = [0, 2 ** 31, 2 ** 32, 2 ** 50, Number.MAX_SAFE_INTEGER].map(asTid)
    for (const tid of tids) {
      for (const oid of oids) cache.add(oid, tid, bytesOf(20, `${oid}/${tid}`))
      for (const oid of oids) {
        expect(cache.get(oid, tid)).toEqual({ serial: tid, data: bytesOf(20, `${oid}/${tid}`) })
      }
    }
    expect(cache.add(asOid(2 ** 43), asTid(1), bytesOf(5, 0))).toBe(false)
    expect(cache.audit()).toEqual([])
  })
})

describe('which revision', () => {
  test('a revision is found only by snapshots that are known to show it', () => {
    const cache = newCache()
    cache.add(asOid(1), asTid(50), bytesOf(10, 1), asTid(70))
    const find = (snapshot: number, needed: number) =>
      cache.find(asOid(1), asTid(snapshot), asTid(needed))?.serial
    expect(find(49, 49)).toBeUndefined()
    expect(find(50, 50)).toBe(50)
    expect(find(70, 70)).toBe(50)
    expect(find(80, 80)).toBeUndefined()
    expect(find(80, 70)).toBe(50)
    // The caller warranted that it did not change up to 80, and now everybody knows.
    expect(find(80, 80)).toBe(50)
    expect(find(81, 81)).toBeUndefined()
  })

  test('the two newest revisions of an object are kept, and an older one never pushes out a newer', () => {
    const cache = newCache()
    for (const tid of [10, 20, 30]) cache.add(asOid(1), asTid(tid), bytesOf(10, tid))
    expect([10, 20, 30].map((tid) => cache.has(asOid(1), asTid(tid)))).toEqual([false, true, true])
    expect(cache.add(asOid(1), asTid(10), bytesOf(10, 10))).toBe(false)
    expect(cache.entries).toBe(2)
  })

  test('what another thread knows of a store that was replaced is refused', () => {
    const memory = createStateCache({ bytesLimit: 512 * 1024 })
    const [mine, others] = [new StateCache(memory), new StateCache(memory)]
    const { generation } = mine
    mine.add(asOid(1), asTid(1), bytesOf(10, 1))
    mine.proposeOrigin(asTid(1))
    others.startNewStore()
    expect(mine.entries).toBe(0)
    expect(mine.origin).toBe(0)
    expect(mine.add(asOid(1), asTid(1), bytesOf(10, 1), asTid(1), generation)).toBe(false)
    expect(mine.add(asOid(1), asTid(1), bytesOf(10, 2), asTid(1), mine.generation)).toBe(true)
  })
})

describe('memory', () => {
  test.each(policyNames)('with %s, every operation leaves exact accounts within the limit', (policy) => {
    const operation = fc.record({
      kind: fc.constantFrom('add', 'add', 'add', 'get', 'get', 'find', 'delete', 'clear'),
      oid: fc.nat({ max: 300 }),
      tid: fc.nat({ max: 4 }),
      bytes: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 3000 })),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400, size: 'max' }), (operations) => {
        const cache = newCache({ bytesLimit: 80_000, shardCount: 1, policy })
        const model = new Map<string, number>()
        for (const { kind, oid, tid, bytes } of operations) {
          const key = `${oid}/${tid}`
          if (kind === 'add') {
            const length = model.get(key) ?? bytes
            if (cache.add(asOid(oid), asTid(tid), bytesOf(length, key))) model.set(key, length)
          } else if (kind === 'get') {
            const found = cache.get(asOid(oid), asTid(tid))
            if (found !== undefined) expect([...found.data]).toEqual([...bytesOf(model.get(key)!, key)])
          } else if (kind === 'find') cache.find(asOid(oid), asTid(tid), asTid(tid))
          else if (kind === 'delete') cache.delete(asOid(oid), asTid(tid))
          else if (bytes < 20) cache.clear()
          expect(cache.audit()).toEqual([])
        }
      }),
      { numRuns: 12, seed: 5 },
    )
  })

  test("an entry of 300 bytes takes at most 64 bytes beside its blocks' own data", () => {
    const cache = newCache({ bytesLimit: 8 * 1024 ** 2 })
    const empty = new StateCache(createStateCache({ bytesLimit: 8 * 1024 ** 2, shardCount: 1 })).bytes
    for (let oid = 0; cache.statistics().evictions === 0; oid++) {
      cache.add(asOid(oid), asTid(1), new Uint8Array(300))
      cache.get(asOid(oid), asTid(1))
    }
    const dataRoom = 88 + 124 * (blocksFor(300) - 1)
    const perEntry = cache.bytes / cache.entries
    expect(perEntry - dataRoom).toBeLessThanOrEqual(64)
    expect(empty / 8 / 1024 ** 2).toBeLessThan(0.05)
  })

  test('a large object is turned away instead of pushing out many small ones', () => {
    const cache = newCache({ bytesLimit: 1024 ** 2 })
    for (let oid = 0; oid < 1000; oid++) cache.add(asOid(oid), asTid(1), new Uint8Array(300))
    const before = cache.entries
    expect(cache.objectBytesMax).toBeLessThan(1024 ** 2 / 64)
    expect(cache.add(asOid(5000), asTid(1), new Uint8Array(cache.objectBytesMax + 1))).toBe(false)
    expect(cache.entries).toBe(before)
    expect(cache.add(asOid(5000), asTid(1), new Uint8Array(cache.objectBytesMax))).toBe(true)
  })

  test('a limit that cannot work, and a policy that does not exist, are refused by name', () => {
    expect(() => createStateCache({ bytesLimit: 1000 })).toThrow(coded('cache-too-small', 'at least 64.0 KB'))
    expect(() => createStateCache({ bytesLimit: 1e6, policy: 'lrru' })).toThrow(
      coded('unknown-policy', 'did you mean lru'),
    )
    expect(() => createStateCache({ bytesLimit: 2 ** 50, shardCount: 1 })).toThrow(coded('cache-memory'))
  })

  test('a shard whose thread died inside answers "not here" instead of hanging', () => {
    const memory = createStateCache({ bytesLimit: 64 * 1024 })
    const cache = new StateCache(memory)
    cache.add(asOid(1), asTid(1), bytesOf(10, 1))
    // Taken, by nobody who will ever give it back.
    Atomics.store(new Int32Array(memory.shards[0]!), 0, 1)
    expect(cache.get(asOid(1), asTid(1))).toBeUndefined()
    expect(cache.givenUpShards).toBe(1)
    expect(cache.add(asOid(2), asTid(1), bytesOf(10, 1))).toBe(false)
  })
})
