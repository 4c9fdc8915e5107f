/**
 * The caches of a client: opening a disk cache beside reading its index files, a warm read from it beside a bare
 * positional read of as many bytes, a hit in memory beside a `Map` lookup and a copy.
 *
 * The files are in the page cache of the system: what is measured is the work, not the disk. Nothing here waits, so
 * processor time is what the figures are; the time by the clock stands beside it.
 */

import { mkdirSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { inFolder, load, median, ratio, report, shown } from './support.js'

const entries = Number(process.argv[2] ?? 400_000)
const bytes = 300
const reads = Math.min(entries, 100_000)
const { openDiskCache } = await load('storages/cache/disk/open.js')
const { ClientCache, shareClientCache } = await load('storages/zeo/client-cache.js')

setFlagsFromString('--expose-gc')
/** @type {() => void} */
const collect = runInNewContext('gc')

const run = new Uint8Array(16).fill(7)
const welcome = { run, zaps: 0, lastTid: 1000 }

/** @param {() => unknown} work @returns processor time and time by the clock, µs */
function time(work) {
  // What earlier work has left is not to be cleared away within this.
  collect()
  const from = performance.now()
  const cpu = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(cpu)
  return { cpu: user + system, wall: (performance.now() - from) * 1000 }
}

/** @typedef {{ cpu: number[], wall: number[] }} Times */

/** @param {Times} times @param {{ cpu: number, wall: number }} one @param {number} share */
function add(times, one, share) {
  times.cpu.push(one.cpu / share)
  times.wall.push(one.wall / share)
}

/** @returns {Times} */
const none = () => ({ cpu: [], wall: [] })

/** @param {Times} value @param {Times} floor @param {string} unit */
const against = (value, floor, unit) =>
  `${shown(median(value.cpu))} ${unit} (clock ${shown(median(value.wall))}), floor ${shown(median(floor.cpu))} ${unit}: ` +
  `${ratio(value.cpu, floor.cpu).toFixed(2)} ×`

/** @type {(length: number) => Int32Array} */
function shuffled(length) {
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

/** @param {string} folder */
function benchmark(folder) {
  const diskOptions = { folder, bytesLimit: 512 * 1024 ** 2, policy: 's3-fifo', log: console.error }
  const named = (/** @type {string} */ ending) => readdirSync(folder).filter((name) => name.endsWith(ending))

  function fill() {
    const disk = openDiskCache(diskOptions)
    disk.begin(new Uint8Array(20).fill(1), 1000)
    disk.advance(1000, 0, [])
    for (let oid = 0; oid < entries; oid++) disk.put(oid, 500, new Uint8Array(bytes).fill(oid))
    disk.close()
  }

  function opening() {
    const [floor, opened] = [none(), none()]
    for (let round = 0; round < 9; round++) {
      let read = 0
      const reading = time(() => {
        for (const name of named('.index')) read += readFileSync(join(folder, name)).length
      })
      if (read < entries * 32) throw new Error('the index is too small')
      let disk = { entries: 0, close: () => {} }
      const one = time(() => {
        disk = openDiskCache(diskOptions)
      })
      if (disk.entries !== entries) throw new Error(`${disk.entries} entries of ${entries}`)
      disk.close()
      add(floor, reading, 1000)
      add(opened, one, 1000)
    }
    const ms = median(opened.cpu)
    report(`open a disk cache of ${entries}`, against(opened, floor, 'ms'), '≤ 100 ms', ms <= 100)
  }

  /** As a client has them that begins anew behind the same run of a server. */
  function openCaches() {
    const shared = shareClientCache(Math.max(64 * 1024 ** 2, reads * (bytes + 200)))
    const disk = openDiskCache(diskOptions)
    const cache = new ClientCache(shared, { disk })
    const view = cache.newView()
    cache.begin(welcome)
    // The origin of the files is not that of this run: said to be, as verification would.
    for (const { oid, tid } of [...disk.doubtful()]) disk.confirm(oid, tid)
    view.arrived({ since: 1000, withStates: false }, { tid: 1000, invalidations: new Set(), changes: [] })
    return { cache, view }
  }

  function reading() {
    const order = shuffled(entries).subarray(0, reads)
    const largest = named('.data')
      .map((name) => join(folder, name))
      .sort((a, b) => readFileSync(b).length - readFileSync(a).length)[0]
    const file = openSync(largest ?? '', 'r')
    const fileBytes = readFileSync(largest ?? '').length - bytes
    const map = new Map(Array.from({ length: entries }, (_, oid) => [oid, new Uint8Array(bytes).fill(oid)]))
    const [floorDisk, floorMemory, disk, memory] = [none(), none(), none(), none()]
    let check = 0
    /** @param {(oid: number) => number} read */
    const all = (read) =>
      time(() => {
        for (const oid of order) check += read(oid)
      })
    const { cache, view } = openCaches()
    /** @param {number} oid */
    const find = (oid) => {
      const found = view.find(oid)
      if (found === undefined || found.data[0] !== oid % 256) throw new Error(`object ${oid} is not there`)
      return found.data.length
    }
    for (let round = 0; round < 7; round++) {
      const target = () => new Uint8Array(bytes)
      add(
        floorDisk,
        all((oid) => readSync(file, target(), 0, bytes, (oid * bytes) % fileBytes)),
        reads,
      )
      // Empty, so that the disk is asked; then full.
      cache.states.clear()
      add(disk, all(find), reads)
      // In turns, one directly behind the other.
      for (let turn = 0; turn < 3; turn++) {
        add(
          floorMemory,
          all((oid) => map.get(oid)?.slice().length ?? 0),
          reads,
        )
        add(memory, all(find), reads)
      }
    }
    cache.close()
    if (check === 0) throw new Error('nothing was read')
    const [diskUs, memoryUs] = [median(disk.cpu), median(memory.cpu)]
    report('warm read from the disk cache', against(disk, floorDisk, 'µs'), '≤ 10 µs', diskUs <= 10)
    report('warm read from memory', against(memory, floorMemory, 'µs'), '≤ 1 µs', memoryUs <= 1)
  }

  fill()
  opening()
  reading()
}

await inFolder(async (base) => {
  const folder = join(base, 'cache')
  mkdirSync(folder)
  benchmark(folder)
})
