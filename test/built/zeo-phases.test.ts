/** kill -9 of server and client in every phase of a commit: nothing is half there, and what was told is true. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isTransient } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { StorageInstance, VotedTransaction } from '../../src/storages/storage.ts'
import { parseAddress } from '../../src/storages/zeo/address.ts'
import zeo from '../../src/storages/zeo/index.ts'
import { requestStatus } from '../../src/storages/zeo/status-client.ts'
import { eventually } from '../storages/zeo/harness.ts'

const built = new URL(process.env['SHOOTOUT_BUILT'] ?? '../../dist/', import.meta.url)
const entry = fileURLToPath(new URL('storages/zeo/server-entry.js', built))
const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url)
const [left, right] = [1 as Oid, 2 as Oid]
const encode = (value: number) => new TextEncoder().encode(`${value}`)

let folder: string
let children: ChildProcess[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  children = []
})

afterEach(async () => {
  await Promise.all(children.map((child) => kill(child)))
  rmSync(folder, { recursive: true, force: true })
})

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** @param phase in which it kills itself; never without */
async function startServer(phase?: string): Promise<ChildProcess> {
  const env = { ...process.env, SHOOTOUT_DYING_BUILT: built.href }
  const child = fork(entry, [], { serialization: 'advanced', env })
  children.push(child)
  const options = { path: join(folder, 'data.log'), durability: 'os' }
  const request = {
    moduleUrl:
      phase === undefined ? new URL('storages/file/index.js', built).href : fixture('dying-storage.js').href,
    options: phase === undefined ? options : { ...options, phase },
    address: parseAddress(`unix:${join(folder, 's')}`),
    token: '',
  }
  child.send({ type: 'serve', request })
  for (;;) {
    const [message] = (await once(child, 'message')) as [{ type: string; error?: { message: string } }]
    if (message.type === 'listening') return child
    if (message.type === 'failed') throw new Error(message.error?.message)
  }
}

const open = (wait: string) =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address: `unix:${join(folder, 's')}`, wait }))

async function readBoth(instance: StorageInstance): Promise<{ value: number; serial: Tid }> {
  await instance.pollInvalidations()
  const found = await instance.loadMany([left, right])
  const values = found.map((one) => (one === undefined ? 0 : Number(new TextDecoder().decode(one.data))))
  expect(values[0], 'half of a transaction').toBe(values[1])
  return { value: values[0]!, serial: found[0]?.serial ?? noTid }
}

async function addOne(instance: StorageInstance, atOnce: boolean): Promise<void> {
  const { value, serial } = await readBoth(instance)
  const transaction = instance.begin()
  try {
    await transaction.store(left, serial, encode(value + 1))
    await transaction.store(right, serial, encode(value + 1))
    if (atOnce) await transaction.commit!()
    else await (await transaction.vote()).finish()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

/** What the client hears, and whether the transaction is there afterwards. */
const phases = [
  ['begin', 'disconnected', 0],
  ['store', 'disconnected', 0],
  ['vote', 'disconnected', 0],
  ['voted', 'disconnected', 0],
  ['finish', 'commit-outcome-unknown', 0],
  ['durable', 'commit-outcome-unknown', 1],
  ['finished', 'commit-outcome-unknown', 1],
] as const

test.each(phases)(
  'a server killed at %s: the client hears "%s", and %i transactions are there',
  async (phase, code, there) => {
    for (const atOnce of phase === 'vote' || phase === 'durable' ? [false, true] : [false]) {
      const dying = await startServer(phase)
      const exited = once(dying, 'exit')
      const storage = await open('20s')
      const instance = await storage.newInstance()
      const before = (await readBoth(instance)).value
      const adding = addOne(instance, atOnce).then(
        () => undefined,
        (error: { readonly code: string }) => error,
      )
      expect(await exited).toEqual([null, 'SIGKILL'])
      const server = await startServer()
      const error = await adding
      // Vote and finish of `commit` travel together: which of them the server had begun, the client cannot know.
      expect(error?.code).toBe(atOnce ? 'commit-outcome-unknown' : code)
      expect((await readBoth(instance)).value).toBe(before + there)
      await storage.close()
      await kill(server)
    }
  },
)

test('a server killed while a blob arrives: the client hears "disconnected", and nothing is there', async () => {
  const dying = await startServer('blob')
  const exited = once(dying, 'exit')
  const storage = await open('20s')
  const instance = await storage.newInstance()
  await readBoth(instance)
  const transaction = instance.begin()
  const chunks = Array.from({ length: 30 }, () => new Uint8Array(100_000))
  const storing = transaction.storeBlob!(left, noTid, encode(1), chunks)
  await expect(storing).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await transaction.abort()
  expect(await exited).toEqual([null, 'SIGKILL'])
  await startServer()
  expect((await readBoth(instance)).value).toBe(0)
  await addOne(instance, true)
  expect((await readBoth(instance)).value).toBe(1)
  await storage.close()
})

test('a server killed at an abort: nobody hears of it, and nothing is there', async () => {
  const dying = await startServer('abort')
  const exited = once(dying, 'exit')
  const storage = await open('20s')
  const instance = await storage.newInstance()
  await readBoth(instance)
  const transaction = instance.begin()
  await transaction.store(left, noTid, encode(1))
  await transaction.store(right, noTid, encode(1))
  await (await transaction.vote()).abort()
  expect(await exited).toEqual([null, 'SIGKILL'])
  await startServer()
  expect((await readBoth(instance)).value).toBe(0)
  await storage.close()
})

test('a server killed while one vote waits for another: both hear "disconnected", and nothing is there', async () => {
  const server = await startServer()
  const storages = [await open('20s'), await open('20s')]
  const votes: Promise<unknown>[] = []
  const instances: StorageInstance[] = []
  for (const storage of storages) {
    const instance = await storage.newInstance()
    await readBoth(instance)
    const transaction = instance.begin()
    await transaction.store(left, noTid, encode(1))
    await transaction.store(right, noTid, encode(1))
    const voting = Promise.resolve(transaction.vote())
    voting.catch(() => {})
    votes.push(voting)
    // The vote has arrived when something that was sent behind it is answered.
    await (await storage.newInstance()).pollInvalidations()
    instances.push(instance)
  }
  const status = await requestStatus(`unix:${join(folder, 's')}`, { token: '', caFile: '' })
  expect(status).toMatchObject({ voted: 1, waiting: 1 })
  const voted = (await votes[0]) as VotedTransaction
  await kill(server)
  await startServer()
  await expect(votes[1]).rejects.toMatchObject({ code: 'disconnected' })
  await expect(Promise.resolve(voted.finish())).rejects.toMatchObject({ code: 'disconnected' })
  for (const instance of instances) expect((await readBoth(instance)).value).toBe(0)
  for (const storage of storages) await storage.close()
})

test('a client killed while its vote waits for another: the other one and the next go on', async () => {
  await startServer()
  const storage = await open('20s')
  const instance = await storage.newInstance()
  await addOne(instance, true)
  const { serial } = await readBoth(instance)
  const holding = instance.begin()
  for (const oid of [left, right]) await holding.store(oid, serial, encode(2))
  const voted = await holding.vote()
  const script = fileURLToPath(fixture('zeo-phase-client.js'))
  const client = fork(script, [built.href, `unix:${join(folder, 's')}`, 'voting'])
  children.push(client)
  await once(client, 'message')
  const waiting = async () =>
    (await requestStatus(`unix:${join(folder, 's')}`, { token: '', caFile: '' })).waiting
  await eventually(async () => (await waiting()) === 1, 'it waits')
  await kill(client)
  await eventually(async () => (await waiting()) === 0, 'it has left the queue')
  await voted.finish()
  expect((await readBoth(instance)).value).toBe(2)
  await addOne(instance, true)
  expect((await readBoth(instance)).value).toBe(3)
  await storage.close()
})

test.each([
  'begun',
  'half',
  'stored',
  'blob',
  'aborting',
  'voting',
  'voted',
  'finishing',
  'committing',
  'committed',
])('a client killed when it is %s: the others go on, and nothing is half there', async (phase) => {
  await startServer()
  const storage = await open('20s')
  const instance = await storage.newInstance()
  await addOne(instance, true)
  const script = fileURLToPath(fixture('zeo-phase-client.js'))
  const client = fork(script, [built.href, `unix:${join(folder, 's')}`, phase])
  children.push(client)
  await once(client, 'message')
  await kill(client)
  const { value } = await readBoth(instance)
  if (phase === 'committed') expect(value).toBe(2)
  else if (['begun', 'half', 'stored', 'blob', 'aborting', 'voted'].includes(phase)) expect(value).toBe(1)
  for (let left = 50; ; left--) {
    try {
      await addOne(instance, true)
      break
    } catch (error) {
      if (!isTransient(error) || left === 0) throw error
    }
  }
  expect((await readBoth(instance)).value).toBeLessThanOrEqual(3)
  await storage.close()
})
