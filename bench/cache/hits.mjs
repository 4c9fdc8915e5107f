/**
 * What a hit of the state cache costs, against a floor of the same run: a `Map` lookup and a copy of the bytes.
 *
 *     node bench/cache/hits.mjs [--megabytes 64] [--rounds 7] [--threads 4]
 *
 * Prints the median over rounds in which cache, index and floor take turns. With threads, each reads the same shared
 * cache; "processor time" is user and system time of the whole process per hit, so it does not depend on how many
 * cores there are, and "time" is the elapsed time times the number of cores used, per hit.
 */

import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const dist = process.env['SHOOTOUT_DIST'] ?? new URL('../../dist/', import.meta.url).href
const { createStateCache, StateCache } = await import(`${dist}storages/cache/state-cache.js`)
const { SnapshotIndex } = await import(`${dist}storages/cache/snapshot-index.js`)

/** @type {(name: string, otherwise: number) => number} */
const argument = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(process.argv[at + 1])
}

/**
 * Object ids in an order that no cache line is ready for.
 * @type {(count: number, seed: number) => Int32Array}
 */
const shuffled = (count, seed) => {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  let state = seed
  for (let last = count - 1; last > 0; last--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const other = state % (last + 1)
    const kept = order[last] ?? 0
    order[last] = order[other] ?? 0
    order[other] = kept
  }
  return order
}

/**
 * Nanoseconds per call of `read`. `check` keeps the work from being optimised away.
 * @type {(order: Int32Array, hits: number, read: (oid: number) => number) => number}
 */
const time = (order, hits, read) => {
  let check = 0
  const start = process.hrtime.bigint()
  for (let hit = 0, at = 0; hit < hits; hit++) {
    check += read(order[at] ?? 0)
    if (++at === order.length) at = 0
  }
  const ns = Number(process.hrtime.bigint() - start) / hits
  if (check === 0) throw new Error('nothing was read')
  return ns
}

/** @type {(values: number[]) => number} */
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

if (isMainThread) await main()
else work()

async function main() {
  const rounds = argument('rounds', 7)
  const bytesLimit = argument('megabytes', 64) * 1024 ** 2
  console.log('one thread, ns per hit (median)')
  console.log('  object   entries   bytes/entry    cache.get   view.find   Map + copy   find/floor')
  for (const { size, count } of [
    { size: 300, count: 1_000 },
    { size: 300, count: 100_000 },
    { size: 2_000, count: 20_000 },
    { size: 16_000, count: 2_500 },
  ]) {
    one(size, count, rounds, bytesLimit)
  }
  await many(argument('threads', 4), rounds, bytesLimit)
}

/** @param {number} size @param {number} count @param {number} bytesLimit */
function filled(size, count, bytesLimit) {
  const memory = createStateCache({ bytesLimit })
  const cache = new StateCache(memory)
  const data = new Uint8Array(size).fill(1)
  for (let oid = 0; oid < count; oid++) cache.add(oid, 1000, data, 2000)
  if (cache.entries !== count) throw new Error(`only ${cache.entries} of ${count} objects are in the cache`)
  return { memory, cache, data }
}

/** @param {number} size @param {number} count @param {number} rounds @param {number} bytesLimit */
function one(size, count, rounds, bytesLimit) {
  const empty = new StateCache(createStateCache({ bytesLimit })).bytes
  const { cache, data } = filled(size, count, bytesLimit)
  const view = new SnapshotIndex(cache).newView()
  view.polled(2000, view.beginPoll(), 'all')
  const map = new Map(Array.from({ length: count }, (_, oid) => [oid, { serial: 1000, data: data.slice() }]))
  const order = shuffled(count, 7)
  const hits = Math.max(count, size > 1000 ? 50_000 : 300_000)
  /** @type {Record<'get' | 'find' | 'floor', number[]>} */
  const times = { get: [], find: [], floor: [] }
  for (let round = 0; round <= rounds; round++) {
    const get = time(order, hits, (oid) => cache.get(oid, 1000)?.data.length ?? 0)
    const find = time(order, hits, (oid) => view.find(oid)?.data.length ?? 0)
    const floor = time(order, hits, (oid) => {
      const found = map.get(oid)
      if (found === undefined) throw new Error(`no object ${oid}`)
      return { serial: found.serial, data: found.data.slice() }.data.length
    })
    // The first round compiles.
    if (round === 0) continue
    times.get.push(get)
    times.find.push(find)
    times.floor.push(floor)
  }
  const [get, find, floor] = [median(times.get), median(times.find), median(times.floor)]
  const columns = [size, count, (cache.bytes - empty) / count, get, find, floor]
  const widths = [8, 10, 14, 13, 12, 13]
  console.log(
    `${columns.map((value, column) => value.toFixed(0).padStart(widths[column] ?? 0)).join('')}${(find / floor).toFixed(2).padStart(13)}`,
  )
}

/** @param {number} threads @param {number} rounds @param {number} bytesLimit */
async function many(threads, rounds, bytesLimit) {
  const count = 100_000
  const { memory } = filled(300, count, bytesLimit)
  const cores = availableParallelism()
  console.log(`\n300 bytes, ${count} entries, shared by threads (${cores} cores), ns per hit (median)`)
  console.log('  threads   time × cores used   processor time')
  for (const level of [1, threads]) {
    const workers = Array.from(
      { length: level },
      (_, seed) => new Worker(new URL(import.meta.url), { workerData: { memory, count, seed } }),
    )
    /** @type {() => Promise<number[]>} */
    const next = () =>
      Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
    await next()
    /** @type {number[]} */
    const times = []
    /** @type {number[]} */
    const processor = []
    for (let round = 0; round <= rounds; round++) {
      const done = next()
      const before = process.cpuUsage()
      const start = performance.now()
      for (const worker of workers) worker.postMessage('go')
      const hits = (await done).reduce((sum, one) => sum + one, 0)
      const elapsedNs = (performance.now() - start) * 1e6
      const used = process.cpuUsage(before)
      if (round === 0) continue
      times.push((elapsedNs * Math.min(level, cores)) / hits)
      processor.push(((used.user + used.system) * 1000) / hits)
    }
    console.log(
      `${String(level).padStart(9)}${median(times).toFixed(0).padStart(20)}${median(processor).toFixed(0).padStart(17)}`,
    )
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

function work() {
  const { memory, count, seed } = workerData
  const cache = new StateCache(memory)
  const order = shuffled(count, seed + 1)
  const hits = 500_000
  parentPort?.on('message', () => {
    time(order, hits, (oid) => cache.get(oid, 1000)?.data.length ?? 0)
    parentPort?.postMessage(hits)
  })
  parentPort?.postMessage(0)
}
