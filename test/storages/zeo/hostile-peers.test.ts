/** What a peer can do wrong, and that nobody else is harmed by it. */

import { statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { formatAddress, parseAddress } from '../../../src/storages/zeo/address.ts'
import { BodyWriter } from '../../../src/storages/zeo/body.ts'
import type { ClientInstance } from '../../../src/storages/zeo/client-instance.ts'
import { dial } from '../../../src/storages/zeo/dial.ts'
import { writeHello } from '../../../src/storages/zeo/handshake.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { magic, types } from '../../../src/storages/zeo/protocol.ts'
import { requestStatus } from '../../../src/storages/zeo/status-client.ts'
import { systemTimers } from '../../../src/storages/zeo/timers.ts'
import { bytes, eventually, type Given, oid, read, Served, write } from './harness.ts'
import { listen } from './listen.ts'
import { RecordingWire } from './test-wire.ts'

let served: Served | undefined
afterEach(async () => {
  await served?.stop()
  served = undefined
})

async function start(given: Given = {}): Promise<Served> {
  served = await Served.start(given)
  return served
}

function frame(type: number, id: number, view: number, body: Uint8Array): Uint8Array {
  const wire = new RecordingWire()
  const outbox = new Outbox(wire)
  outbox.send(type, id, view, body, undefined, 0)
  outbox.flush()
  return wire.bytes
}

/** A header without its body. */
const header = (length: number, type: number, view: number) =>
  new BodyWriter().u32(length).u8(type).u8(0).u8(0).u8(0).u32(0).u32(view).take().slice()

/** Announces a store of so many bytes. */
const long = (stream: number, length: number) => frame(types.long, stream, 0, header(length, types.store, 1))

const hello = (token = '') =>
  frame(
    types.hello,
    0,
    0,
    writeHello(new BodyWriter(), { flags: 0, session: new Uint8Array(16), token: bytes(token) }),
  )

/** A socket that says what it is told, and resolves when the server hangs up. */
function stranger(to: Served, say: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const heard: Buffer[] = []
    const socket: Socket = connect((to.address as { path: string }).path, () => socket.write(say))
    socket.on('data', (chunk) => heard.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(heard)))
    setTimeout(() => reject(new Error('the server did not hang up')), 60_000).unref()
  })
}

async function serves(given: Served): Promise<void> {
  const instance = (await given.client()).newInstance()
  await write(instance, oid(1), 'fine')
  expect(await read(instance, oid(1))).toBe('fine')
}

const limits = { greetingMs: 100, silenceMs: 300, votedMs: 100 }

test.each([
  ['HTTP', bytes('GET / HTTP/1.1\r\nHost: example.org\r\n\r\n')],
  ['noise', new Uint8Array(500).fill(0xa5)],
  ['an absurd size', new Uint8Array([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ['a request before the handshake', frame(types.load, 1, 1, new Uint8Array(8))],
  ['a handshake that is cut', hello().subarray(0, 20)],
  ['nothing', new Uint8Array(0)],
  ['a wrong magic', frame(types.hello, 0, 0, new Uint8Array(60))],
  ['an unknown message', Buffer.concat([hello(), frame(60, 1, 0, new Uint8Array(0))])],
  ['a body that ends too early', Buffer.concat([hello(), frame(types.load, 1, 1, new Uint8Array(3))])],
  ['silence after the handshake', hello()],
  [
    'half a message',
    Buffer.concat([hello(), frame(types.store, 0, 1, new Uint8Array(1000)).subarray(0, 300)]),
  ],
  ['an absurd size after the handshake', Buffer.concat([hello(), header(0xffff_ffff, types.load, 1)])],
  ['a frame that is a byte too long', Buffer.concat([hello(), header(256 * 1024 + 1, types.store, 1)])],
  ['that a message will take 4 GB', Buffer.concat([hello(), long(1, 0xffff_ffff)])],
  [
    'that two messages will take more than there may be',
    Buffer.concat([hello(), long(1, 1024 ** 3), long(2, 1024 ** 3)]),
  ],
  [
    'that more messages are under way than may be',
    Buffer.concat([hello(), ...Array.from({ length: 65 }, (_, index) => long(index + 1, 300_000))]),
  ],
  [
    'a piece of a message that was not announced',
    Buffer.concat([hello(), frame(types.chunk, 9, 0, bytes('x'))]),
  ],
  [
    'the beginning of a long message, and no more',
    Buffer.concat([hello(), long(1, 300_000), frame(types.chunk, 1, 0, new Uint8Array(1000))]),
  ],
])('who says %s is dropped, and others are served', async (_what, say) => {
  const given = await start({ limits })
  await Promise.all([stranger(given, say), serves(given)])
  await serves(given)
})

test('another version is turned away with a reason', async () => {
  const given = await start()
  const body = new Uint8Array([...magic, 9])
  const heard = await stranger(given, frame(types.hello, 0, 0, body))
  expect(heard.toString('latin1')).toContain('protocol-version')
})

test('a wrong token is turned away with a reason, the right one is let in', async () => {
  const given = await start({ token: 'right' })
  expect((await stranger(given, hello('wrong'))).toString('latin1')).toContain('wrong-token')
  expect((await stranger(given, hello())).toString('latin1')).toContain('wrong-token')
  await serves(given)
  const wrong = requestStatus(formatAddress(given.address), { token: 'x', caFile: '' })
  await expect(wrong).rejects.toMatchObject({ code: 'wrong-token' })
})

test('a transaction that stays voted is aborted with its connection', async () => {
  const given = await start({ limits: { votedMs: 50 } })
  const holder = (await given.client()).newInstance()
  await holder.pollInvalidations()
  const transaction = holder.begin()
  transaction.store(oid(1), 0 as never, bytes('held'))
  const voted = await transaction.vote()
  await serves(given)
  await expect(voted.finish()).rejects.toMatchObject({ code: 'disconnected' })
})

test('a transaction that is too large is refused, and the next one works', async () => {
  const given = await start({ limits: { transactionBytesMax: 1000 } })
  const instance = (await given.client()).newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  for (let id = 1; id < 5; id++) transaction.store(oid(id), 0 as never, new Uint8Array(400))
  await expect(transaction.vote()).rejects.toMatchObject({ code: 'transaction-too-large' })
  transaction.abort()
  await serves(given)
})

test('who asks and does not read has its requests left unread, and is dropped after a while', async () => {
  const given = await start({ limits: { outputBytesMax: 1e6, silenceMs: 400 } })
  const writer = (await given.client()).newInstance()
  await write(writer, oid(1), 'x'.repeat(200_000))
  const poll = frame(types.poll, 1, 1, new Uint8Array(0))
  const load = frame(types.load, 2, 1, new BodyWriter().id(oid(1)).take())
  const socket = connect((given.address as { path: string }).path)
  socket.on('error', () => {})
  socket.pause()
  socket.write(Buffer.concat([hello(), poll, ...Array.from({ length: 2000 }, () => load)]))
  await eventually(() => given.server.counts.dropped === 1, 'the stalled client is dropped')
  socket.destroy()
  // 2000 loads are 400 MB: the server stopped answering long before.
  expect(given.server.counts.loads).toBeLessThan(400)
  expect(given.logged.at(-1)?.facts['code']).toBe('not-reading')
  // Nobody else was: not the writer either, who has said nothing for as long.
  expect(await read(writer, oid(1))).toHaveLength(200_000)
  expect(given.dials).toBe(1)
  await serves(given)
})

test('who has nothing to say is heard as often as the server wants, and stays', async () => {
  const given = await start({ limits: { silenceMs: 400 } })
  const quiet = (await given.client()).newInstance()
  await write(quiet, oid(1), 'fine')
  // Each is silent for as long as may be, one after the other.
  for (let times = 0; times < 2; times++) await stranger(given, hello())
  expect(given.server.counts.dropped).toBe(2)
  expect(await read(quiet, oid(1))).toBe('fine')
  expect(given.dials).toBe(1)
})

test('who has spoken while the server stood still is not taken for silent', async () => {
  const given = await start({ limits: { silenceMs: 400 } })
  const quiet = (await given.client()).newInstance()
  await write(quiet, oid(1), 'fine')
  for (let times = 0; times < 2; times++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
    expect(await read(quiet, oid(1))).toBe('fine')
  }
  expect([given.server.counts.dropped, given.dials]).toEqual([0, 1])
})

test('more clients than the limit are turned away', async () => {
  const given = await start({ limits: { connectionsMax: 2 } })
  const first = await given.client()
  await given.client()
  await expect(given.client()).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await write(first.newInstance(), oid(1), 'fine')
})

test('the socket is for its owner only', async () => {
  const given = await start()
  expect(statSync((given.address as { path: string }).path).mode & 0o777).toBe(0o600)
})

test('a socket that a dead server left behind is taken over, one in use is not', async () => {
  const given = await start()
  await expect(listen(given.server, given.address)).rejects.toMatchObject({ code: 'address-in-use' })
  await serves(given)
})

test('beyond this machine, TLS and a token are demanded on both sides', async () => {
  const given = await start()
  for (const where of ['0.0.0.0:0', '192.0.2.1:99', 'tls:example.org:99', '[::]:0']) {
    const address = parseAddress(where)
    await expect(listen(given.server, address)).rejects.toMatchObject({ code: 'insecure-address' })
    const dialing = async () => dial(address, { token: '', caFile: '' })
    await expect(dialing()).rejects.toMatchObject({ code: 'insecure-address' })
  }
})

test('over TCP on this machine it works without', async () => {
  const given = await start({ listen: '127.0.0.1:0' })
  await serves(given)
})

test.each(['', 'unix:', 'localhost', 'host:99999', 'host:x', 'tls:'])('"%s" is no address', (where) => {
  expect(() => parseAddress(where)).toThrow(/is no address/)
})

test('a path that is too long for a socket is named', () => {
  expect(() => parseAddress(`unix:/${'x'.repeat(200)}`)).toThrow(/takes 201 bytes/)
})

test('the status counts what happened', async () => {
  const given = await start()
  await serves(given)
  const found = await requestStatus(formatAddress(given.address), { token: '', caFile: '' })
  expect(found).toMatchObject({ storage: 'memory', commits: 1, conflicts: 0, errors: 0 })
  // Who asks for the status is no client.
  expect(found).toMatchObject({ clients: 1, connections: 2 })
  expect(found.lastTid).toBe(given.storage.lastTid)
  expect(`${found.uptimeSeconds}`, 'no more than milliseconds').toMatch(/^\d+(\.\d{1,3})?$/)
})

test('the log says who came, who went and why, and who was turned away', async () => {
  const given = await start({ token: 'right' })
  await stranger(given, hello('wrong'))
  await stranger(given, bytes('GET / HTTP/1.1\r\n\r\n'))
  const client = await given.client()
  await write(client.newInstance(), oid(1), 'fine')
  await client.close()
  await eventually(() => given.logged.length === 4, 'all is logged')
  expect(
    given.logged.map(({ level, event, facts }) => [level, event, facts['cause'] ?? facts['code']]),
  ).toEqual([
    ['warn', 'refused', 'wrong-token'],
    ['warn', 'disconnected', expect.stringContaining('must be zero')],
    ['info', 'connected', undefined],
    ['info', 'disconnected', 'closed by the client'],
  ])
  expect(given.logged[3]!.facts['client']).toBe(given.logged[2]!.facts['client'])
  expect(given.server.status()).toMatchObject({ refused: 1, dropped: 1, connections: 0 })
})

test('a request that takes long is in the log, with its name and how long it took', async () => {
  let nowMs = 0
  const given = await start({ slowMs: 30, timers: { ...systemTimers, now: () => nowMs } })
  const client = await given.client()
  const [one, two, third] = [client.newInstance(), client.newInstance(), client.newInstance()]
  const vote = (instance: ClientInstance, id: number) => {
    const transaction = instance.begin()
    transaction.store(oid(id), 0 as never, bytes('held'))
    return transaction.vote()
  }
  await one.pollInvalidations()
  await two.pollInvalidations()
  const voted = await vote(one, 1)
  const voting = vote(two, 2)
  // The answer to what was sent behind the vote: that has arrived, and waits.
  await third.pollInvalidations()
  nowMs = 30
  await voted.finish()
  await (await voting).finish()
  const slow = given.logged.filter(({ event }) => event === 'slow')
  expect(slow.map(({ facts }) => [facts['request'], facts['ms']])).toEqual([['vote', 30]])
  expect(given.server.status().slow).toBe(1)
})
