/**
 * What a hit of the state cache costs whoever reads through a storage: `node bench/sql/cached.js [--threads 4]` after
 * `npm run build`. Everything takes turns with a floor, a `Map` lookup and a copy of the bytes, in one run. A database
 * is only needed for filling: no hit asks it, and the counters prove that.
 *
 * Threads read one cache, each through a storage of its own; their time is elapsed time × cores used, per hit.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/**
 * @typedef {import('../../src/storages/storage.ts').Storage} Storage
 * @typedef {import('../../src/storages/storage.ts').StorageInstance} StorageInstance
 * @typedef {import('../../src/core/ids.ts').Oid} Oid
 * @typedef {import('../../src/core/ids.ts').Tid} Tid
 */

const built = new URL(process.env['SHOOTOUT_DIST'] ?? '../../dist/', import.meta.url)
const { openContext } = await import(new URL('storages/open.js', built).href)
const { parseOptions } = await import(new URL('core/options.js', built).href)
const { Database } = await import(new URL('database/index.js', built).href)
const { default: sqlite } = await import(new URL('storages/sql/sqlite/index.js', built).href)

const rounds = 15
const warmUpRounds = 5
const objectCount = 2000
const recordBytes = 300
const hitsPerRound = 20_000
const noTid = /** @type {Tid} */ (0)

const { median, report } = await import('./support.js')
const { createStateCache, StateCache } = await import(new URL('storages/cache/state-cache.js', built).href)
const { Item } = await import(new URL('scenarios/payload.js', built).href)

if (isMainThread) await main()
else await readOnDemand()

async function main() {
  memory()
  const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
  try {
    const options = parseOptions('sqlite', sqlite.options, { path: join(folder, 'store.sqlite') })
    const shared = await sqlite.share(options, openContext())
    const storage = await sqlite.open(options, openContext(), shared.state)
    await onInstance(storage)
    await onThreads(options, shared.state, await fill(storage))
    await storage.close()
    await shared.close()
    await onConnection(parseOptions('sqlite', sqlite.options, { path: join(folder, 'objects.sqlite') }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {Storage} storage */
async function fill(storage) {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const oids = await instance.newOids(objectCount)
  const transaction = instance.begin()
  for (const oid of oids) await transaction.store(oid, noTid, Buffer.alloc(recordBytes, 7))
  await (await transaction.vote()).finish()
  await instance.release()
  return oids
}

/**
 * What an entry takes of a full cache beside its own bytes. Entries are chains of blocks: one of 336 bytes fills its
 * blocks, so that everything beside them is metadata; in others the end of the last block is unused.
 */
function memory() {
  const bytesLimit = 16 * 1024 ** 2
  for (const bytes of [336, recordBytes]) {
    const cache = new StateCache(createStateCache({ bytesLimit }))
    const entry = new Uint8Array(bytes).fill(7)
    for (let oid = 0; oid < bytesLimit / bytes; oid++) cache.add(oid, 1000, entry, 2000)
    const overhead = cache.bytesLimit / cache.entries - bytes
    const value = `${overhead.toFixed(1)} bytes beside its own`
    if (bytes === recordBytes) report(`an entry of ${bytes} bytes`, value)
    else report(`metadata of an entry of ${bytes}`, value, '64 bytes', overhead <= 64)
  }
}

/** @param {Storage} storage */
async function onInstance(storage) {
  const oids = await fill(storage)
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const map = new Map(oids.map((oid) => [oid, Buffer.alloc(recordBytes, 7)]))
  const before = storage.counters().backendLoads
  compare(
    'StorageInstance.load',
    () => hits(oids, (oid) => /** @type {{ data: Uint8Array }} */ (instance.load(oid)).data.length),
    () => hits(oids, (oid) => (map.get(oid)?.slice() ?? []).length),
  )
  console.log(`  ${storage.counters().backendLoads - before} loads reached the backend`)
  await instance.release()
}

/** @param {unknown} options */
async function onConnection(options) {
  const shared = await sqlite.share(options, openContext())
  const database = new Database(await sqlite.open(options, openContext(), shared.state))
  const connection = await database.openConnection()
  await connection.begin()
  const objects = Array.from({ length: objectCount }, () => {
    const item = new Item()
    item.state = new Uint8Array(recordBytes)
    return item
  })
  connection.root.set('objects', objects)
  await connection.commit()
  await connection.begin()
  const map = new Map(objects.map((_, index) => [index, Buffer.alloc(recordBytes, 7)]))
  const before = database.storage.counters().backendLoads
  compare(
    'a ghost of a Connection that is read',
    () => {
      let ns = 0
      for (let done = 0; done < hitsPerRound; done += objectCount) {
        connection.minimizeCache()
        const start = process.hrtime.bigint()
        for (const object of objects) void connection.activate(object)
        ns += Number(process.hrtime.bigint() - start)
      }
      return ns / hitsPerRound
    },
    () => hits([...map.keys()], (index) => (map.get(index)?.slice() ?? []).length),
  )
  console.log(`  ${database.storage.counters().backendLoads - before} loads reached the backend`)
  await connection.abort()
  await database.close()
  await shared.close()
}

/**
 * @param {unknown} options
 * @param {unknown} shared
 * @param {readonly Oid[]} oids
 */
async function onThreads(options, shared, oids) {
  const at = process.argv.indexOf('--threads')
  /** @type {{ elapsed: number, processor: number }[]} */
  const medians = []
  const levels = [1, at < 0 ? 4 : Number(process.argv[at + 1])]
  for (const level of levels) {
    const workers = Array.from(
      { length: level },
      () => new Worker(new URL(import.meta.url), { workerData: { options, shared, oids } }),
    )
    const answers = () =>
      Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
    await answers()
    /** @type {number[]} */
    const times = []
    /** @type {number[]} */
    const processor = []
    for (let round = 0; round < rounds + warmUpRounds; round++) {
      const done = answers()
      const cpu = process.cpuUsage()
      const start = process.hrtime.bigint()
      for (const worker of workers) worker.postMessage('read')
      await done
      const ns = Number(process.hrtime.bigint() - start)
      const cores = Math.min(level, availableParallelism())
      const { user, system } = process.cpuUsage(cpu)
      if (round < warmUpRounds) continue
      times.push((ns * cores) / (level * hitsPerRound))
      processor.push(((user + system) * 1000) / (level * hitsPerRound))
    }
    for (const worker of workers) worker.postMessage('end')
    medians.push({ elapsed: median(times), processor: median(processor) })
  }
  const [alone, together] = medians
  if (alone === undefined || together === undefined) throw new Error('nothing was measured')
  const ratio = together.elapsed / alone.elapsed
  const say = (/** @type {typeof alone} */ { elapsed, processor }) =>
    `${elapsed.toFixed(0)} ns per hit (processor ${processor.toFixed(0)})`
  const ratios = `× ${ratio.toFixed(2)}, processor × ${(together.processor / alone.processor).toFixed(2)}`
  const value = `${say(together)}, one alone ${say(alone)}, ${ratios}`
  report(`${levels[1]} threads that share a cache`, value, '× 2', ratio <= 2)
}

async function readOnDemand() {
  const { options, shared, oids } = workerData
  const storage = await sqlite.open(options, openContext(), shared)
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  parentPort?.on('message', (message) => {
    if (message === 'read') {
      hits(oids, (oid) => instance.load(/** @type {Oid} */ (oid)).data.length)
      parentPort?.postMessage('done')
      return
    }
    void instance.release().then(() => storage.close())
    parentPort?.close()
  })
  parentPort?.postMessage('ready')
}

/**
 * Nanoseconds per call of `read`.
 * @template T
 * @param {readonly T[]} keys
 * @param {(key: T) => number} read
 */
function hits(keys, read) {
  let bytes = 0
  const start = process.hrtime.bigint()
  for (let done = 0; done < hitsPerRound; done += keys.length) for (const key of keys) bytes += read(key)
  const ns = Number(process.hrtime.bigint() - start)
  if (bytes < hitsPerRound) throw new Error('nothing was read')
  return ns / hitsPerRound
}

/**
 * @param {string} what
 * @param {() => number} ours
 * @param {() => number} floor
 */
function compare(what, ours, floor) {
  /** @type {{ ours: number[], floor: number[] }} */
  const times = { ours: [], floor: [] }
  for (let round = 0; round < rounds + warmUpRounds; round++) {
    const [one, other] = [ours(), floor()]
    if (round < warmUpRounds) continue
    times.ours.push(one)
    times.floor.push(other)
  }
  const [a, b] = [median(times.ours), median(times.floor)]
  const value = `${a.toFixed(0)} ns per hit (fastest round ${Math.min(...times.ours).toFixed(0)}), Map and copy ${b.toFixed(0)} ns, × ${(a / b).toFixed(2)}`
  report(what, value, '1000 ns', a <= 1000)
}
