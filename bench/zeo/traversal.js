/**
 * Cold traversals through a server, with nothing read ahead, with neighbours sent along, and with references followed
 * by depth: a BTree read from end to end, lookups of single keys in it, and a list of objects that refer to the next.
 *
 *     npm run build && node bench/zeo/traversal.js [--built DIR] [--keys 3000] [--links 500] [--delay-ms 1]
 *
 * Server and client are two processes; the store is in memory. Between them a proxy holds back what passes by half the
 * delay each way, so a round trip takes that long at least. Prints, for each way of reading: requests that were waited
 * for (loads), all requests, milliseconds, bytes received, and the part of what came ahead that was never used.
 */

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    built: { type: 'string', default: 'dist' },
    keys: { type: 'string', default: '3000' },
    links: { type: 'string', default: '500' },
    'delay-ms': { type: 'string', default: '1' },
    serve: { type: 'string' },
  },
})
/** @param {string} path */
const url = (path) => pathToFileURL(resolve(values.built, path)).href
/** @param {string} path */
const load = (path) => import(url(path))

/** @param {string} socket */
async function serve(socket) {
  const { serveStore } = await load('storages/zeo/serve-store.js')
  await serveStore(
    {
      moduleUrl: url('storages/memory.js'),
      options: { history: false },
      address: { kind: 'unix', path: socket },
      token: '',
      resolverUrl: url('database/resolve-conflict.js'),
      referencesUrl: url('database/record-decoder.js'),
    },
    () => {},
  )
  process.on('disconnect', () => process.exit(0))
  process.send?.('listening')
}

async function measure() {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-bench-'))
  const server = fork(fileURLToPath(import.meta.url), [
    ...process.argv.slice(2),
    '--serve',
    join(folder, 'server'),
  ])
  await new Promise((resolve) => server.once('message', resolve))
  const proxy = await slowProxy(join(folder, 'server'), join(folder, 'proxy'))
  try {
    await fill(`unix:${join(folder, 'server')}`)
    const address = `unix:${join(folder, 'proxy')}`
    const columns = ['loads that asked', 'requests', 'ms', 'KB received', 'wasted']
    process.stdout.write(`round trip ${values['delay-ms']} ms at least\n`)
    for (const [name, walk] of Object.entries(walks)) {
      process.stdout.write(`\n${name.padEnd(34)} ${columns.map((one) => one.padStart(17)).join('')}\n`)
      for (const options of ways) await report(address, options, walk)
    }
  } finally {
    proxy.close()
    server.disconnect()
    rmSync(folder, { recursive: true })
  }
}

const ways = [
  {},
  { neighbours: 8 },
  { neighbours: 32 },
  { neighbours: 128 },
  { prefetchDepth: 1 },
  { prefetchDepth: 2 },
  { prefetchDepth: 4 },
]

/**
 * How the store is read, in one transaction that found its caches empty.
 * @type {Record<string, (connection: any, root: any) => Promise<number>>}
 */
const walks = {
  async 'BTree, all entries'(connection, root) {
    let count = 0
    for await (const item of root.get('tree').values()) {
      await connection.activate(item)
      count += item.size
    }
    return count
  },
  async 'BTree, 100 lookups'(connection, root) {
    let count = 0
    for (let index = 0; index < 100; index++) {
      const item = await root.get('tree').get((index * 7919) % Number(values.keys))
      await connection.activate(item)
      count += item.size
    }
    return count
  },
  async 'list, link by link'(connection, root) {
    let count = 0
    for (let link = root.get('list'); link !== null; link = link.get('next')) {
      await connection.activate(link)
      count += link.size
    }
    return count
  },
}

/** @param {string} address @param {Record<string, unknown>} options */
async function openDatabase(address, options = {}) {
  const { openStorage } = await load('storages/open.js')
  const { parseOptions } = await load('core/options.js')
  const { default: zeo } = await load('storages/zeo/index.js')
  const { Database } = await load('database/index.js')
  const storage = await openStorage(zeo, parseOptions('zeo', zeo.options, { address, ...options }))
  return { storage, database: new Database(storage, { cacheObjectsLimit: 1_000_000 }) }
}

/** @param {string} address */
async function fill(address) {
  const { storage, database } = await openDatabase(address)
  const { BTree, PersistentMap } = await load('database/index.js')
  await database.transact(async (/** @type {any} */ connection) => {
    const root = await connection.root
    const tree = new BTree()
    const filling = 'x'.repeat(300)
    for (let key = 0; key < Number(values.keys); key++)
      await tree.set(key, new PersistentMap([['filling', filling]]))
    /** @type {unknown} */
    let next = null
    for (let link = 0; link < Number(values.links); link++)
      next = new PersistentMap([
        ['filling', filling],
        ['next', next],
      ])
    root.set('tree', tree)
    root.set('list', next)
  })
  await database.close()
  await storage.close()
}

/**
 * @param {string} address
 * @param {Record<string, number>} options
 * @param {(connection: any, root: any) => Promise<number>} walk
 */
async function report(address, options, walk) {
  const { storage, database } = await openDatabase(address, options)
  const connection = await database.openConnection()
  await connection.begin()
  const before = storage.counters()
  const from = performance.now()
  const root = await connection.root
  await connection.activate(root)
  await connection.activate(root.get('tree'))
  const read = await walk(connection, root)
  const ms = performance.now() - from
  if (read === 0) throw new Error('nothing was read')
  const after = storage.counters()
  const { receivedBytes, wastedBytes } = storage.cache.ahead
  await connection.abort()
  await database.close()
  await storage.close()
  const name = Object.entries(options).map(([key, value]) => `${key}=${value}`)
  const cells = [
    after.backendLoads - before.backendLoads,
    after.roundTrips - before.roundTrips,
    ms.toFixed(0),
    ((after.bytesRead - before.bytesRead) / 1000).toFixed(0),
    receivedBytes === 0 ? '' : `${((100 * wastedBytes) / receivedBytes).toFixed(0)} %`,
  ]
  process.stdout.write(
    `  ${(name[0] ?? 'nothing ahead').padEnd(32)} ${cells.map((cell) => `${cell}`.padStart(17)).join('')}\n`,
  )
}

/**
 * Forwards both ways, everything half a round trip late and in order.
 * @param {string} to
 * @param {string} at
 */
async function slowProxy(to, at) {
  const lateMs = Number(values['delay-ms']) / 2
  /** @param {import('node:net').Socket} from @param {import('node:net').Socket} onward */
  const forward = (from, onward) => {
    from.on('data', (chunk) => late(lateMs, () => onward.write(chunk)))
    from.on('close', () => late(lateMs, () => onward.destroy()))
    from.on('error', () => {})
  }
  const server = createServer((socket) => {
    const onward = connect(to)
    forward(socket, onward)
    forward(onward, socket)
  })
  await new Promise((resolve) => server.listen(at, () => resolve(undefined)))
  return server
}

/** @type {{ at: number, call: () => void }[]} */
const waiting = []

/**
 * Calls in order, each after its delay. The timers of the system are good to a millisecond only, so the event loop is
 * kept turning while something waits.
 * @param {number} ms
 * @param {() => void} call
 */
function late(ms, call) {
  waiting.push({ at: performance.now() + ms, call })
  if (waiting.length === 1) setImmediate(turn)
}

function turn() {
  while (waiting[0] !== undefined && waiting[0].at <= performance.now()) waiting.shift()?.call()
  if (waiting.length > 0) setImmediate(turn)
}

if (values.serve === undefined) await measure()
else await serve(values.serve)
