/** kill -9 of server and client in every phase of a commit: nothing is half there, and what was told is true. */

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { noTid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { StorageInstance, VotedTransaction } from '../../src/storages/storage.ts'
import zeo from '../../src/storages/zeo/index.ts'
import { requestStatus } from '../../src/storages/zeo/status-client.ts'
import { eventually } from '../storages/zeo/harness.ts'
import { dist, kill, messageOf, TestProcesses } from './processes.ts'
import { addOne, addOneAtLast, encode, left, readBoth, right } from './zeo-pair.ts'

const processes = new TestProcesses('zeo-phases')
const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url)

const open = () =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address: processes.address(), wait: '20s' }))

const status = () => requestStatus(processes.address(), { token: '', caFile: '' })

/** A server that kills itself in that phase, and a client of it. `died` resolves when it has. */
async function dyingServer(phase: string) {
  const moduleUrl = fixture('dying-storage.js').href
  const env = { ...process.env, SHOOTOUT_DIST: dist.href }
  const server = await processes.startServer({ moduleUrl, options: { phase }, env })
  const died = once(server, 'exit').then((how) => expect(how).toEqual([null, 'SIGKILL']))
  const storage = await open()
  return { died, storage, instance: await storage.newInstance() }
}

/** A client that goes on to that phase and waits there to be killed. */
async function clientIn(phase: string) {
  const client = processes.fork(fileURLToPath(fixture('zeo-phase-client.js')), [
    dist.href,
    processes.address(),
    phase,
  ])
  await messageOf(client)
  return client
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
      const { died, storage, instance } = await dyingServer(phase)
      const before = (await readBoth(instance)).value
      const adding = addOne(instance, atOnce).then(
        () => undefined,
        (error: { readonly code: string }) => error,
      )
      await died
      const server = await processes.startServer()
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
  const { died, storage, instance } = await dyingServer('blob')
  await readBoth(instance)
  const transaction = instance.begin()
  const chunks = Array.from({ length: 30 }, () => new Uint8Array(100_000))
  const storing = transaction.storeBlob!(left, noTid, encode(1), chunks)
  await expect(storing).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await transaction.abort()
  await died
  await processes.startServer()
  expect((await readBoth(instance)).value).toBe(0)
  await addOne(instance, true)
  expect((await readBoth(instance)).value).toBe(1)
  await storage.close()
})

test('a server killed at an abort: nobody hears of it, and nothing is there', async () => {
  const { died, storage, instance } = await dyingServer('abort')
  await readBoth(instance)
  const transaction = instance.begin()
  await transaction.store(left, noTid, encode(1))
  await transaction.store(right, noTid, encode(1))
  await (await transaction.vote()).abort()
  await died
  await processes.startServer()
  expect((await readBoth(instance)).value).toBe(0)
  await storage.close()
})

test('a server killed while one vote waits for another: both hear "disconnected", and nothing is there', async () => {
  const server = await processes.startServer()
  const storages = [await open(), await open()]
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
  expect(await status()).toMatchObject({ voted: 1, waiting: 1 })
  const voted = (await votes[0]) as VotedTransaction
  await kill(server)
  await processes.startServer()
  await expect(votes[1]).rejects.toMatchObject({ code: 'disconnected' })
  await expect(Promise.resolve(voted.finish())).rejects.toMatchObject({ code: 'disconnected' })
  for (const instance of instances) expect((await readBoth(instance)).value).toBe(0)
  for (const storage of storages) await storage.close()
})

test('a client killed while its vote waits for another: the other one and the next go on', async () => {
  await processes.startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  await addOne(instance, true)
  const { serial } = await readBoth(instance)
  const holding = instance.begin()
  for (const oid of [left, right]) await holding.store(oid, serial, encode(2))
  const voted = await holding.vote()
  const client = await clientIn('voting')
  const waiting = async () => (await status()).waiting
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
  await processes.startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  await addOne(instance, true)
  await kill(await clientIn(phase))
  const { value } = await readBoth(instance)
  if (phase === 'committed') expect(value).toBe(2)
  else if (['begun', 'half', 'stored', 'blob', 'aborting', 'voted'].includes(phase)) expect(value).toBe(1)
  await addOneAtLast(instance)
  expect((await readBoth(instance)).value).toBeLessThanOrEqual(3)
  await storage.close()
})
