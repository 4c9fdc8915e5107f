/**
 * The caches of a client against their floors of the same run: a hit in memory beside a `Map` lookup and a copy, a
 * warm read from the disk cache beside a bare positional read of as many bytes, opening beside reading the same files.
 *
 *     npm run build && node bench/zeo/cache.js [--built DIR] [--entries 400000] [--bytes 300] [--out FILE]
 *
 * The files are in the page cache of the system: what is measured is the work, not the disk, as
 * processor time. Prints one line for each
 * figure, and writes them as JSON.
 */

import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    built: { type: 'string', default: 'dist' },
    entries: { type: 'string', default: '400000' },
    bytes: { type: 'string', default: '300' },
    out: { type: 'string' },
  },
})
const entries = Number(values.entries)
const bytes = Number(values.bytes)
const reads = Math.min(entries, 100_000)
/** @param {string} path */
const load = (path) => import(pathToFileURL(resolve(values.built, path)).href)
const { openDiskCache } = await load('storages/cache/disk/open.js')
const { ClientCache, shareClientCache } = await load('storages/zeo/client-cache.js')

const base = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
const folder = join(base, 'cache')
mkdirSync(folder)
/** @type {Record<string, unknown>[]} */
const figures = []

/**
 * @param {string} name
 * @param {string} unit
 * @param {number} value
 * @param {number} floor of the same run, in the same unit
 * @param {number} target
 */
function report(name, unit, value, floor, target) {
  figures.push({ name, unit, value, floor, timesFloor: value / floor, target })
  const shown = [value, floor].map((one) => one.toFixed(2).padStart(9)).join('  floor ')
  process.stdout.write(`${name.padEnd(34)} ${shown} ${unit}   target ${target}\n`)
}

const run = new Uint8Array(16).fill(7)
const welcome = { run, zaps: 0, lastTid: 1000 }
const diskOptions = { folder, bytesLimit: 512 * 1024 ** 2, policy: 's3-fifo', log: console.error }
/** Processor time of this process, µs: nothing here waits, and other load on the machine does not count. */
const now = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** @type {(length: number) => Int32Array} */
const shuffled = (length) => {
  const order = Int32Array.from({ length }, (_, index) => index)
  let state = 1
  for (let last = length - 1; last > 0; last--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const other = state % (last + 1)
    const kept = order[last] ?? 0
    order[last] = order[other] ?? 0
    order[other] = kept
  }
  return order
}

/** @type {(values: number[]) => number} */
const median = (samples) => [...samples].sort((a, b) => a - b)[samples.length >> 1] ?? Number.NaN

function fill() {
  const disk = openDiskCache(diskOptions)
  disk.begin(new Uint8Array(20).fill(1), 1000)
  disk.advance(1000, 0, [])
  for (let oid = 0; oid < entries; oid++) disk.put(oid, 500, new Uint8Array(bytes).fill(oid))
  disk.close()
}

/** Milliseconds to read all index files, which is what opening cannot do without. */
function readIndexes() {
  const from = now()
  let read = 0
  for (const name of readdirSync(folder))
    if (name.endsWith('.index')) read += readFileSync(join(folder, name)).length
  if (read < entries * 32) throw new Error('the index is too small')
  return (now() - from) / 1000
}

function opening() {
  const [floors, samples] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])]
  for (let round = 0; round < 7; round++) {
    floors.push(readIndexes())
    const from = now()
    const disk = openDiskCache(diskOptions)
    samples.push((now() - from) / 1000)
    if (disk.entries !== entries) throw new Error(`${disk.entries} entries of ${entries}`)
    disk.close()
  }
  report(`open a disk cache of ${entries}`, 'ms', median(samples), median(floors), 100)
}

/** Opens as a client does that begins anew behind the same run of a server. */
function openClientCache() {
  const shared = shareClientCache(Math.max(64 * 1024 ** 2, reads * (bytes + 200)))
  const disk = openDiskCache(diskOptions)
  const cache = new ClientCache(shared, { disk })
  const view = cache.newView()
  return { cache, disk, view }
}

function reading() {
  const order = shuffled(entries).subarray(0, reads)
  const data = readdirSync(folder).find(
    (name) => name.endsWith('.data') && readFileSync(join(folder, name)).length > 1e6,
  )
  const file = openSync(join(folder, data ?? ''), 'r')
  const fileBytes = readFileSync(join(folder, data ?? '')).length - bytes
  const map = new Map(Array.from({ length: entries }, (_, oid) => [oid, new Uint8Array(bytes).fill(oid)]))
  /** @type {Record<'read' | 'map' | 'disk' | 'memory', number[]>} */
  const samples = { read: [], map: [], disk: [], memory: [] }
  for (let round = 0; round < 5; round++) {
    let check = 0
    /** @param {(oid: number) => number} read */
    const time = (read) => {
      const from = now()
      for (const oid of order) check += read(oid)
      return (now() - from) / reads
    }
    samples.read.push(
      time((oid) => {
        const target = new Uint8Array(bytes)
        return readSync(file, target, 0, bytes, (oid * bytes) % fileBytes)
      }),
    )
    samples.map.push(time((oid) => map.get(oid)?.slice().length ?? 0))
    const { cache, disk, view } = openClientCache()
    cache.begin(welcome)
    // The origin of the files is not that of this run: said to be, as verification would.
    for (const { oid, tid } of [...disk.doubtful()]) disk.confirm(oid, tid)
    view.arrived({ since: 1000, withStates: false }, { tid: 1000, invalidations: new Set(), changes: [] })
    /** @param {number} oid */
    const find = (oid) => {
      const found = view.find(oid)
      if (found === undefined || found.data[0] !== oid % 256) throw new Error(`object ${oid} is not there`)
      return found.data.length
    }
    samples.disk.push(time(find))
    samples.memory.push(time(find))
    if (check === 0) throw new Error('nothing was read')
    cache.close()
  }
  report('warm read from the disk cache', 'µs', median(samples.disk), median(samples.read), 10)
  report('warm read from memory', 'µs', median(samples.memory), median(samples.map), 1)
}

try {
  fill()
  opening()
  reading()
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(figures, undefined, 2)}\n`)
} finally {
  rmSync(base, { recursive: true })
}
