/**
 * The soak: fifty clients in five processes, two threads each, against one server, with everything that happens to
 * them in a long life: conflicts, undo, packs, lost connections, kill -9; with more time also servers that are killed.
 * What must hold on every snapshot is checked by the clients (fixtures/zeo-soak-client.js); here it is seen to that
 * all of it happens, that every acknowledged commit is in the store at the end, and that nothing is left in the server.
 *
 * `SHOOTOUT_SOAK=10m` for more time than the few seconds of every day.
 */

import type { ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { isTransient } from '../../src/core/errors.ts'
import { noTid, type Oid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import { parseDuration } from '../../src/core/units.ts'
import file from '../../src/storages/file/index.ts'
import { openStorage } from '../../src/storages/open.ts'
import sqlite from '../../src/storages/sql/sqlite/index.ts'
import type { Storage } from '../../src/storages/storage.ts'
import { formatAddress, parseAddress } from '../../src/storages/zeo/address.ts'
import zeo from '../../src/storages/zeo/index.ts'
import type { ServerStatus } from '../../src/storages/zeo/server.ts'
import type * as ServerProcessModule from '../../src/storages/zeo/server-process.ts'
import { requestStatus } from '../../src/storages/zeo/status-client.ts'
import { dist, kill, TestProcesses } from './processes.ts'

const script = fileURLToPath(new URL('./fixtures/zeo-soak-client.js', import.meta.url))
const given = process.env['SHOOTOUT_SOAK']
const isLong = given !== undefined
const seed = process.env['SHOOTOUT_TEST_SEED'] ?? `${Date.now()}`

const processes = 5
const perThread = 5
const clients = 2 * perThread * processes
const counters = 40
const balance = 1000

/** What is served, and over what. The long soak has time for all four. */
const ways: readonly (readonly ['file' | 'sqlite', 'unix' | 'tcp'])[] = isLong
  ? [
      ['file', 'unix'],
      ['sqlite', 'tcp'],
      ['file', 'tcp'],
      ['sqlite', 'unix'],
    ]
  : [
      ['file', 'unix'],
      ['sqlite', 'tcp'],
    ]
const runMs = isLong ? parseDuration(given) / 1e6 / ways.length : 2000

/** A server with fifty clients and their stores needs about 150 MB; what is not given back grows without end. */
const residentBytesMax = 400 * 1024 ** 2

interface Stats {
  commits: number
  conflicts: number
  undone: number
  cuts: number
  snapshots: number
  packs: number
  /** Calls that failed because a connection was lost, and commits of which nobody could say what became of them. */
  lost: number
  unknown: number
}

let server: ServerProcessModule.ServerProcess | undefined

// What is registered first is done last: the clients have been killed by then.
afterEach(async () => {
  await server?.stop()
  server = undefined
})
const started = new TestProcesses('soak')

const optionsOf = { file: { durability: 'os' }, sqlite: { durability: 'os', history: true } }
const storeOptions = (served: 'file' | 'sqlite') => ({
  ...optionsOf[served],
  path: join(started.folder, 'store'),
})

/** Opens the store itself, behind the server's back: before there is one, and when there is none any more. */
function openStore(served: 'file' | 'sqlite'): Promise<Storage> {
  return served === 'file'
    ? openStorage(file, parseOptions('file', file.options, storeOptions(served)))
    : openStorage(sqlite, parseOptions('sqlite', sqlite.options, storeOptions(served)))
}

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

async function fill(served: 'file' | 'sqlite'): Promise<void> {
  const storage = await openStore(served)
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  for (let oid = 1; oid <= counters; oid++) await transaction.store(oid as Oid, noTid, encode([balance, 0]))
  for (let index = 0; index < clients; index++)
    await transaction.store((1000 + index) as Oid, noTid, encode(0))
  await (await transaction.vote()).finish()
  await storage.close()
}

/** @param address where the server was before; the first one chooses */
async function startServer(served: 'file' | 'sqlite', address: string): Promise<void> {
  const url = new URL('storages/zeo/server-process.js', dist).href
  const { startServer: start } = (await import(url)) as typeof ServerProcessModule
  const moduleUrl = new URL(`storages/${served === 'file' ? 'file' : 'sql/sqlite'}/index.js`, dist).href
  server = await start(
    { moduleUrl, options: storeOptions(served), address: parseAddress(address), token: '' },
    () => {},
  )
}

/** A machine that is busy may not get round to answering at once; for a server that hangs the test is given up. */
async function status(address: string): Promise<ServerStatus> {
  for (let left = 5; ; left--) {
    try {
      return await requestStatus(address, { token: '', caFile: '' })
    } catch (error) {
      if (!isTransient(error) || left === 0) throw error
    }
  }
}

/** Sockets that the server's process has open; undefined where the system does not say. */
function socketsOf(pid: number): number | undefined {
  const descriptors = `/proc/${pid}/fd`
  if (!existsSync(descriptors)) return undefined
  return readdirSync(descriptors).filter((name) => {
    try {
      return readlinkSync(join(descriptors, name)).startsWith('socket:')
    } catch {
      // Closed since its name was read.
      return false
    }
  }).length
}

/** One process with ten clients, and the next one in its place when it was killed. */
class Party {
  readonly stats = new Map<number, Stats>()
  readonly #number: number
  readonly #address: string
  #child!: ChildProcess
  #lives = 0
  /** Of the threads of the child that lives: how many have said so. */
  #heard = new Map<string, number>()
  #failed: (error: Error) => void

  constructor(number: number, address: string, failed: (error: Error) => void) {
    this.#number = number
    this.#address = address
    this.#failed = failed
  }

  start(): void {
    const life = this.#lives++
    const args = {
      built: dist.href,
      address: this.#address,
      acks: join(started.folder, 'acknowledged'),
      from: this.#number * 2 * perThread,
      perThread,
      clients,
      counters,
      balance,
      seed: `${seed}/${this.#number}/${life}`,
    }
    const child = started.fork(script, [JSON.stringify(args)])
    this.#child = child
    this.#heard = new Map()
    child.on('message', (message: { type: string; thread: number; stats: Stats; reason: string }) => {
      if (message.type === 'failed') this.#failed(new Error(message.reason))
      else if (message.type === 'stats') this.stats.set(2 * life + message.thread, message.stats)
      this.#heard.set(message.type, (this.#heard.get(message.type) ?? 0) + 1)
    })
    child.on('exit', (code) => {
      if (code !== null && code !== 0) this.#failed(new Error(`a process of clients ended with ${code}`))
    })
  }

  /** Both threads have said so. */
  has(type: string): boolean {
    return (this.#heard.get(type) ?? 0) >= 2
  }

  tell(message: 'stop' | 'close'): void {
    this.#child.send(message)
  }

  async replace(): Promise<void> {
    await kill(this.#child)
    this.start()
  }
}

function sumOf(parties: readonly Party[]): Stats {
  const sum = { commits: 0, conflicts: 0, undone: 0, cuts: 0, snapshots: 0, packs: 0, lost: 0, unknown: 0 }
  for (const { stats } of parties)
    for (const one of stats.values())
      for (const name of Object.keys(sum) as (keyof Stats)[]) sum[name] += one[name]
  return sum
}

/** @throws after a minute */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); await sleep(20))
    if (Date.now() > end) throw new Error(`never: ${what}`)
}

/** The clients' knowledge against what is in the store. */
async function compare(storage: Storage): Promise<void> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const valuesOf = async (oids: readonly number[]): Promise<unknown[]> =>
    (await instance.loadMany(oids as Oid[])).map((one) => JSON.parse(new TextDecoder().decode(one!.data)))
  const ledgers = (await valuesOf(Array.from({ length: clients }, (_, index) => 1000 + index))) as number[]
  const pairs = (await valuesOf(Array.from({ length: counters }, (_, index) => index + 1))) as number[][]
  const acknowledged = new Int32Array(
    new Uint8Array(readFileSync(join(started.folder, 'acknowledged'))).buffer,
  )
  expect(ledgers).toEqual(Array.from({ length: clients }, (_, index) => acknowledged[2 * index]))
  expect(acknowledged.filter((_, index) => index % 2 === 1).every((underWay) => underWay === 0)).toBe(true)
  const sum = (at: number) => pairs.reduce((total, pair) => total + pair[at]!, 0)
  expect(sum(0), 'the balances').toBe(counters * balance)
  expect(sum(1), 'the changes').toBe(2 * ledgers.reduce((a, b) => a + b, 0))
  await instance.release()
}

async function soak(served: 'file' | 'sqlite', wanted: string): Promise<void> {
  const random = new Random(seed).split(served)
  await fill(served)
  writeFileSync(join(started.folder, 'acknowledged'), new Uint8Array(clients * 8))
  await startServer(served, wanted)
  const address = formatAddress(server!.address)
  await status(address)
  const socketsBefore = socketsOf(server!.pid)
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = reject
  })
  failed.catch(() => {})
  const parties = Array.from({ length: processes }, (_, index) => new Party(index, address, fail))
  for (const party of parties) party.start()
  await Promise.race([failed, live(parties)])

  async function live(all: readonly Party[]): Promise<void> {
    await until('all clients work', () => all.every((party) => party.has('working')))
    const end = Date.now() + runMs
    let told = Date.now()
    let kills = 0
    let restarts = 0
    const happened = () => {
      const { commits, conflicts, undone, cuts, snapshots, packs } = sumOf(all)
      const rarest = Math.min(conflicts, undone, cuts, packs, kills, isLong ? restarts : 1)
      return rarest > 0 && commits > 200 && snapshots > 200
    }
    const residents: number[] = []
    // What must have happened has happened, however slow the machine is.
    while (Date.now() < end || !happened()) {
      await sleep(300 + random.integer(600))
      const victim = all[random.integer(processes)]!
      if (victim.has('working') && random.integer(isLong ? 5 : 2) === 0) {
        await victim.replace()
        kills++
      }
      if (isLong && random.integer(12) === 0) {
        process.kill(server!.pid, 'SIGKILL')
        await startServer(served, address)
        restarts++
        residents.length = 0
      }
      residents.push((await status(address)).residentBytes)
      if (isLong && Date.now() > told + 10_000) {
        told = Date.now()
        console.log(`${Math.round((end - told) / 1000)} s left: ${JSON.stringify(sumOf(all))}`)
      }
    }
    await until('all clients work', () => all.every((party) => party.has('working')))
    for (const party of all) party.tell('stop')
    await until('all clients are done', () => all.every((party) => party.has('rested')))
    await until('no view is left', async () => {
      const { connections, views, voted, blobsOpen, queuedBytes } = await status(address)
      return connections === clients + 1 && views + voted + blobsOpen + queuedBytes === 0
    })
    for (const party of all) party.tell('close')
    await until('all clients are closed', () => all.every((party) => party.has('closed')))
    await until('no connection is left', async () => (await status(address)).connections === 1)
    if (restarts === 0)
      await until('no socket is left', () => (socketsOf(server!.pid) ?? 0) <= (socketsBefore ?? 0))
    const { residentBytes, errors, connectionsTotal } = await status(address)
    expect(errors, 'errors that no client has heard of').toBe(0)
    expect(Math.max(residentBytes, ...residents), 'memory of the server').toBeLessThan(residentBytesMax)
    const options = parseOptions('zeo', zeo.options, { address })
    const client = await openStorage(zeo, options)
    await compare(client)
    await client.close()
    await server!.stop()
    const store = await openStore(served)
    await compare(store)
    await store.close()
    const megabytes = Math.round(residentBytes / 1e6)
    const facts = { ...sumOf(all), kills, restarts, connectionsTotal, residentMegabytes: megabytes }
    console.log(`${served} at ${address}: ${JSON.stringify(facts)}`)
  }
}

test.each(ways)(
  'fifty clients of %s over %s: no snapshot is wrong, no update lost, nothing left behind',
  async (served, transport) => {
    const again = `${isLong ? `SHOOTOUT_SOAK=${given} ` : ''}SHOOTOUT_TEST_SEED=${seed}`
    const command = `${again} npx vitest run --project built test/built/zeo-soak.test.ts`
    console.log(`seed ${seed}; again: ${command}`)
    try {
      await soak(served, transport === 'unix' ? started.address() : '127.0.0.1:0')
    } catch (error) {
      throw new Error(`${(error as Error).message}\nagain: ${command}`, { cause: error })
    }
  },
  runMs + 120_000,
)
