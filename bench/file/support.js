/** What the benchmarks of the file storage have in common. They run on the built package: `node bench/file/commit.js`. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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

/** Milliseconds. @param {() => unknown} body */
export async function timed(body) {
  const start = performance.now()
  await body()
  return performance.now() - start
}
