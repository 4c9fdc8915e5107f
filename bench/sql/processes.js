/**
 * Processes that add 20 objects at a time to one store: commits per second of five, beside one alone, and the same by
 * hand on the bare driver. `node bench/sql/processes.js [sqlite|postgres|mysql …]`
 */

import { spawn } from 'node:child_process'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { open as openFloor } from './bare.js'
import { data, dist, inEach, median, moduleOf, noTid, report } from './support.js'

/** @typedef {import('./bare.js').Options} Options */

const count = 20
const many = 5
const durationMs = 1200
const rounds = 3

const work = process.argv[2] === '--worker' ? JSON.parse(process.argv[3] ?? '') : undefined

if (work === undefined) await compare()
else await commit(work)

async function compare() {
  await inEach(async ({ name, options }) => {
    /** @type {Record<string, number[]>} */
    const rates = {}
    for (let round = 0; round < rounds; round++) {
      for (const kind of ['floor', 'ours']) {
        for (const processes of [1, many]) {
          const key = `${kind} ${processes}`
          rates[key] ??= []
          rates[key].push(await rateOf(processes, { name, options, kind, round }))
        }
      }
    }
    const rate = (/** @type {string} */ key) => median(rates[key] ?? [])
    for (const kind of ['floor', 'ours']) {
      const ratio = rate(`${kind} ${many}`) / rate(`${kind} 1`)
      const value = `${rate(`${kind} 1`).toFixed(0)}/s alone, ${rate(`${kind} ${many}`).toFixed(0)}/s of ${many}, × ${ratio.toFixed(2)}`
      if (kind === 'ours') report(`add ${count}, ${many} processes`, value, '× 1 or more', ratio >= 1)
      else report('by hand', value)
    }
  })
}

/**
 * Commits per second of so many processes.
 * @param {number} processes
 * @param {{ name: string, options: Options, kind: string, round: number }} what
 */
async function rateOf(processes, what) {
  const children = Array.from({ length: processes }, (_, index) => {
    const argument = JSON.stringify({ ...what, index, processes })
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--worker', argument], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  for (const { lines } of children) await lines.next()
  for (const { child } of children) child.stdin.write('go\n')
  let commits = 0
  for (const { lines } of children) commits += Number((await lines.next()).value)
  return (commits * 1000) / durationMs
}

/** @param {{ name: string, options: Options, kind: string, round: number, index: number, processes: number }} what */
async function commit({ name, options, kind, round, index, processes }) {
  const { openStorage } = await import(`${dist}storages/open.js`)
  const storage = kind === 'ours' ? await openStorage(await moduleOf(name), options) : undefined
  const floor = kind === 'ours' ? undefined : await openFloor(name, options, { fresh: false })
  const instance = await storage?.newInstance()
  // Numbers that no other process uses.
  let next = 1e9 + ((round * 10 + processes) * many + index) * 1e6
  const one = instance === undefined ? byHand : byStorage
  await one()
  console.log('ready')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  const end = performance.now() + durationMs
  let commits = 0
  for (; performance.now() < end; commits++) await one()
  console.log(commits)
  process.stdin.destroy()
  await instance?.release()
  await storage?.close()
  await floor?.close()

  async function byStorage() {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    for (const oid of await instance.newOids(count)) await transaction.store(oid, noTid, data)
    await (await transaction.vote()).finish()
    await instance.afterCompletion()
  }

  async function byHand() {
    next += count
    for (;;) {
      try {
        await floor?.insert(
          Array.from({ length: count }, (_, at) => next + at),
          Date.now() * 1000,
          data,
        )
        return
      } catch (error) {
        // SQLite's own waiting: again, until the lock is free.
        if (/** @type {{ code?: string }} */ (error).code !== 'SQLITE_BUSY') throw error
      }
    }
  }
}
