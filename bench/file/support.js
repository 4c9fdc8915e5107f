/** What the benchmarks of the file storage have in common. They run on the built package; see the README beside it. */

import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'

export const dist = process.env['SHOOTOUT_DIST'] ?? new URL('../../dist/', import.meta.url).href

const { default: file } = await import(`${dist}storages/file/index.js`)
const { parseOptions } = await import(`${dist}core/options.js`)
const { systemClock } = await import(`${dist}core/clock.js`)

export const context = { clock: systemClock, log: (/** @type {string} */ message) => console.log(message) }

/** @param {Record<string, unknown>} given */
export const optionsOf = (given) => parseOptions('file', file.options, given)

export { file }

/** @param {string} path @param {Record<string, unknown>} given */
export async function openLog(path, given = {}) {
  const options = optionsOf({ path, ...given })
  const shared = await file.share(options, context)
  const storage = await file.open(options, context, shared.state)
  return {
    storage,
    options,
    shared,
    async close() {
      await storage.close()
      await shared.close()
    },
  }
}

/** @template T @param {(folder: string) => Promise<T>} body */
export async function inFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
  try {
    return await body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** @param {string} what @param {string} value @param {string} target @param {boolean} reached */
export function report(what, value, target, reached) {
  console.log(`${what.padEnd(44)} ${value.padStart(24)}   target ${target}${reached ? '' : '   NOT REACHED'}`)
}

/**
 * Milliseconds by the clock, and of processor time of this process: on a machine that others use too, the second says
 * more.
 *
 * @param {() => unknown} body
 */
export async function timed(body) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await body()
  const wallMs = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { wallMs, cpuMs: (user + system) / 1000 }
}

/** Medians of several measurements. @param {readonly { wallMs: number, cpuMs: number }[]} times */
export function medians(times) {
  return {
    wallMs: median(times.map(({ wallMs }) => wallMs)),
    cpuMs: median(times.map(({ cpuMs }) => cpuMs)),
  }
}

/**
 * Commits objects 0 to `count - 1`, 100 at a time.
 *
 * @param {any} storage @param {number} count @param {(oid: number) => Uint8Array} stateOf
 */
export async function storeObjects(storage, count, stateOf) {
  const instance = storage.newInstance()
  for (let oid = 0; oid < count; ) {
    instance.pollInvalidations()
    const transaction = instance.begin()
    for (const end = Math.min(oid + 100, count); oid < end; oid++) {
      transaction.store(oid, instance.loadMany([oid])[0]?.serial ?? 0, stateOf(oid))
    }
    await (await transaction.vote()).finish()
    instance.afterCompletion()
    await nextTurn()
  }
  instance.release()
}

export const recordBytes = 400

/** Fills a log with objects of 400 bytes. Returns how many. @param {any} storage @param {number} megabytes */
export async function fill(storage, megabytes) {
  const data = new Uint8Array(recordBytes).fill(7)
  const count = Math.floor((megabytes * 1024 ** 2) / (recordBytes + 33))
  await storeObjects(storage, count, () => data)
  return count
}

/** Reads a file from end to end, with a checksum over everything. @param {string} path */
export function rawScan(path) {
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(1 << 20)
  let bytes = 0
  for (let got = 1, sum = 0; got > 0; bytes += got) {
    got = readSync(file, buffer, 0, buffer.length, bytes)
    sum = crc32(buffer.subarray(0, got), sum)
  }
  closeSync(file)
}
