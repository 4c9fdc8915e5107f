/** A client that does not read: what it makes the server hold is bounded, others go on, and it is dropped in the end. */

import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { noTid } from '../../../src/core/ids.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { BodyWriter } from '../../../src/storages/zeo/body.ts'
import { writeHello } from '../../../src/storages/zeo/handshake.ts'
import { writePollQuestion } from '../../../src/storages/zeo/messages.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { types } from '../../../src/storages/zeo/protocol.ts'
import { bytes, eventually, type Given, oid, read, Served, write } from './harness.ts'
import { RecordingWire } from './test-wire.ts'

let served: Served
let socket: Socket | undefined
afterEach(async () => {
  socket?.destroy()
  socket = undefined
  await served.stop()
})

const outputBytesMax = 4e6
const objectBytes = 200_000
/** What may be there beyond the limit: an answer of each of four views, and what is small. */
const slackBytes = 5 * objectBytes

async function start(given: Given = {}): Promise<StorageInstance> {
  served = await Served.start({ ...given, limits: { outputBytesMax, silenceMs: 60_000, ...given.limits } })
  const writer = (await served.client()).newInstance()
  await write(writer, oid(1), 'x'.repeat(objectBytes))
  return writer
}

function frame(type: number, id: number, view: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const wire = new RecordingWire()
  const outbox = new Outbox(wire)
  outbox.send(type, id, view, body, undefined, 0)
  outbox.flush()
  return wire.bytes
}

const hello = () =>
  frame(
    types.hello,
    0,
    0,
    writeHello(new BodyWriter(), { flags: 0, session: new Uint8Array(16), token: bytes('') }),
  )

/** A client that says this and never reads. */
function mute(...frames: readonly Uint8Array[]): Socket {
  socket = connect((served.address as { path: string }).path)
  socket.on('error', () => {})
  socket.pause()
  socket.write(Buffer.concat([hello(), ...frames]))
  return socket
}

const load = (view: number) => frame(types.load, 2, view, new BodyWriter().id(oid(1)).take())
const many = (count: number, one: Uint8Array) => Array.from({ length: count }, () => one)
const queued = () => served.server.status().queuedBytes

/** Commits and loads of others, while the slow one is there. */
async function othersGoOn(
  writer: StorageInstance,
  rounds = 20,
  queuedMax = outputBytesMax + slackBytes,
): Promise<void> {
  const reader = (await served.client()).newInstance()
  for (let round = 1; round <= rounds; round++) {
    await write(writer, oid(2), `${round}`)
    expect(await read(reader, oid(2))).toBe(`${round}`)
    expect(queued()).toBeLessThanOrEqual(queuedMax)
  }
}

/** The same storage, whose loads take until the next turn of the event loop, as those of a database do. */
async function asynchronous(): Promise<Storage> {
  const storage = await openStorage(memory, { history: false })
  const slowly = (instance: StorageInstance): StorageInstance =>
    new Proxy(instance, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        if (name !== 'load' && name !== 'loadMany') return value.bind(target) as unknown
        return async (...given: unknown[]) => {
          await new Promise((resolve) => setImmediate(resolve))
          return (value as (...given: unknown[]) => unknown).apply(target, given)
        }
      },
    })
  return new Proxy(storage, {
    get(target, name) {
      if (name === 'newInstance') return async () => slowly(await target.newInstance())
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

test.each(['at once', 'after a while'])(
  'what waits for a client that does not read is bounded, where the storage answers %s',
  async (when) => {
    const writer = await start(when === 'at once' ? {} : { storage: await asynchronous() })
    // 400 MB, if it were all answered; from several views, so that they do not wait for each other.
    const views = [1, 2, 3, 4]
    mute(
      ...views.map((view) => frame(types.poll, 1, view)),
      ...views.flatMap((view) => many(500, load(view))),
    )
    await eventually(() => queued() > outputBytesMax, 'its queue is full')
    await othersGoOn(writer)
    expect(queued()).toBeGreaterThan(outputBytesMax / 2)
    expect(served.server.counts.loads).toBeLessThan(200)
    expect(served.server.counts.dropped).toBe(0)
  },
)

test('bulk answers to one that does not read wait for each other', async () => {
  const writer = await start({ storage: await asynchronous() })
  const oids = new BodyWriter()
  for (let id = 0; id < 10; id++) oids.id(oid(1))
  const bulk = oids.take()
  const views = Array.from({ length: 50 }, (_, index) => index + 1)
  // Each answer is 2 MB: after the first four nothing more is read, of 100 MB.
  mute(
    ...views.map((view) => frame(types.poll, 1, view)),
    ...views.map((view) => frame(types.loadMany, 100 + view, view, bulk)),
  )
  await eventually(() => queued() > outputBytesMax / 4, 'something waits')
  await othersGoOn(writer, 20, 4 * 10 * objectBytes + slackBytes)
})

test('notices of what others commit do not pile up for one that does not read', async () => {
  const writer = await start()
  const question = writePollQuestion(new BodyWriter(), { since: noTid, withStates: true })
  mute(frame(types.poll, 1, 1, question), frame(types.renew, 2, 1, question))
  await eventually(() => served.server.status().views === 2, 'it is there')
  const before = queued()
  for (let round = 0; round < 200; round++) await write(writer, oid(2), `${round}`)
  // One notice that its snapshot is old; the next is due after it has asked for another.
  expect(queued() - before).toBeLessThan(1000)
})

test('pings of one that does not read are not answered for ever', async () => {
  const writer = await start()
  mute(frame(types.poll, 1, 1), ...many(30, load(1)))
  await eventually(() => queued() > outputBytesMax, 'its queue is full')
  await othersGoOn(writer, 3)
  socket!.destroy()
  await eventually(() => served.server.status().connections === 2, 'it is gone')
  // Without anything else in the way: 60 000 pings, whose answers would be as many bytes.
  mute(...many(60_000, frame(types.ping, 0, 0)))
  await eventually(() => served.server.status().bytesRead > 900_000, 'all have arrived')
  expect(queued()).toBeLessThan(200_000)
})

test('it is dropped in the end, with a code in the log, and its snapshot and transaction with it', async () => {
  const writer = await start({ limits: { silenceMs: 300, votedMs: 60_000 } })
  const begin = frame(
    types.begin,
    0,
    2,
    new BodyWriter().id(oid(1)).text('').text('').bytes(new Uint8Array(0)).take(),
  )
  const store = frame(
    types.store,
    0,
    2,
    Buffer.concat([new BodyWriter().id(oid(2)).id(noTid).take(), bytes('held')]),
  )
  mute(
    frame(types.poll, 1, 1),
    frame(types.poll, 1, 2),
    begin,
    store,
    frame(types.vote, 3, 2),
    ...many(100, load(1)),
  )
  await eventually(() => queued() > outputBytesMax, 'its queue is full')
  expect(served.server.status().voted).toBe(1)
  // It holds object 2: this waits until it is dropped.
  await write(writer, oid(2), 'free')
  const gone = served.logged.filter(({ event }) => event === 'disconnected')
  expect(gone).toMatchObject([
    { level: 'warn', facts: { code: 'not-reading', cause: expect.stringMatching(/^\d+ bytes have waited/) } },
  ])
  expect(served.server.status()).toMatchObject({ connections: 1, dropped: 1, voted: 0, views: 1 })
  expect(queued()).toBeLessThan(1000)
})

test('one that reads after a while gets all of it, in order', async () => {
  await start()
  const oids = Array.from({ length: 60 }, (_, index) => index)
  const slow = mute(
    frame(types.poll, 1, 1),
    ...oids.map((index) => frame(types.load, 100 + index, 1, new BodyWriter().id(oid(1)).take())),
  )
  await eventually(() => queued() > outputBytesMax, 'its queue is full')
  let heard = 0
  slow.on('data', (chunk) => {
    heard += chunk.length
  })
  slow.resume()
  // Sixty answers and what is around them.
  await eventually(() => heard > 60 * objectBytes, 'all of it has arrived')
  expect(served.server.counts.loads).toBe(60)
})

test('what waits for an earlier message of its view is bounded in bytes', async () => {
  const writer = await start({ limits: { transactionBytesMax: 1e6 } })
  await writer.pollInvalidations()
  const transaction = writer.begin()
  await transaction.store(oid(3), noTid, bytes('held'))
  const voted = await transaction.vote()
  const begin = frame(
    types.begin,
    0,
    1,
    new BodyWriter().id(oid(1)).text('').text('').bytes(new Uint8Array(0)).take(),
  )
  const store = (data: Uint8Array) =>
    frame(types.store, 0, 1, Buffer.concat([new BodyWriter().id(oid(3)).id(noTid).take(), data]))
  // The vote waits for ours; what follows waits for the vote.
  mute(
    frame(types.poll, 1, 1),
    begin,
    store(bytes('x')),
    frame(types.vote, 2, 1),
    ...many(50, store(new Uint8Array(100_000))),
  )
  await eventually(() => served.server.counts.dropped === 1, 'it is dropped')
  const gone = served.logged.filter(({ event }) => event === 'disconnected')
  expect(gone).toMatchObject([{ facts: { code: 'protocol', cause: expect.stringContaining('wait for') } }])
  expect(served.server.status().waiting).toBe(0)
  await voted.finish()
})
