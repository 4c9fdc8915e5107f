/** How often each end writes for a transaction: every write wakes the other one. And that nothing is read twice. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { parseOptions } from '../../../src/core/options.ts'
import file from '../../../src/storages/file/index.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import {
  type ClientSettings,
  type ClientStorage,
  openClient,
} from '../../../src/storages/zeo/client-storage.ts'
import { bytes, oid, read, Served, write } from './harness.ts'
import { wirePair } from './test-wire.ts'

let folder: string
let served: Served
const clients: ClientStorage[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  await served.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A server over a file: a storage that votes and finishes with promises. */
async function start(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'shootout-writes-'))
  const options = parseOptions('file', file.options, { path: join(folder, 'data.log'), durability: 'os' })
  served = await Served.start({
    storage: await openStorage(file, options),
    capabilities: file.capabilities(options),
  })
}

async function connect(given: Partial<ClientSettings> = {}) {
  const writes = { client: 0, server: 0 }
  const dial = async () => {
    const [here, there] = wirePair(64 * 1024)
    for (const [side, wire] of [
      ['client', here],
      ['server', there],
    ] as const) {
      const write = wire.write.bind(wire)
      wire.write = (pieces) => {
        writes[side]++
        write(pieces)
      }
    }
    served.server.accept(there)
    return here
  }
  const settings = { ...given, servers: [{ address: 'counted', dial }] }
  const client = await openClient(settings, openContext())
  clients.push(client)
  const counted = async (work: () => unknown) => {
    const before = { ...writes }
    await work()
    return { client: writes.client - before.client, server: writes.server - before.server }
  }
  return { client, counted }
}

const cacheOf = () => new ClientCache(shareClientCache(1024 ** 2))

test('a commit is one write of the client and one of the server', async () => {
  await start()
  const { client, counted } = await connect()
  const instance = client.newInstance()
  await write(instance, oid(1), 'first')
  await instance.pollInvalidations()
  const { serial } = await instance.load(oid(1))
  const transaction = instance.begin()
  transaction.store(oid(1), serial, bytes('second'))
  expect(await counted(() => transaction.commit())).toEqual({ client: 1, server: 1 })
  await instance.afterCompletion()
  expect(await read(instance, oid(1))).toBe('second')
})

test('a vote that nobody has asked to finish is answered at once', async () => {
  await start()
  const { client, counted } = await connect()
  const instance = client.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.store(oid(1), 0 as never, bytes('first'))
  expect(await counted(() => transaction.vote())).toEqual({ client: 1, server: 1 })
  transaction.abort()
})

test('a few objects in one request are one write of the server', async () => {
  await start()
  const { client, counted } = await connect()
  const instance = client.newInstance()
  for (const id of [1, 2, 3]) await write(instance, oid(id), `${id}`)
  await instance.pollInvalidations()
  const loading = counted(() => instance.loadMany([oid(1), oid(2), oid(3)]))
  expect(await loading).toEqual({ client: 1, server: 1 })
})

test('the end of a snapshot travels with the poll for the next, or by itself when there is none', async () => {
  await start()
  const { client, counted } = await connect({ alwaysAsk: true })
  const instance = client.newInstance()
  await write(instance, oid(1), 'first')
  const next = async () => {
    await instance.afterCompletion()
    await instance.pollInvalidations()
  }
  expect(await counted(next)).toEqual({ client: 1, server: 1 })
  const last = async () => {
    await instance.afterCompletion()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect((await counted(last)).client).toBe(1)
})

test('what has changed is looked up once, however many clients ask', async () => {
  await start()
  const readers = await Promise.all([1, 2, 3].map(() => connect({ cache: cacheOf() })))
  const instances = readers.map(({ client }) => client.newInstance())
  const writer = (await connect()).client.newInstance()
  await write(writer, oid(1), 'first')
  await write(writer, oid(2), 'first')
  for (const instance of instances) expect(await read(instance, oid(1))).toBe('first')
  await write(writer, oid(1), 'second')
  const before = served.storage.counters().loads
  for (const instance of instances) await instance.pollInvalidations()
  expect(served.storage.counters().loads - before).toBe(1)
  for (const instance of instances) expect(bytes('second')).toEqual((await instance.load(oid(1))).data)
})

test('a reader in an older snapshot is told what that shows, whoever asked before', async () => {
  await start()
  const [early, late] = [
    (await connect({ cache: cacheOf() })).client.newInstance(),
    (await connect({ cache: cacheOf() })).client.newInstance(),
  ]
  const writer = (await connect()).client.newInstance()
  for (const text of ['a', 'b', 'c']) {
    await write(writer, oid(1), text)
    for (const instance of [early, late]) expect(await read(instance, oid(1))).toBe(text)
  }
  await early.pollInvalidations()
  await write(writer, oid(1), 'd')
  await write(writer, oid(2), 'other')
  expect(await read(late, oid(1))).toBe('d')
  expect(new TextDecoder().decode((await early.load(oid(1))).data)).toBe('c')
  await early.afterCompletion()
  expect(await read(early, oid(1))).toBe('d')
})
