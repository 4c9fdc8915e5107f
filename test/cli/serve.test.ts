/** `shootout serve` and `shootout status`, in this process: over unix sockets, TCP and TLS, with and without a token. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ServeFlags, serve } from '../../src/cli/serve.ts'
import { prometheus, status } from '../../src/cli/status.ts'
import { noTid, type Oid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import { formatAddress } from '../../src/storages/zeo/address.ts'
import zeo from '../../src/storages/zeo/index.ts'
import { protocolVersion } from '../../src/storages/zeo/protocol.ts'
import type { ServedStore } from '../../src/storages/zeo/serve-store.ts'
import { jsonLines } from '../../src/storages/zeo/server-log.ts'

const pem = (name: string) => fileURLToPath(new URL(`../storages/zeo/tls/${name}.pem`, import.meta.url))
const tls = { tlsCert: pem('certificate'), tlsKey: pem('key') }

let folder: string
let serving: ServedStore[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  serving = []
  writeFileSync(join(folder, 'token'), 'sesame\n')
})

afterEach(async () => {
  for (const one of serving) await one.close()
  rmSync(folder, { recursive: true })
})

async function start(storage: string, flags: Partial<ServeFlags> = {}): Promise<string> {
  const served = await serve(storage, { listen: `unix:${join(folder, 's')}`, ...flags }, () => {})
  serving.push(served)
  return formatAddress(served.listener.address)
}

const open = (given: Record<string, unknown>) => openStorage(zeo, parseOptions('zeo', zeo.options, given))

/** Commits through one client, sees it through another. */
async function isUsable(given: Record<string, unknown>): Promise<void> {
  const [one, two] = [await open(given), await open(given)]
  const instance = await one.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.store(1 as Oid, noTid, new Uint8Array([1, 2, 3]))
  const tid = await (await transaction.vote()).finish()
  const other = await two.newInstance()
  await other.pollInvalidations()
  expect(await other.load(1 as Oid)).toEqual({ serial: tid, data: new Uint8Array([1, 2, 3]) })
  await one.close()
  await two.close()
}

test.each(['unix', '127.0.0.1:0', '[::1]:0'])(
  'a log is served at %s, and is there again after a restart',
  async (where) => {
    const listen = where === 'unix' ? `unix:${join(folder, 's')}` : where
    const address = await start(`file:${join(folder, 'data.log')}`, { listen })
    await isUsable({ address })
    await serving.pop()!.close()
    const again = await start(`file:${join(folder, 'data.log')}`, { listen })
    const storage = await open({ address: again })
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    expect((await instance.load(1 as Oid)).data).toEqual(new Uint8Array([1, 2, 3]))
    await storage.close()
  },
)

test('the status is JSON, or what Prometheus reads', async () => {
  const address = await start('memory')
  await isUsable({ address })
  expect(JSON.parse(await status(address, { format: 'json' }))).toMatchObject({
    storage: 'memory',
    commits: 1,
  })
  const lines = (await status(address, { format: 'prometheus' })).split('\n')
  expect(lines).toContain('shootout_commits_total{storage="memory",durability="memory"} 1')
  expect(lines).toContain('# TYPE shootout_commits_total counter')
})

test('a storage with an odd name stays one label', async () => {
  const found = JSON.parse(await status(await start('memory'), { format: 'json' }))
  const lines = prometheus({ ...found, storage: 'a "b"\\\nc' }).split('\n')
  expect(lines).toContain('shootout_voted{storage="a \\"b\\"\\\\\\nc",durability="memory"} 0')
})

test('the status tells what the server process cost', async () => {
  const address = await start('memory')
  await isUsable({ address })
  const found = JSON.parse(await status(address, { format: 'json' }))
  expect(found).toMatchObject({ pid: process.pid, protocolVersion, refused: 0 })
  expect(found.cpuUserSeconds).toBeGreaterThan(0)
  expect(found.cpuUserSeconds).toBeLessThanOrEqual(process.cpuUsage().user / 1e6)
  expect(found.bytesRead).toBeGreaterThan(100)
  const metrics = await status(address, { format: 'prometheus' })
  expect(metrics).toMatch(/^shootout_cpu_system_seconds_total\{.*\} \d/m)
  expect(metrics).not.toContain('undefined')
})

test('the log is JSON lines, from the level that was asked for', () => {
  const text = new PassThrough({ encoding: 'utf8' })
  const log = jsonLines(text, 'warn')
  log({ level: 'info', event: 'connected', facts: { peer: 'a' } })
  log({
    level: 'warn',
    event: 'refused',
    facts: { peer: 'b', code: 'wrong-token', reason: 'with "quotes"\n' },
  })
  const lines = (text.read() as string).trimEnd().split('\n')
  expect(lines).toHaveLength(1)
  const entry = JSON.parse(lines[0]!)
  expect(entry).toMatchObject({ level: 'warn', event: 'refused', peer: 'b', reason: 'with "quotes"\n' })
  expect(Date.parse(entry.time)).toBeGreaterThan(0)
})

test('nobody at the address is said so', async () => {
  await expect(status(`unix:${join(folder, 'none')}`, { format: 'json' })).rejects.toMatchObject({
    code: 'disconnected',
  })
})

test('over TLS it works with the right certificate and token, and not otherwise', async () => {
  const tokenFile = join(folder, 'token')
  const address = (await start('memory', { listen: 'tls:localhost:0', tokenFile, ...tls })).replace(
    '127.0.0.1',
    'localhost',
  )
  await isUsable({ address, token: 'sesame', caFile: tls.tlsCert })
  await expect(open({ address, token: 'wrong', caFile: tls.tlsCert })).rejects.toMatchObject({
    code: 'wrong-token',
  })
  await expect(open({ address, token: 'sesame' })).rejects.toThrow(/self-signed/)
  await expect(
    open({ address: address.slice('tls:'.length), token: 'sesame', wait: 100 }),
  ).rejects.toMatchObject({
    code: 'disconnected',
  })
  expect(await status(address, { format: 'json', tokenFile, caFile: tls.tlsCert })).toContain('"memory"')
})

test('who connects to TLS and says nothing harms nobody', async () => {
  const tokenFile = join(folder, 'token')
  const address = await start('memory', { listen: 'tls:localhost:0', tokenFile, ...tls })
  const socket = connect({ host: 'localhost', port: Number(address.split(':').at(-1)) })
  socket.on('error', () => {})
  await isUsable({ address, token: 'sesame', caFile: tls.tlsCert })
  socket.destroy()
})

test('a read-only server refuses writing', async () => {
  const address = await start(`file:${join(folder, 'data.log')}`)
  await isUsable({ address })
  await serving.pop()!.close()
  const again = await start(`file:${join(folder, 'data.log')}`, { readOnly: true })
  await expect(isUsable({ address: again })).rejects.toMatchObject({ code: 'read-only' })
})

test.each([
  ['file', {}, 'missing-option'],
  ['fiel:x', {}, 'unknown-storage'],
  ['memory?colour=red', {}, 'bad-options'],
  ['memory', { listen: '0.0.0.0:0' }, 'insecure-address'],
  ['memory', { listen: 'tls:localhost:0' }, 'tls-files'],
  ['memory', { listen: 'tls:localhost:0', tlsCert: 'x' }, 'tls-files'],
  ['memory', { listen: 'nowhere' }, 'bad-address'],
  ['memory', { tokenFile: '/nonexistent' }, 'token-file'],
] as const)('"%s" with %o is refused: %s', async (storage, flags, code) => {
  await expect(start(storage, flags)).rejects.toMatchObject({ code })
})

test.each([
  ['a port', () => ({ listen: '127.0.0.1:0' })],
  ['a socket', () => ({ listen: `unix:${join(folder, 's')}` })],
] as const)('a server that finds %s in use has made no store', async (_, flags) => {
  const listen = await start('memory', flags())
  await expect(start(`file:${join(folder, 'new', 'data.log')}`, { listen })).rejects.toMatchObject({
    code: 'address-in-use',
  })
  expect(existsSync(join(folder, 'new'))).toBe(false)
  await isUsable({ address: listen })
})

test('a server that cannot read its certificates has made no store', async () => {
  const flags = { listen: 'tls:localhost:0', tlsCert: '/nonexistent', tlsKey: '/nonexistent' }
  await expect(start(`file:${join(folder, 'data.log')}`, flags)).rejects.toMatchObject({ code: 'tls-files' })
  expect(existsSync(join(folder, 'data.log'))).toBe(false)
})

test('a store that cannot be opened gives the address back, and leaves no socket', async () => {
  writeFileSync(join(folder, 'foreign.log'), 'something else\n'.repeat(100))
  await expect(start(`file:${join(folder, 'foreign.log')}`)).rejects.toMatchObject({ code: 'not-a-log' })
  expect(existsSync(join(folder, 's'))).toBe(false)
  await isUsable({ address: await start('memory') })
})

test.each([
  [{ tokenFile: '/nonexistent' }, /\(ENOENT.*\); check the path and the rights of the file$/],
  [{ listen: '0.0.0.0:1' }, /demands TLS .* and a token .*; give that, or stay on this machine with /],
  [
    { listen: 'unix:/nonexistent/s' },
    /cannot listen at .* \(.*\); check the address, or listen somewhere else$/,
  ],
  [
    { listen: 'tls:localhost:0', tlsCert: '/nonexistent', tlsKey: '/nonexistent' },
    /\(ENOENT.*\); check the path and the rights of the file$/,
  ],
] as const)('what is wrong with %o comes with the reason and the next step', async (flags, message) => {
  await expect(start('memory', flags)).rejects.toThrow(message)
})
