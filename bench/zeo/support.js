/** What the benchmarks of the client-server storage have in common. They run on the built package; see README.md. */

import { fork, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const dist = process.env['SHOOTOUT_DIST'] ?? new URL('../../dist/', import.meta.url).href

/** @type {(path: string) => Promise<any>} */
export const load = (path) => import(`${dist}${path}`)
const { openStorage } = await load('storages/open.js')
const { parseOptions } = await load('core/options.js')
const { formatAddress, parseAddress } = await load('storages/zeo/address.js')
const { startServer } = await load('storages/zeo/server-process.js')
const { requestStatus } = await load('storages/zeo/status-client.js')
const zeo = (await load('storages/zeo/index.js')).default

/** @template T @param {(folder: string) => Promise<T>} body */
export async function inFolder(body) {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
  try {
    return await body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param {readonly number[]} values @param {number} share */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** @param {readonly number[]} values */
export const median = (values) => quantile(values, 0.5)

/** @param {number} value */
export const shown = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2))

/** @param {string} what @param {string} value with its floor @param {string} target @param {boolean} reached */
export function report(what, value, target, reached) {
  console.log(`${what.padEnd(46)} ${value.padEnd(64)} target ${target}${reached ? '' : '   NOT REACHED'}`)
}

/** A fact beside a figure. @param {string} what @param {string} value */
export function note(what, value) {
  console.log(`${`  ${what}`.padEnd(46)} ${value}`)
}

/** Calls after which compilers have nothing left to do, at either end. */
export const warmCalls = 4000

/**
 * Does something twice: with this process and others on one processor, and with the others on a second one. To wake a
 * process that sleeps on another processor takes several times as long as to hand the processor on, above all in a
 * virtual machine. Which of the two happens is up to the system, which changes its mind every few milliseconds: the
 * figures of a run would fall into two heaps, of product and floor by chance. Where the system has no `taskset`, or one
 * processor, it is done once.
 *
 * @param {readonly number[]} others @param {(name: string) => Promise<void>} body
 */
export async function inPlaces(others, body) {
  const [first, second] = processors
  if (first === undefined || second === undefined) return await body('anywhere')
  const all = [process.pid, ...others]
  for (const [name, processor] of /** @type {const} */ ([
    ['one processor', first],
    ['two processors', second],
  ])) {
    for (const pid of all) keep(pid, pid === process.pid ? first : processor)
    await body(name)
    for (const pid of all) keep(pid, processors.join(','))
  }
}

/** Those of this machine that this process may use, where it can be told to use others. */
const processors = usableProcessors()

function usableProcessors() {
  const { status, stdout } = spawnSync('taskset', ['-pc', `${process.pid}`], { encoding: 'utf8' })
  if (status !== 0) return []
  /** @type {(range: string) => number[]} */
  const ofRange = (range) => {
    const [from = 0, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, index) => from + index)
  }
  return stdout
    .slice(stdout.lastIndexOf(':') + 1)
    .trim()
    .split(',')
    .flatMap(ofRange)
}

/**
 * The main thread alone: what compilers and collectors do beside it may go on anywhere.
 * @param {number} pid @param {number | string} place
 */
function keep(pid, place) {
  const { status, stderr } = spawnSync('taskset', ['-pc', `${place}`, `${pid}`], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`taskset: ${stderr}`)
}

/** Durations of some calls, one after the other, µs. @param {number} count @param {(round: number) => unknown} call */
export async function sample(count, call) {
  const samples = []
  for (let round = 0; round < count; round++) {
    const from = process.hrtime.bigint()
    await call(round)
    samples.push(Number(process.hrtime.bigint() - from) / 1000)
  }
  return samples
}

/**
 * Ways of doing something, in turns: what else happens on the machine hits all alike. Each makes its samples anew in
 * every turn; the first turn is for warming up.
 *
 * @template {string} Name
 * @param {number} turns
 * @param {Record<Name, () => Promise<number[]> | number[]>} ways
 * @returns the medians of the turns
 */
export async function inTurns(turns, ways) {
  const names = /** @type {Name[]} */ (Object.keys(ways))
  /** @type {Record<string, number[]>} */
  const medians = Object.fromEntries(names.map((name) => [name, []]))
  for (let turn = 0; turn <= turns; turn++) {
    for (const name of names) {
      const samples = await ways[name]()
      if (turn > 0) medians[name]?.push(median(samples))
    }
  }
  return /** @type {Record<Name, number[]>} */ (medians)
}

/** Medians of two lists of turns against each other. @param {readonly number[]} a @param {readonly number[]} b */
export const ratio = (a, b) => median(a.map((value, turn) => value / (b[turn] ?? Number.NaN)))

/** @typedef {{ address: string, pid: number, status(): Promise<any>, cpuUs(): Promise<number> }} Served */

/**
 * A server over a fresh store, in a process of its own.
 *
 * @template T
 * @param {{ serve?: 'memory' | 'file', durability?: string, transport?: string, references?: boolean }} settings
 * @param {(served: Served) => Promise<T>} work
 */
export async function withServer({ serve = 'memory', durability, transport = 'unix', references }, work) {
  return await inFolder(async (folder) => {
    const address = transport === 'unix' ? `unix:${join(folder, 's')}` : '127.0.0.1:0'
    const server = await startServer(
      {
        moduleUrl: `${dist}storages/${serve === 'memory' ? 'memory' : 'file/index'}.js`,
        options: durability === undefined ? {} : { durability },
        folder,
        address: parseAddress(address),
        token: '',
        resolverUrl: `${dist}database/resolve-conflict.js`,
        ...(references ? { referencesUrl: `${dist}database/record-decoder.js` } : {}),
      },
      console.error,
    )
    const at = formatAddress(server.address)
    const status = () => requestStatus(at, { token: '', caFile: '' })
    /** Processor time of the server so far. */
    const cpuUs = async () => {
      const { cpuUserSeconds, cpuSystemSeconds } = await status()
      return (cpuUserSeconds + cpuSystemSeconds) * 1e6
    }
    try {
      return await work({ address: at, pid: server.pid, status, cpuUs })
    } finally {
      await server.stop()
    }
  })
}

/** A client without a cache, unless it is given one. @param {string} address @param {Record<string, unknown>} given */
export const openClient = (address, given = {}) =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address, cacheBytesLimit: 0, ...given }))

/**
 * A storage without a server between.
 * @param {'memory' | 'file'} serve @param {string} folder @param {string} [durability]
 */
export async function openOwn(serve, folder, durability) {
  const module = (await load(`storages/${serve === 'memory' ? 'memory' : 'file/index'}.js`)).default
  const given = serve === 'memory' ? {} : { path: join(folder, 'own.log'), durability }
  return await openStorage(module, parseOptions(serve, module.options, given))
}

/** New objects with contents. @param {any} instance @param {number} count @param {number} bytes */
export async function fill(instance, count, bytes) {
  await instance.pollInvalidations()
  const oids = await instance.newOids(count)
  const transaction = instance.begin()
  for (const oid of oids) await transaction.store(oid, 0, new Uint8Array(bytes).fill(oid))
  await (await transaction.vote()).finish()
  await instance.afterCompletion()
  return oids
}

/**
 * A transaction that changes some objects: how long it took from `begin` to the end of the commit, µs.
 * @param {any} instance @param {readonly number[]} oids @param {Uint8Array} data
 */
export async function commitOnce(instance, oids, data) {
  const poll = instance.pollInvalidations()
  if (poll instanceof Promise) await poll
  const loaded = instance.loadMany(oids)
  const found = loaded instanceof Promise ? await loaded : loaded
  const from = process.hrtime.bigint()
  const transaction = instance.begin()
  for (const [index, oid] of oids.entries()) {
    const stored = transaction.store(oid, found[index].serial, data)
    if (stored instanceof Promise) await stored
  }
  if (transaction.commit === undefined) await (await transaction.vote()).finish()
  else await transaction.commit()
  const tookUs = Number(process.hrtime.bigint() - from) / 1000
  await instance.afterCompletion()
  return tookUs
}

/** @param {number} count @param {any} instance @param {readonly number[]} oids @param {Uint8Array} data */
export async function commits(count, instance, oids, data) {
  const samples = []
  for (let round = 0; round < count; round++) samples.push(await commitOnce(instance, oids, data))
  return samples
}

/**
 * Between a client and a server, in a process of its own.
 * @param {string} listen path @param {string} target path @param {number} roundTripMs
 */
export async function startProxy(listen, target, roundTripMs) {
  const script = fileURLToPath(new URL('./delaying-proxy.js', import.meta.url))
  const child = fork(script, [listen, target, `${roundTripMs / 2}`])
  await new Promise((done) => child.once('message', done))
  return child
}

/** @typedef {{ trip(requestBytes: number, answerBytes: number): Promise<void>, close(): void }} Floor */

/**
 * A bare socket to a process that only answers, or commits to a storage of its own and then answers.
 * @param {string} transport @param {string} folder @param {{ serve: 'memory' | 'file', durability?: string }} [commits]
 */
export async function openFloor(transport, folder, commits) {
  const path = join(folder, commits === undefined ? 'floor' : 'committing-floor')
  const script = fileURLToPath(new URL('./floor-server.js', import.meta.url))
  const child = fork(script, transport === 'unix' ? [path, ...committing(folder, commits)] : [])
  const place = await new Promise((done) => child.once('message', done))
  const floor = await connectFloor(transport === 'unix' ? path : `127.0.0.1:${place}`)
  return {
    ...floor,
    pid: child.pid ?? 0,
    place: transport === 'unix' ? path : `127.0.0.1:${place}`,
    close() {
      floor.close()
      child.disconnect()
    },
  }
}

/** @param {string} folder @param {{ serve: string, durability?: string }} [commits] @returns {string[]} */
function committing(folder, commits) {
  if (commits === undefined) return []
  const own = join(folder, 'committing')
  mkdirSync(own)
  return [commits.serve, own, ...(commits.durability === undefined ? [] : [commits.durability])]
}

/** @param {string} place path, or host:port @returns {Promise<Floor>} */
export async function connectFloor(place) {
  let missing = 0
  let arrived = () => {}
  const buffer = new Uint8Array(256 * 1024)
  const [host, port] = place.split(':')
  const socket = connect({
    ...(port === undefined ? { path: place } : { host, port: Number(port) }),
    onread: {
      buffer,
      callback(length) {
        missing -= length
        if (missing === 0) arrived()
        return true
      },
    },
  })
  await new Promise((done) => socket.once('connect', done))
  socket.setNoDelay(true)
  /** @type {Map<number, Buffer>} */
  const requests = new Map()
  return {
    trip(requestBytes, answerBytes) {
      const request = requests.get(requestBytes) ?? Buffer.alloc(requestBytes, 1)
      requests.set(requestBytes, request)
      request.writeUInt32BE(requestBytes, 0)
      request.writeUInt32BE(answerBytes, 4)
      return new Promise((done) => {
        arrived = done
        missing = answerBytes
        socket.write(request)
      })
    },
    close() {
      socket.destroy()
    },
  }
}
