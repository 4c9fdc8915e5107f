/** TLS with certificates on both sides: who is let in, and what each side hears of who is not. */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ServeFlags, serve } from '../../../src/cli/serve.ts'
import { status } from '../../../src/cli/status.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { storageUrl } from '../../../src/storages/registry.ts'
import { formatAddress, parseAddress } from '../../../src/storages/zeo/address.ts'
import { BodyWriter } from '../../../src/storages/zeo/body.ts'
import { dial } from '../../../src/storages/zeo/dial.ts'
import { writeHello } from '../../../src/storages/zeo/handshake.ts'
import zeo from '../../../src/storages/zeo/index.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { types } from '../../../src/storages/zeo/protocol.ts'
import { type ServedStore, serveStore } from '../../../src/storages/zeo/serve-store.ts'
import type { LogEntry } from '../../../src/storages/zeo/server-log.ts'
import { type Certificate, makeCertificate, sessionTicket } from './certificates.ts'
import { eventually, oid, read, write } from './harness.ts'
import { RecordingWire } from './test-wire.ts'

let folder: string
let ca: Certificate
let otherCa: Certificate
let server: Certificate
let ann: Certificate
let served: ServedStore | undefined
let logged: LogEntry[]

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-tls-'))
  ca = makeCertificate(folder, { name: 'ca' })
  otherCa = makeCertificate(folder, { name: 'other-ca' })
  server = makeCertificate(folder, { name: 'server', by: ca, hosts: ['localhost'] })
  ann = makeCertificate(folder, { name: 'ann', by: ca })
})
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(() => {
  logged = []
})
afterEach(async () => {
  await served?.close()
  served = undefined
})

/** Returns its address, by the name that its certificate is for. */
async function start(flags: Partial<ServeFlags> = {}): Promise<string> {
  served = await serve(
    'memory',
    { listen: 'tls:localhost:0', tlsCert: server.cert, tlsKey: server.key, tlsClientCa: ca.cert, ...flags },
    (entry) => logged.push(entry),
  )
  const { address } = served.listener
  return formatAddress(address.kind === 'tcp' ? { ...address, host: 'localhost' } : address)
}

const by = ({ cert, key }: Certificate) => ({ certFile: cert, keyFile: key })

const open = (address: string, given: Record<string, unknown>) =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address, caFile: ca.cert, wait: '1s', ...given }))

async function isUsable(address: string, given: Record<string, unknown>): Promise<void> {
  const storage = await open(address, given)
  try {
    const instance = await storage.newInstance()
    await write(instance, oid(1), 'fine')
    expect(await read(instance, oid(1))).toBe('fine')
  } finally {
    await storage.close()
  }
}

const refusals = () => logged.filter(({ event }) => event === 'refused').map(({ facts }) => facts['code'])

/** The client hears `code`, and so does whoever reads the log, of that or what it looks like from there. */
async function isRefused(
  address: string,
  given: Record<string, unknown>,
  code: string,
  loggedCode: string,
): Promise<void> {
  const opening = open(address, given)
  await expect(opening).rejects.toMatchObject({ code, transient: false })
  await eventually(() => refusals().length > 0, 'it is logged')
  expect(refusals()).toEqual([loggedCode])
  expect(logged.every(({ event }) => event !== 'connected')).toBe(true)
}

test('a certificate lets a client in, without a token', async () => {
  const address = await start()
  await isUsable(address, by(ann))
  expect(JSON.parse(await status(address, { format: 'json', caFile: ca.cert, ...by(ann) }))).toMatchObject({
    storage: 'memory',
  })
})

test('beyond this machine, client certificates do instead of a token, on both sides', async () => {
  await start({ listen: 'tls:0.0.0.0:0' })
  await served!.close()
  await expect(
    start({ listen: 'tls:0.0.0.0:0', ...{ tlsClientCa: undefined } } as never),
  ).rejects.toMatchObject({
    code: 'insecure-address',
  })
  const nobody = parseAddress('tls:192.0.2.1:1')
  const dialing = async () => dial(nobody, { token: '', caFile: '' })
  await expect(dialing()).rejects.toMatchObject({ code: 'insecure-address' })
})

test('where the server also wants a token, the certificate alone does not do', async () => {
  const address = await start({ tokenFile: server.cert })
  await isRefused(address, by(ann), 'wrong-token', 'wrong-token')
  await isUsable(address, { ...by(ann), token: '-----BEGIN CERTIFICATE-----' })
})

test('a client without a certificate is turned away, also with its token and for the status', async () => {
  const address = await start()
  await isRefused(address, { token: 'x' }, 'client-certificate-missing', 'client-certificate-missing')
  const asking = status(address, { format: 'json', caFile: ca.cert })
  await expect(asking).rejects.toMatchObject({ code: 'client-certificate-missing' })
})

test('who resumes a session that had no certificate is turned away too', async () => {
  const address = await start()
  const { host, port } = parseAddress(address) as { host: string; port: number }
  const options = { host, port, servername: host, ca: readFileSync(ca.cert) }
  const body = writeHello(new BodyWriter(), {
    flags: 0,
    session: new Uint8Array(16),
    token: new Uint8Array(0),
  })
  const recording = new RecordingWire()
  const outbox = new Outbox(recording)
  outbox.send(types.hello, 0, 0, body, undefined, 0)
  outbox.flush()
  const frame = recording.bytes
  const session = await sessionTicket(options)
  let isReused = false
  const second = connectTls({ ...options, session }, () => {
    isReused = second.isSessionReused()
    second.write(frame)
  })
  second.on('error', () => {})
  const heard: Buffer[] = []
  second.on('data', (chunk) => heard.push(chunk))
  await new Promise((resolve) => second.on('close', resolve))
  expect(isReused).toBe(true)
  expect(Buffer.concat(heard).toString('latin1')).toContain('client-certificate-missing')
  expect(logged.every(({ event }) => event !== 'connected')).toBe(true)
})

test('a client whose certificate somebody else has signed is turned away', async () => {
  const address = await start()
  const eve = makeCertificate(folder, { name: 'eve', by: otherCa })
  await isRefused(address, by(eve), 'client-certificate-unknown', 'client-certificate-unknown')
})

test('a client that has signed its certificate itself is turned away', async () => {
  const address = await start()
  const eve = makeCertificate(folder, { name: 'self' })
  await isRefused(address, by(eve), 'client-certificate-unknown', 'client-certificate-unknown')
})

test('a client whose certificate has expired is turned away, and told when that was', async () => {
  const address = await start()
  const old = makeCertificate(folder, { name: 'old', by: ca, isExpired: true })
  await isRefused(address, by(old), 'client-certificate-expired', 'client-certificate-expired')
  await expect(open(address, by(old))).rejects.toThrow(/expired on .*GMT; renew it/)
})

test('a server whose certificate has expired says so when it starts, and its clients say so too', async () => {
  const old = makeCertificate(folder, { name: 'old-server', by: ca, hosts: ['localhost'], isExpired: true })
  const address = await start({ tlsCert: old.cert, tlsKey: old.key })
  expect(logged[0]).toMatchObject({
    level: 'error',
    event: 'certificate',
    facts: { code: 'server-certificate-expired' },
  })
  await isRefused(address, by(ann), 'server-certificate-expired', 'tls-left')
})

test('a client that trusts somebody else says so; the server sees it leave', async () => {
  const address = await start()
  await isRefused(address, { ...by(ann), caFile: otherCa.cert }, 'server-certificate-unknown', 'tls-left')
})

test('a server that is reached by another name than its certificate is for is not accepted', async () => {
  const address = (await start()).replace('localhost', '127.0.0.1')
  await isRefused(address, by(ann), 'server-certificate-name', 'tls-left')
})

test('a client that does not speak TLS is turned away, and the log says why', async () => {
  const address = (await start()).slice('tls:'.length)
  await expect(open(address, { wait: '100ms' })).rejects.toMatchObject({ code: 'disconnected' })
  await eventually(() => refusals().length > 0, 'it is logged')
  expect(refusals()[0]).toBe('no-tls')
})

test('a client that breaks off the handshake because of the certificate is said to', async () => {
  const socket = connect(parseAddress(await start()) as { host: string; port: number })
  // A real greeting; then, to what the server answers, what OpenSSL says to a certificate that it does not like: a
  // record (21: alert, of TLS 1.2) with a fatal "unknown CA".
  const [toServer, fromClient] = duplexPair()
  connectTls({ socket: fromClient, maxVersion: 'TLSv1.2' }).on('error', () => {})
  toServer.once('data', (greeting: Buffer) => socket.write(greeting))
  socket.once('data', () => socket.end(new Uint8Array([21, 3, 3, 0, 2, 2, 48])))
  await eventually(() => refusals().length > 0, 'it is logged')
  expect(refusals()).toEqual(['server-certificate-refused'])
})

test('who connects to TLS and says nothing is dropped, and the log says why', async () => {
  served = await serveStore(
    {
      moduleUrl: storageUrl('memory'),
      options: {},
      address: parseAddress('tls:localhost:0'),
      token: '',
      tls: { certificate: server.cert, key: server.key, clientCa: ca.cert },
      limits: { greetingMs: 50 },
    },
    (entry) => logged.push(entry),
  )
  await once(connect(served.listener.address as { host: string; port: number }), 'close')
  expect(refusals()).toEqual(['tls-timeout'])
})

test('a server that never answers in TLS is given up, and the reason names TLS', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  const dialing = dial(parseAddress(`tls:127.0.0.1:${port}`), { token: '', caFile: ca.cert, tlsMs: 50 })
  await expect(dialing).rejects.toMatchObject({
    code: 'disconnected',
    message: expect.stringContaining('TLS handshake'),
  })
  silent.close()
})

test('after its certificate was renewed, a client comes in', async () => {
  const address = await start()
  const old = makeCertificate(folder, { name: 'renewed', by: ca, isExpired: true })
  await expect(open(address, by(old))).rejects.toMatchObject({ code: 'client-certificate-expired' })
  makeCertificate(folder, { name: 'renewed', by: ca })
  await isUsable(address, by(old))
})

test.each([
  ['a certificate that is not there', { tlsCert: '/nonexistent' }],
  ['a key that is not there', { tlsKey: '/nonexistent' }],
  ['a CA that is not there', { tlsClientCa: '/nonexistent' }],
  ['a CA without the rest', { tlsCert: undefined, tlsKey: undefined }],
  ['an address without TLS', { listen: '127.0.0.1:0' }],
])('a server is not started with %s', async (_what, flags) => {
  await expect(start(flags as Partial<ServeFlags>)).rejects.toMatchObject({ code: 'tls-files' })
})

test('a key of another certificate is refused on both sides', async () => {
  await expect(start({ tlsKey: ann.key })).rejects.toMatchObject({ code: 'tls-files' })
  const address = await start()
  const mixed = { certFile: ann.cert, keyFile: server.key }
  await expect(open(address, mixed)).rejects.toMatchObject({ code: 'tls-files' })
  await expect(open(address, { certFile: ann.cert })).rejects.toMatchObject({ code: 'bad-options' })
})
