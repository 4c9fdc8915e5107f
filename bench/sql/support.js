/** What the benchmarks of the SQL storages have in common. They run on the built package; see the README beside it. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

/**
 * @typedef {import('../../src/core/ids.ts').Oid} Oid
 * @typedef {import('../../src/core/ids.ts').Tid} Tid
 * @typedef {import('../../src/storages/storage.ts').Storage} Storage
 * @typedef {import('../../src/storages/storage.ts').StorageInstance} StorageInstance
 * @typedef {import('./bare.js').Floor} Floor
 *
 * @typedef {object} Store
 * @property {string} name of the storage
 * @property {import('../../src/storages/storage.ts').StorageModule} module
 * @property {import('./bare.js').Options} options that open it
 * @property {number[]} processIds of the server
 * @property {Storage} storage
 * @property {Floor} floor
 *
 * @typedef {{ wallUs: number, clientUs: number, serverUs: number | undefined }} Time of one operation
 */

export const dist = process.env['SHOOTOUT_DIST'] ?? new URL('../../dist/', import.meta.url).href

export const { openStorage, parseOptions } = await import(`${dist}storages/index.js`)
const { cpuTimeOfTrees } = await import(`${dist}core/process-cpu.js`)
const { open: openFloor } = await import('./bare.js')

export const recordBytes = 300
export const noTid = /** @type {Tid} */ (0)
export const data = Buffer.alloc(recordBytes, 7)

/** The databases named on the command line, or all. */
export const databases = ['sqlite', 'postgres', 'mysql'].filter(
  (name) => !process.argv.slice(2).some((word) => !word.startsWith('-')) || process.argv.includes(name),
)

/**
 * A fresh store in each of the databases, one after the other.
 * @param {(store: Store) => Promise<void>} body
 */
export async function inEach(body) {
  for (const name of databases) {
    const module = await moduleOf(name)
    const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
    try {
      const options = parseOptions(name, module.options, {})
      const provision = await module.provision(options, { folder, log: () => {} })
      if (!provision.available) {
        console.log(`${name}: NOT MEASURED, ${provision.reason}`)
        continue
      }
      const { version, server_version: serverVersion } = provision.facts
      console.log(`\n${name} (${serverVersion ?? version})`)
      const made = await provision.newStore('bench')
      const storage = await openStorage(module, made.options)
      const floor = await openFloor(name, made.options)
      await body({ name, module, options: made.options, processIds: made.processIds ?? [], storage, floor })
      await floor.close()
      await storage.close()
      await made.dispose()
      await provision.dispose()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** @param {string} name */
export async function moduleOf(name) {
  return (await import(`${dist}storages/sql/${name}/index.js`)).default
}

/**
 * Commits new objects, and returns their ids.
 * @param {StorageInstance} instance
 * @param {number} count
 */
export async function fill(instance, count) {
  await instance.pollInvalidations()
  const oids = await instance.newOids(count)
  const transaction = instance.begin()
  for (const oid of oids) await transaction.store(oid, noTid, data)
  await (await transaction.vote()).finish()
  await instance.afterCompletion()
  return oids
}

const rounds = 15
/** Until everything is compiled. */
const warmUpRounds = 5

/**
 * Each of `works` in turn, round after round. Times are medians over rounds, processor times means: those of a server are
 * counted in hundredths of a second.
 * @template {string} K
 * @param {{ operations: number, processIds: number[] }} how
 * @param {Record<K, { before?: () => unknown, run: () => unknown }>} works
 * @returns {Promise<Record<K, Time>>}
 */
export async function inTurns({ operations, processIds }, works) {
  const names = /** @type {K[]} */ (Object.keys(works))
  const taken = Object.fromEntries(names.map((name) => [name, /** @type {Time[]} */ ([])]))
  for (let round = 0; round < rounds + warmUpRounds; round++) {
    for (const name of names) {
      const { before, run } = works[name]
      await before?.()
      const time = await timed(operations, processIds, run)
      if (round >= warmUpRounds) taken[name]?.push(time)
    }
  }
  return /** @type {Record<K, Time>} */ (
    Object.fromEntries(
      Object.entries(taken).map(([name, times]) => [
        name,
        {
          wallUs: median(times.map(({ wallUs }) => wallUs)),
          clientUs: mean(times.map(({ clientUs }) => clientUs)),
          serverUs: processIds.length === 0 ? undefined : mean(times.map(({ serverUs }) => serverUs ?? 0)),
        },
      ]),
    )
  )
}

/**
 * @param {number} operations
 * @param {number[]} processIds
 * @param {() => unknown} work
 * @returns {Promise<Time>}
 */
async function timed(operations, processIds, work) {
  const serverBefore = serverNs(processIds)
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (let index = 0; index < operations; index++) {
    const result = work()
    if (result instanceof Promise) await result
  }
  const wallUs = ((performance.now() - start) * 1000) / operations
  const { user, system } = process.cpuUsage(cpu)
  const clientUs = (user + system) / operations
  return { wallUs, clientUs, serverUs: (serverNs(processIds) - serverBefore) / 1000 / operations }
}

/** @param {number[]} processIds */
function serverNs(processIds) {
  const { user = 0, system = 0 } = cpuTimeOfTrees(processIds) ?? {}
  return user + system
}

/** @param {readonly number[]} values */
export function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

/** @param {readonly number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

/**
 * One figure, with its target where it has one.
 * @param {string} what
 * @param {string} value
 * @param {string} [target]
 * @param {boolean} [reached]
 */
export function report(what, value, target, reached = true) {
  const judged = target === undefined ? '' : `   target ${target}${reached ? '' : '   NOT REACHED'}`
  console.log(`  ${what.padEnd(34)} ${value}${judged}`)
}

/** @param {Time} time @param {number} [scale] objects of an operation */
export function say({ wallUs, clientUs, serverUs }, scale = 1) {
  const number = (/** @type {number} */ us) => (us / scale).toFixed(us / scale < 100 ? 1 : 0)
  const server = serverUs === undefined ? '' : `, server ${number(serverUs)}`
  return `${number(wallUs)} us (client ${number(clientUs)}${server})`
}

/**
 * A storage against its floor, both said per object where `scale` is how many objects an operation has.
 * @param {string} what
 * @param {{ floor: Time, ours: Time }} times
 * @param {{ factor?: number, us?: number, scale?: number }} target
 */
export function reportRatio(what, { floor, ours }, { factor, us, scale = 1 }) {
  const ratio = ours.wallUs / floor.wallUs
  const cpu = (/** @type {Time} */ time) => time.clientUs + (time.serverUs ?? 0)
  const ratios = `× ${ratio.toFixed(2)}, processor × ${(cpu(ours) / cpu(floor)).toFixed(2)}`
  const value = `${say(ours, scale)}, floor ${say(floor, scale)}, ${ratios}`
  if (factor !== undefined) report(what, value, `× ${factor}`, ratio <= factor)
  else if (us !== undefined) report(what, value, `${us} us`, ours.wallUs / scale <= us)
  else report(what, value)
}
