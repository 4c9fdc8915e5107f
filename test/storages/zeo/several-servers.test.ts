/** A client that knows several servers: which one it uses, and what happens when one goes or another comes. */

import { afterEach, beforeEach, expect, test } from 'vitest'
import memory from '../../../src/storages/memory.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { OpenContext, Storage } from '../../../src/storages/storage.ts'
import {
  type ClientSettings,
  type ClientStorage,
  openClient,
} from '../../../src/storages/zeo/client-storage.ts'
import type { ServerPlace } from '../../../src/storages/zeo/dialer.ts'
import { systemTimers } from '../../../src/storages/zeo/timers.ts'
import { bytes, eventually, type Given, oid, read, Served, write } from './harness.ts'

let storage: Storage
let running: Served[]
let clients: ClientStorage[]

beforeEach(async () => {
  storage = await openStorage(memory, { history: false })
  running = []
  clients = []
})

afterEach(async () => {
  for (const client of clients) await client.close()
  for (const served of running) await served.stop()
  await storage.close()
})

/** One more server of the same store. */
async function start(given: Given = {}): Promise<Served> {
  const served = await Served.start({ storage, ...given })
  running.push(served)
  return served
}

const nobody: ServerPlace = {
  address: 'nobody',
  dial: () => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })),
}

/** Waits a hundredth of what it is told. */
const hasty = {
  now: () => systemTimers.now() * 100,
  after: (delayMs: number, call: () => void) => systemTimers.after(delayMs / 100, call),
  limit: (delayMs: number, call: () => void) => systemTimers.limit(delayMs / 100, call),
}

async function open(
  servers: readonly ServerPlace[],
  given: Partial<ClientSettings> = {},
  context: Partial<OpenContext> = {},
): Promise<ClientStorage> {
  const client = await openClient({ servers, timers: hasty, waitMs: 500_000, ...given }, openContext(context))
  clients.push(client)
  return client
}

test('the first that answers is used, in the order in which they are given', async () => {
  const [one, two] = [await start(), await start()]
  await open([nobody, one.place, two.place])
  expect(one.server.status().connections).toBe(1)
  expect(two.server.status().connections).toBe(0)
})

test('when the server goes the next one is used, and nothing is lost', async () => {
  const [one, two] = [await start(), await start()]
  const client = await open([one.place, two.place])
  const instance = client.newInstance()
  const tid = await write(instance, oid(1), 'through one')
  await one.stopServer()
  expect(await read(instance, oid(1))).toBe('through one')
  expect(await write(instance, oid(1), 'through two')).toBeGreaterThan(tid)
  expect(two.server.counts.commits).toBe(1)
})

test('when none answers, the error names them all', async () => {
  await expect(open([nobody, { ...nobody, address: 'nobody else' }])).rejects.toMatchObject({
    code: 'disconnected',
    message: expect.stringMatching(/nobody \(.*nobody else \(/),
  })
})

test('a server that refuses does not keep the client from the next one', async () => {
  const [closed, open_] = [await start({ token: 'other' }), await start()]
  const place = { address: 'closed', dial: closed.place.dial }
  await open([place, open_.place])
  expect(closed.server.counts.refused).toBe(1)
  await expect(open([place])).rejects.toMatchObject({ code: 'wrong-token' })
})

test('who wants to write refuses a read-only server, and says what to do', async () => {
  const { place } = await start({ readOnly: true })
  await expect(open([place])).rejects.toMatchObject({
    code: 'read-only',
    message: expect.stringMatching(/readOnlyFallback/),
  })
})

test('who does not want to write takes the first, read-only or not', async () => {
  const [one, two] = [await start({ readOnly: true }), await start()]
  await open([one.place, two.place], {}, { readOnly: true })
  expect(one.server.status().connections).toBe(1)
  expect(two.server.status().connections).toBe(0)
})

test('with a fallback a writable server goes first, wherever it stands in the list', async () => {
  const [one, two] = [await start({ readOnly: true }), await start()]
  const client = await open([one.place, two.place], { readOnlyFallback: true })
  await write(client.newInstance(), oid(1), 'written')
  expect(two.server.counts.commits).toBe(1)
  await eventually(() => one.server.status().connections === 0, 'the read-only one is let go')
})

test('a read-only server does until there is a writable one, and the client goes back to that', async () => {
  const [one, two] = [await start(), await start({ readOnly: true })]
  const client = await open([one.place, two.place], { readOnlyFallback: true })
  const instance = client.newInstance()
  await write(instance, oid(1), 'a')
  await one.stopServer()
  expect(await read(instance, oid(1))).toBe('a')
  expect(() => instance.begin()).toThrow(/is read-only/)
  await one.listen()
  await eventually(() => two.server.status().connections === 0, 'the read-only one is let go')
  await write(instance, oid(1), 'b')
  expect(one.server.counts.commits).toBe(1)
})

test('reading in a snapshot of a server that was left is an error that says: repeat', async () => {
  const [one, two] = [await start(), await start({ readOnly: true })]
  await write((await one.client()).newInstance(), oid(1), 'a')
  await one.stopServer()
  const client = await open([one.place, two.place], { readOnlyFallback: true })
  const instance = client.newInstance()
  await instance.pollInvalidations()
  await one.listen()
  await eventually(() => two.server.status().connections === 0, 'the client has moved')
  expect(() => instance.load(oid(1))).toThrow(
    expect.objectContaining({ code: 'disconnected', transient: true }),
  )
  expect(await read(instance, oid(1))).toBe('a')
})

test('a call that shall not wait for a connection fails at once', async () => {
  const one = await start()
  const client = await open([one.place], { waitMs: 0 })
  const instance = client.newInstance()
  await instance.pollInvalidations()
  await one.stopServer()
  await eventually(async () => {
    try {
      await instance.pollInvalidations()
      return false
    } catch (error) {
      expect(error).toMatchObject({ code: 'disconnected', transient: true })
      return true
    }
  }, 'the call fails')
  const transaction = () => instance.begin().store(oid(1), 0 as never, bytes('x'))
  expect(transaction).toThrow(expect.objectContaining({ code: 'disconnected' }))
  await one.listen()
})
