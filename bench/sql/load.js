/**
 * Loads that no cache has: one by one, a hundred at once, prefetched; and one by one where there is no cache that what was
 * loaded would go into. `node bench/sql/load.js [sqlite|postgres|mysql …]`
 */

import { rowCount } from './bare.js'
import { fill, inEach, inTurns, openStorage, reportRatio } from './support.js'

/** @typedef {import('./support.js').Oid} Oid */

const bulk = 100

await inEach(async ({ name, module, options, processIds, storage, floor }) => {
  const instance = await storage.newInstance()
  const uncached = await openStorage(module, { ...options, cacheBytesLimit: 0 })
  const uncachedInstance = await uncached.newInstance()
  const pick = picker(await fill(instance, rowCount))
  const pickRow = picker(Array.from({ length: rowCount }, (_, oid) => /** @type {Oid} */ (oid)))
  const many = (/** @type {() => Oid} */ next) => Array.from({ length: bulk }, next)
  const floorBefore = () => floor.begin()
  const before = async () => {
    await instance.pollInvalidations()
    await storage.cache?.clear()
  }
  // SQLite answers in a microsecond or two; a round must be long enough to be timed.
  const operations = name === 'sqlite' ? 5000 : 2000
  const single = await inTurns(
    { operations, processIds },
    {
      floor: { before: floorBefore, run: () => floor.load(pickRow()) },
      ours: { before, run: () => instance.load(pick()) },
      uncached: {
        before: () => uncachedInstance.pollInvalidations(),
        run: () => uncachedInstance.load(pick()),
      },
    },
  )
  reportRatio('load of one object', { floor: single.floor, ours: single.ours }, { factor: 1.3 })
  reportRatio('without a cache', { floor: single.floor, ours: single.uncached }, { factor: 1.3 })
  const times = await inTurns(
    { operations: rowCount / bulk, processIds },
    {
      floor: { before: floorBefore, run: () => floor.loadMany(many(pickRow)) },
      many: { before, run: () => instance.loadMany(many(pick)) },
      prefetch: {
        before,
        run: async () => {
          const chosen = many(pick)
          await instance.prefetch?.(chosen)
          for (const oid of chosen) await instance.load(oid)
        },
      },
    },
  )
  reportRatio(
    `loadMany of ${bulk}, per object`,
    { floor: times.floor, ours: times.many },
    { us: 5, scale: bulk },
  )
  reportRatio(
    `prefetch of ${bulk}, per object`,
    { floor: times.floor, ours: times.prefetch },
    { us: 5, scale: bulk },
  )
  await floor.end()
  await uncachedInstance.release()
  await uncached.close()
  await instance.release()
})

/**
 * The objects in an order that has nothing to do with their ids, again and again; so no round loads one twice.
 * @param {readonly Oid[]} oids
 */
function picker(oids) {
  const order = [...oids]
  let state = 1
  for (let last = order.length - 1; last > 0; last--) {
    state = (state * 48_271) % 2_147_483_647
    const other = state % (last + 1)
    const kept = /** @type {Oid} */ (order[last])
    order[last] = /** @type {Oid} */ (order[other])
    order[other] = kept
  }
  let next = 0
  return () => /** @type {Oid} */ (order[next++ % order.length])
}
