/**
 * SQL storages against the floor of their driver, measured in turns in one run: `node bench/sql/floors.js [sqlite|postgres …]`
 * after `npm run build`. Each line: what the bare driver takes, what the storage takes, and their ratio; medians of
 * rounds that alternate between the two.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

/**
 * @typedef {import('../../src/storages/storage.ts').Storage} Storage
 * @typedef {import('../../src/storages/storage.ts').StorageInstance} StorageInstance
 * @typedef {import('../../src/core/ids.ts').Oid} Oid
 * @typedef {import('../../src/core/ids.ts').Tid} Tid
 */

const built = new URL(process.env['SHOOTOUT_BUILT'] ?? '../../dist/', import.meta.url)
const { openStorage, parseOptions } = await import(new URL('storages/index.js', built).href)

const rounds = 15
/** Until everything is compiled. */
const warmUpRounds = 10
const recordBytes = 300
const objectCount = 5000
const names = process.argv.length > 2 ? process.argv.slice(2) : ['sqlite', 'postgres', 'mysql']
const data = Buffer.alloc(recordBytes, 7)
const noTid = /** @type {Tid} */ (0)

for (const name of names) await benchmark(name)

/** @param {string} name */
async function benchmark(name) {
  const { default: module } = await import(new URL(`storages/sql/${name}/index.js`, built).href)
  const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
  const provision = await module.provision(parseOptions(name, module.options, {}), { folder, log: () => {} })
  if (!provision.available) return console.log(`${name}: ${provision.reason}`)
  console.log(`\n${name} ${JSON.stringify(provision.facts)}`)
  const store = await provision.newStore('bench')
  const storage = await openStorage(module, store.options)
  const floor = await (await import('./bare.js')).open(name, store.options)
  const instance = await storage.newInstance()
  const oids = await fill(instance)
  const pick = picker(oids)

  await compare('load one', 200, () => floor.load(pick()), {
    before: () => freshSnapshot(storage, instance),
    run: () => instance.load(pick()),
  })
  await compare('load 100 at once, per object', 20, () => floor.loadMany(Array.from({ length: 100 }, pick)), {
    before: () => freshSnapshot(storage, instance),
    run: () => instance.loadMany(Array.from({ length: 100 }, pick)),
    scale: 100,
  })
  if (instance.prefetch !== undefined) {
    await compare(
      'prefetch 100 and load each, per object',
      20,
      () => floor.loadMany(Array.from({ length: 100 }, pick)),
      {
        before: () => freshSnapshot(storage, instance),
        run: async () => {
          const chosen = Array.from({ length: 100 }, pick)
          await instance.prefetch?.(chosen)
          for (const oid of chosen) await instance.load(oid)
        },
        scale: 100,
      },
    )
  }
  for (const count of [1, 20, 100]) {
    let tid = Date.now() * 1000
    await compare(
      `update ${count}`,
      count === 1 ? 60 : 20,
      () => floor.commit(Array.from({ length: count }, pick), ++tid, data),
      {
        before: () => instance.pollInvalidations(),
        run: async () => {
          await instance.pollInvalidations()
          const chosen = [...new Set(Array.from({ length: count }, pick))]
          const revisions = await instance.loadMany(chosen)
          const transaction = instance.begin()
          for (const [index, oid] of chosen.entries())
            await transaction.store(oid, revisions[index].serial, data)
          await (await transaction.vote()).finish()
          await instance.afterCompletion()
        },
      },
    )
    await committers(storage, count)
  }
  await floor.close()
  await storage.close()
  await store.dispose()
  await provision.dispose()
  rmSync(folder, { recursive: true, force: true })
}

/** @param {StorageInstance} instance */
async function fill(instance) {
  await instance.pollInvalidations()
  const oids = await instance.newOids(objectCount)
  const transaction = instance.begin()
  for (const oid of oids) await transaction.store(oid, noTid, data)
  await (await transaction.vote()).finish()
  await instance.afterCompletion()
  return oids
}

/**
 * Ten instances of one storage adding new objects, side by side: commits per second.
 * @param {Storage} storage
 * @param {number} count objects of each commit
 */
async function committers(storage, count) {
  const instances = await Promise.all(Array.from({ length: 10 }, () => storage.newInstance()))
  const perInstance = count === 1 ? 60 : 20
  const before = { ...storage.counters() }
  const started = process.hrtime.bigint()
  await Promise.all(
    instances.map(async (instance) => {
      for (let round = 0; round < perInstance; round++) {
        await instance.pollInvalidations()
        const oids = await instance.newOids(count)
        const transaction = instance.begin()
        for (const oid of oids) await transaction.store(oid, noTid, data)
        await (await transaction.vote()).finish()
        await instance.afterCompletion()
      }
    }),
  )
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const after = storage.counters()
  /** @param {'roundTrips' | 'statements'} key */
  const perCommit = (key) => ((after[key] - before[key]) / (10 * perInstance)).toFixed(2)
  console.log(
    `  add ${count}, 10 at once: ${((10 * perInstance) / seconds).toFixed(0)} commits/s, each ${perCommit('roundTrips')} round trips, ${perCommit('statements')} statements`,
  )
  for (const instance of instances) await instance.release()
}

/**
 * @param {string} what
 * @param {number} operations of each round
 * @param {() => unknown} bare
 * @param {{ before: () => unknown, run: () => unknown, scale?: number }} ours
 */
async function compare(what, operations, bare, { before, run, scale = 1 }) {
  /** @type {{ bare: number[], storage: number[] }} */
  const times = { bare: [], storage: [] }
  for (let round = 0; round < rounds + warmUpRounds; round++) {
    const floor = await timed(operations, bare)
    await before()
    const storage = await timed(operations, run)
    if (round < warmUpRounds) continue
    times.bare.push(floor)
    times.storage.push(storage)
  }
  const [floorUs, storageUs] = [median(times.bare) / scale, median(times.storage) / scale]
  console.log(
    `  ${what}: bare ${floorUs.toFixed(1)} us, storage ${storageUs.toFixed(1)} us, ratio ${(storageUs / floorUs).toFixed(2)}`,
  )
}

/**
 * @param {number} operations
 * @param {() => unknown} work
 */
async function timed(operations, work) {
  const started = process.hrtime.bigint()
  for (let index = 0; index < operations; index++) {
    const result = work()
    if (result instanceof Promise) await result
  }
  return Number(process.hrtime.bigint() - started) / 1000 / operations
}

/** @param {readonly number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

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

/**
 * A snapshot of which the storage's cache has nothing.
 * @param {Storage} storage
 * @param {StorageInstance} instance
 */
async function freshSnapshot(storage, instance) {
  await instance.pollInvalidations()
  await storage.cache?.clear()
}
