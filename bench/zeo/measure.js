/**
 * The client-server storage against its floor, a bare socket round trip, measured in the same run.
 *
 *     npm run build && node bench/zeo/measure.js [--built DIR] [--rounds N] [--out FILE]
 *
 * Servers run in processes of their own; the stores are in memory, so that the disk has no part in it (the commit over
 * `file` is measured beside a bare append with fdatasync). Prints one line for each figure and writes them as JSON.
 */

import { fork } from 'node:child_process'
import { fdatasyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    built: { type: 'string', default: 'dist' },
    rounds: { type: 'string', default: '3000' },
    out: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
/** @param {string} path */
const load = (path) => import(pathToFileURL(resolve(values.built, path)).href)
const { openStorage } = await load('storages/open.js')
const { parseOptions } = await load('core/options.js')
const { requestStatus } = await load('storages/zeo/status-client.js')
const zeo = (await load('storages/zeo/index.js')).default
const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
/** @type {Record<string, unknown>[]} */
const figures = []
/** @param {number} value */
const round2 = (value) => Math.round(value * 100) / 100

/**
 * @param {string} name
 * @param {string} unit
 * @param {readonly number[]} samples
 * @param {Record<string, unknown>} extra facts beside the figure, among them `timesFloor` and `target`
 */
function report(name, unit, samples, extra = {}) {
  const sorted = [...samples].sort((a, b) => a - b)
  /** @param {number} q */
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
  const figure = { name, unit, n: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), ...extra }
  figures.push(figure)
  /** @param {number} value */
  const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2)).padStart(9)
  process.stdout.write(
    `${name.padEnd(44)} ${shown(figure.p50)} ${shown(figure.p99)} ${unit}  ${JSON.stringify(extra)}\n`,
  )
  return figure.p50
}

/**
 * Durations in microseconds.
 * @param {number} count
 * @param {(round: number) => unknown} work
 */
async function sample(count, work) {
  const samples = []
  for (let round = 0; round < count; round++) {
    const from = process.hrtime.bigint()
    await work(round)
    samples.push(Number(process.hrtime.bigint() - from) / 1000)
  }
  return samples
}

async function floor() {
  const path = join(folder, 'floor')
  const server = fork(fileURLToPath(new URL('./floor-server.js', import.meta.url)), [path])
  await new Promise((done) => server.once('message', done))
  const socket = connect(path)
  let arrived = () => {}
  let missing = 0
  socket.on('data', (chunk) => {
    missing -= chunk.length
    if (missing === 0) arrived()
  })
  const request = Buffer.alloc(24, 1)
  const roundTrip = () =>
    new Promise((done) => {
      arrived = () => done(undefined)
      missing = 456
      socket.write(request)
    })
  await sample(rounds, roundTrip)
  const p50 = report('bare socket round trip', 'µs', await sample(rounds, roundTrip))
  socket.destroy()
  server.disconnect()
  return p50
}

function syncFloor() {
  const file = openSync(join(folder, 'append'), 'w')
  const bytes = Buffer.alloc(600, 3)
  const samples = []
  for (let round = 0; round < 200; round++) {
    const from = process.hrtime.bigint()
    writeSync(file, bytes)
    fdatasyncSync(file)
    samples.push(Number(process.hrtime.bigint() - from) / 1000)
  }
  return report('bare append of 600 bytes and fdatasync', 'µs', samples)
}

/**
 * @param {Record<string, unknown>} given options of zeo
 * @param {(storage: any, store: any) => Promise<void>} work
 */
async function withStore(given, work) {
  const options = parseOptions('zeo', zeo.options, given)
  const provision = await zeo.provision(options, { folder, log: console.error })
  const store = await provision.newStore('bench')
  const storage = await openStorage(zeo, store.options)
  try {
    await work(storage, store)
  } finally {
    await storage.close()
    await store.dispose()
    await provision.dispose()
  }
}

/**
 * @param {any} instance
 * @param {number} count
 * @param {number} bytes
 */
async function fill(instance, count, bytes) {
  await instance.pollInvalidations()
  const oids = await instance.newOids(count)
  const transaction = instance.begin()
  for (const oid of oids) transaction.store(oid, 0, new Uint8Array(bytes).fill(oid))
  await transaction.commit()
  await instance.pollInvalidations()
  return oids
}

/**
 * Polls, loads and commits; how long the commit took, µs.
 * @param {any} instance
 * @param {number} oid
 * @param {Uint8Array} data
 */
async function commitOne(instance, oid, data) {
  const poll = instance.pollInvalidations()
  if (poll instanceof Promise) await poll
  const { serial } = await instance.load(oid)
  const transaction = instance.begin()
  transaction.store(oid, serial, data)
  const from = process.hrtime.bigint()
  await transaction.commit()
  const tookUs = Number(process.hrtime.bigint() - from) / 1000
  instance.afterCompletion()
  return tookUs
}

/** @param {{ serial: number }} revision */
const serialOf = ({ serial }) => serial

const floorUs = await floor()
await withStore({ serve: 'memory' }, async (storage) => {
  const instance = await storage.newInstance()
  const oids = await fill(instance, 1000, 400)
  await sample(rounds, (round) => instance.load(oids[round % 1000]))
  const p50 = report(
    'cold load, 400 bytes',
    'µs',
    await sample(rounds, (round) => instance.load(oids[round % 1000])),
  )
  figures.push({ name: 'cold load over bare round trip', unit: '×', value: p50 / floorUs, target: 3 })
  process.stdout.write(`  = ${(p50 / floorUs).toFixed(2)} × the bare round trip (target 3)\n`)
  await sample(20, () => instance.loadMany(oids))
  const bulk = (await sample(200, () => instance.loadMany(oids))).map((us) => us / 1000)
  report('bulk load of 1000, per object', 'µs', bulk, { target: 8 })

  const data = new Uint8Array(400).fill(1)
  const commits = []
  for (let round = 0; round < rounds; round++) commits.push(await commitOne(instance, oids[0], data))
  const before = storage.counters()
  await commitOne(instance, oids[0], data)
  const trips = storage.counters().roundTrips - before.roundTrips
  report('commit of 1 object, memory', 'µs', commits, { roundTripsOfPollLoadCommit: trips })

  const many = []
  for (let round = 0; round < 30; round++) {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    const serial = (await instance.load(oids[1])).serial
    const current = round === 0 ? (await instance.loadMany(oids)).map(serialOf) : oids.map(() => serial)
    for (const [index, oid] of oids.entries()) transaction.store(oid, current[index], data)
    const from = process.hrtime.bigint()
    await transaction.commit()
    if (round > 0) many.push(Number(process.hrtime.bigint() - from) / 1e6)
    instance.afterCompletion()
  }
  report('commit of 1000 objects, per object', 'µs', many, { target: 10 })
})

await withStore({ serve: 'memory' }, async (_storage, store) => {
  for (const writers of [1, 8]) {
    const storages = await Promise.all(Array.from({ length: writers }, () => openStorage(zeo, store.options)))
    const instances = await Promise.all(storages.map((storage) => storage.newInstance()))
    const oids = await Promise.all(instances.map(async (instance) => (await fill(instance, 1, 400))[0]))
    const data = new Uint8Array(400)
    const from = performance.now()
    let count = 0
    await Promise.all(
      instances.map(async (instance, index) => {
        while (performance.now() - from < 1500) {
          await commitOne(instance, oids[index], data)
          count++
        }
      }),
    )
    const perSecond = count / ((performance.now() - from) / 1000)
    report(`commits per second, ${writers} writers, memory`, '1/s', [perSecond])
    await Promise.all(storages.map((storage) => storage.close()))
  }
})

const syncUs = syncFloor()
await withStore({ serve: 'file' }, async (storage) => {
  const instance = await storage.newInstance()
  const [oid] = await fill(instance, 1, 400)
  const commits = []
  for (let round = 0; round < 300; round++) commits.push(await commitOne(instance, oid, new Uint8Array(400)))
  const p50 = report('commit of 1 object, file with fdatasync', 'µs', commits)
  process.stdout.write(`  = ${(p50 - syncUs).toFixed(0)} µs above the bare append\n`)
})

await withStore({ serve: 'memory' }, async (storage, store) => {
  const megabytes = 100
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const [oid] = await instance.newOids(1)
  const data = new Uint8Array(megabytes * 1e6).fill(5)
  const ofServer = () => requestStatus(store.options.address, { token: '', caFile: '' })
  const serverBefore = (await ofServer()).residentBytes
  const residentBefore = process.memoryUsage.rss()
  let peak = residentBefore
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 5)
  const transaction = instance.begin()
  transaction.store(oid, 0, data)
  let from = performance.now()
  await transaction.commit()
  const storeSeconds = (performance.now() - from) / 1000
  const storePeak = (peak - residentBefore) / data.length
  await instance.pollInvalidations()
  const loads = []
  for (let round = 0; round < 3; round++) {
    from = performance.now()
    const loaded = await instance.load(oid)
    loads.push(megabytes / ((performance.now() - from) / 1000))
    if (loaded.data.length !== data.length || loaded.data[99_999_999] !== 5) throw new Error('wrong data')
  }
  clearInterval(watch)
  // The server keeps the object: once its size is what it must take.
  const serverTimes = ((await ofServer()).residentBytes - serverBefore) / data.length
  report('object of 100 MB, store', 'MB/s', [megabytes / storeSeconds], {
    target: 500,
    clientMemoryTimesObject: round2(storePeak),
  })
  report('object of 100 MB, load', 'MB/s', loads, {
    target: 500,
    clientMemoryTimesObjectOf3Loads: round2((peak - residentBefore) / data.length),
    serverMemoryTimesObject: round2(serverTimes),
  })
})

rmSync(folder, { recursive: true, force: true })
if (values.out !== undefined) {
  const environment = {
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    date: new Date().toISOString(),
  }
  writeFileSync(values.out, `${JSON.stringify({ environment, figures }, null, 2)}\n`)
}
