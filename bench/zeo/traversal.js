/**
 * Cold traversals through a server, with nothing read ahead, with neighbours sent along, and with references followed
 * by depth: a BTree read from end to end, lookups of single keys in it, and a list of objects that refer to the next.
 *
 *     npm run build && node bench/zeo/traversal.js [--keys 3000] [--links 500] [--delay-ms 1]
 *
 * Server and client are two processes; the store is in memory. Between them a proxy holds back what passes by half the
 * delay each way, so a round trip takes that long at least. Prints, for each way of reading: requests that were waited
 * for (loads), all requests, milliseconds, bytes received, and the part of what came ahead that was never used.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inFolder, load, openClient, startProxy, withServer } from './support.js'

/**
 * @typedef {import('../../src/database/connection.ts').Connection} Connection
 * @typedef {import('../../src/database/database.ts').Database} ObjectDatabase
 * @typedef {import('../../src/database/b-tree.ts').BTree} Tree
 * @typedef {import('../../src/database/persistent-map.ts').PersistentMap} Item
 * @typedef {import('../../src/storages/zeo/client-storage.ts').ClientStorage} ClientStorage
 *
 * @typedef {{ connection: Connection, tree: Tree, list: Item }} Found
 * @typedef {(found: Found) => Promise<number>} Walk reads, and says how much there was
 */

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '3000' },
    links: { type: 'string', default: '500' },
    'delay-ms': { type: 'string', default: '1' },
  },
})
const { BTree, Database, PersistentMap } = await load('database/index.js')

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
 * @type {Record<string, Walk>}
 */
const walks = {
  async 'BTree, all entries'({ connection, tree }) {
    let count = 0
    for await (const value of tree.values()) count += await sizeOf(connection, value)
    return count
  },
  async 'BTree, 100 lookups'({ connection, tree }) {
    let count = 0
    for (let index = 0; index < 100; index++) {
      count += await sizeOf(connection, await tree.get((index * 7919) % Number(values.keys)))
    }
    return count
  },
  async 'list, link by link'({ connection, list }) {
    let count = 0
    /** @type {unknown} */
    let link = list
    while (link !== null) {
      count += await sizeOf(connection, link)
      link = /** @type {Item} */ (link).get('next')
    }
    return count
  },
}

/** Loads it. @param {Connection} connection @param {unknown} value */
async function sizeOf(connection, value) {
  const item = /** @type {Item} */ (value)
  await connection.activate(item)
  return item.size
}

/**
 * @param {string} address @param {Record<string, unknown>} options
 * @returns {Promise<{ storage: ClientStorage, database: ObjectDatabase }>}
 */
async function openDatabase(address, options = {}) {
  const storage = await openClient(address, { cacheBytesLimit: '64mb', ...options })
  return { storage, database: new Database(storage, { cacheObjectsLimit: 1_000_000 }) }
}

/** @param {string} address */
async function fill(address) {
  const { storage, database } = await openDatabase(address)
  await database.transact(async (connection) => {
    const root = await connection.root
    const tree = new BTree()
    const filling = 'x'.repeat(300)
    for (let key = 0; key < Number(values.keys); key++)
      await tree.set(key, new PersistentMap([['filling', filling]]))
    /** @type {Item | null} */
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
 * @param {Walk} walk
 */
async function report(address, options, walk) {
  const { storage, database } = await openDatabase(address, options)
  const connection = await database.openConnection()
  await connection.begin()
  const before = storage.counters()
  const from = performance.now()
  const root = await connection.root
  await connection.activate(root)
  const tree = /** @type {Tree} */ (root.get('tree'))
  await connection.activate(tree)
  const read = await walk({ connection, tree, list: /** @type {Item} */ (root.get('list')) })
  const ms = performance.now() - from
  if (read === 0) throw new Error('nothing was read')
  const after = storage.counters()
  if (storage.cache === undefined) throw new Error('there is no cache to read ahead into')
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
  console.log(
    `  ${(name[0] ?? 'nothing ahead').padEnd(32)} ${cells.map((cell) => `${cell}`.padStart(17)).join('')}`,
  )
}

await inFolder((folder) =>
  withServer({ references: true }, async (served) => {
    await fill(served.address)
    const path = join(folder, 'proxy')
    const proxy = await startProxy(path, served.address.slice('unix:'.length), Number(values['delay-ms']))
    const columns = ['loads that asked', 'requests', 'ms', 'KB received', 'wasted']
    console.log(`round trip ${values['delay-ms']} ms at least`)
    for (const [name, walk] of Object.entries(walks)) {
      console.log(`\n${name.padEnd(34)} ${columns.map((one) => one.padStart(17)).join('')}`)
      for (const options of ways) await report(`unix:${path}`, options, walk)
    }
    proxy.disconnect()
  }),
)
