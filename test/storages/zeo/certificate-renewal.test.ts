/** Certificates that are renewed while their server runs: who connects meets the new ones, who is connected stays. */

import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type PeerCertificate } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseOptions } from '../../../src/core/options.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import type { Storage } from '../../../src/storages/storage.ts'
import { formatAddress, parseAddress } from '../../../src/storages/zeo/address.ts'
import zeo from '../../../src/storages/zeo/index.ts'
import type { Listener } from '../../../src/storages/zeo/listener.ts'
import { ZeoServer } from '../../../src/storages/zeo/server.ts'
import type { LogEntry } from '../../../src/storages/zeo/server-log.ts'
import { systemTimers } from '../../../src/storages/zeo/timers.ts'
import { type Certificate, makeCertificate, sessionTicket } from './certificates.ts'
import { oid, read, write } from './harness.ts'
import { listen } from './listen.ts'

let folder: string
let ca: Certificate
let otherCa: Certificate
let ann: Certificate
/** The files that the server was started with. */
let files: { readonly certificate: string; readonly key: string; readonly clientCa: string }
let logged: LogEntry[]
let minute: (() => void) | undefined
let listener: Listener
let server: ZeoServer
const opened: Storage[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-tls-'))
  ca = makeCertificate(folder, { name: 'ca' })
  otherCa = makeCertificate(folder, { name: 'other-ca' })
  ann = makeCertificate(folder, { name: 'ann', by: ca })
  const { cert, key } = makeCertificate(folder, { name: 'server', by: ca, hosts: ['localhost'] })
  files = { certificate: cert, key, clientCa: join(folder, 'clients.pem') }
  copyFileSync(ca.cert, files.clientCa)
  logged = []
  minute = undefined
  await start()
})
afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
  const closed = listener.close()
  await server.close(50)
  await closed
  await server.settings.storage.close()
  rmSync(folder, { recursive: true })
})

async function start(): Promise<void> {
  server = new ZeoServer({
    storage: await openStorage(memory, { history: false }),
    capabilities: memory.capabilities({ history: false }),
    name: 'memory',
    log: (entry) => logged.push(entry),
    timers: {
      ...systemTimers,
      // A minute is over when the test says so.
      after(delayMs, call) {
        if (delayMs !== 60_000) return systemTimers.after(delayMs, call)
        minute = call
        return () => {
          minute = undefined
        }
      },
    },
  })
  listener = await listen(server, parseAddress('tls:localhost:0'), files)
}

async function open(by: Certificate, trusting = ca): Promise<Storage> {
  const { address } = listener
  if (address.kind !== 'tcp') throw new Error('not TCP')
  const options = parseOptions('zeo', zeo.options, {
    address: formatAddress({ ...address, host: 'localhost' }),
    caFile: trusting.cert,
    certFile: by.cert,
    keyFile: by.key,
    wait: '1s',
  })
  const storage = await openStorage(zeo, options)
  opened.push(storage)
  return storage
}

/** Makes the server's certificate anew. */
const renew = (by = ca, isExpired = false) =>
  makeCertificate(folder, { name: 'server', by, hosts: ['localhost'], isExpired })

/** The certificate that somebody who connects now is shown. */
async function shown(): Promise<PeerCertificate> {
  const { port } = listener.address as { port: number }
  const socket = connectTls({ host: 'localhost', port, servername: 'localhost', rejectUnauthorized: false })
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  const certificate = socket.getPeerCertificate()
  socket.destroy()
  return certificate
}

const told = () => logged.filter(({ event }) => event === 'certificate').map(({ facts }) => facts)

test('who connects after a renewal meets the new certificate, and who was connected goes on', async () => {
  const before = await open(ann)
  const instance = await before.newInstance()
  await write(instance, oid(1), 'before')
  renew(otherCa)
  listener.renewCertificates!()
  await expect(open(ann)).rejects.toMatchObject({ code: 'server-certificate-unknown' })
  const after = await (await open(ann, otherCa)).newInstance()
  expect(await read(after, oid(1))).toBe('before')
  await write(instance, oid(1), 'after')
  expect(await read(after, oid(1))).toBe('after')
  expect(told()).toEqual([{ file: files.certificate, renewed: true, validTo: expect.any(String) }])
})

test('whoever asks for a renewal is answered, also where there is nothing new', async () => {
  listener.renewCertificates!()
  expect(told()).toEqual([{ file: files.certificate, renewed: false, validTo: expect.any(String) }])
})

test('a renewal is noticed within a minute, though nobody says so', async () => {
  const { serialNumber } = await shown()
  minute!()
  expect((await shown()).serialNumber).toBe(serialNumber)
  expect(told()).toEqual([])
  renew()
  minute!()
  expect((await shown()).serialNumber).not.toBe(serialNumber)
  expect(told()).toMatchObject([{ renewed: true }])
})

test.each([
  [
    'is cut in the middle',
    () => writeFileSync(files.certificate, readFileSync(files.certificate).subarray(0, 300)),
  ],
  ['is something else', () => writeFileSync(files.certificate, 'not a certificate')],
  ['is gone', () => rmSync(files.certificate)],
  ['has the key of another', () => copyFileSync(ann.key, files.key)],
])('a certificate that %s changes nothing, and is logged; mended, it is used', async (_what, breakIt) => {
  const { serialNumber } = await shown()
  breakIt()
  listener.renewCertificates!()
  expect((await shown()).serialNumber).toBe(serialNumber)
  await open(ann)
  expect(told()).toMatchObject([
    { code: 'tls-files', reason: expect.stringContaining('What was read before stays in use') },
  ])
  renew()
  minute!()
  expect((await shown()).serialNumber).not.toBe(serialNumber)
})

test('what is wrong between the replacement of two files is not complained about, and what lasts is, once', async () => {
  copyFileSync(ann.key, files.key)
  minute!()
  expect(told()).toEqual([])
  renew()
  minute!()
  expect(told()).toMatchObject([{ renewed: true }])
  copyFileSync(ann.key, files.key)
  for (let minutes = 0; minutes < 5; minutes++) minute!()
  expect(told()).toMatchObject([{ renewed: true }, { code: 'tls-files' }])
})

test('a certificate that has expired is used, and said to be of no use, once', async () => {
  renew(ca, true)
  minute!()
  minute!()
  expect(told()).toMatchObject([{ renewed: true }, { code: 'server-certificate-expired' }])
})

test('whom new authorities have not signed stays out, and who is connected goes on', async () => {
  const eve = makeCertificate(folder, { name: 'eve', by: otherCa })
  const instance = await (await open(ann)).newInstance()
  await expect(open(eve)).rejects.toMatchObject({ code: 'client-certificate-unknown' })
  copyFileSync(otherCa.cert, files.clientCa)
  listener.renewCertificates!()
  await open(eve)
  await expect(open(ann)).rejects.toMatchObject({ code: 'client-certificate-unknown' })
  await write(instance, oid(1), 'still here')
  expect(await read(instance, oid(1))).toBe('still here')
})

test('a session from before a renewal is not resumed with an authority that is gone', async () => {
  const { port } = listener.address as { port: number }
  const options = {
    host: 'localhost',
    port,
    servername: 'localhost',
    ca: readFileSync(ca.cert),
    cert: readFileSync(ann.cert),
    key: readFileSync(ann.key),
  }
  const session = await sessionTicket(options)
  const resumed = async () => {
    const socket = connectTls({ ...options, session })
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    const isReused = socket.isSessionReused()
    socket.destroy()
    return isReused
  }
  expect(await resumed()).toBe(true)
  copyFileSync(otherCa.cert, files.clientCa)
  listener.renewCertificates!()
  expect(await resumed()).toBe(false)
})

test.each([
  ['empty', () => writeFileSync(files.clientCa, '')],
  ['cut in the middle', () => appendFileSync(files.clientCa, readFileSync(otherCa.cert).subarray(0, 300))],
  ['a key', () => copyFileSync(ca.key, files.clientCa)],
])(
  'authorities that are %s change nothing: nobody is locked out, and it is logged',
  async (_what, breakIt) => {
    breakIt()
    listener.renewCertificates!()
    expect(told()).toMatchObject([{ code: 'tls-files' }])
    await open(ann)
  },
)

test('several authorities, with words between them, are all trusted', async () => {
  appendFileSync(files.clientCa, `the other one\n${readFileSync(otherCa.cert)}`)
  listener.renewCertificates!()
  await open(ann)
  await open(makeCertificate(folder, { name: 'eve', by: otherCa }))
})

test('after the server has closed, nobody looks at the files any more', async () => {
  await listener.close()
  expect(minute).toBe(undefined)
})
