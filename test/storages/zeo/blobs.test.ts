/** Blobs through the server: bounded on both sides, and gone with their connection. */

import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noTid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import fileModule from '../../../src/storages/file/index.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { BodyReader } from '../../../src/storages/zeo/body.ts'
import type { ClientInstance } from '../../../src/storages/zeo/client-instance.ts'
import { readError } from '../../../src/storages/zeo/error-codec.ts'
import { blobWindowBytes, types } from '../../../src/storages/zeo/protocol.ts'
import { Arriving } from '../../../src/storages/zeo/served-blobs.ts'
import { bytes, eventually, type Given, oid, read, Served, write } from './harness.ts'
import { RawClient } from './raw-client.ts'

let folder: string
let served: Served
let isRunning = false

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
})

afterEach(async () => {
  if (isRunning) await served.stop()
  isRunning = false
  rmSync(folder, { recursive: true })
})

async function start(limits: Given['limits'] = {}): Promise<void> {
  const options = parseOptions('file', fileModule.options, { path: join(folder, 'log'), durability: 'os' })
  const capabilities = fileModule.capabilities(options)
  served = await Served.start({ storage: await openStorage(fileModule, options), capabilities, limits })
  isRunning = true
}

async function* chunks(count: number, onChunk: (index: number) => void = () => {}) {
  for (let index = 0; index < count; index++) {
    onChunk(index)
    yield new Uint8Array(100_000).fill(index)
  }
}

async function storeBlob(instance: ClientInstance, source: AsyncIterable<Uint8Array>): Promise<void> {
  await instance.pollInvalidations()
  const transaction = instance.begin()
  try {
    await transaction.storeBlob!(oid(1), noTid, bytes('data'), source)
    await transaction.commit()
  } catch (error) {
    transaction.abort()
    throw error
  }
}

const filesIn = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true, recursive: true }).flatMap((entry) =>
    // A marker of the file storage, which is looked at when it is opened.
    entry.isFile() && entry.name !== 'unswept' ? [entry.name] : [],
  )

test('a blob whose connection is lost on the way leaves nothing behind', async () => {
  await start()
  const instance = (await served.client()).newInstance()
  await instance.pollInvalidations()
  const before = filesIn(folder)
  const losing = chunks(100, (index) => index === 50 && served.cut())
  await expect(storeBlob(instance, losing)).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await eventually(() => filesIn(folder).length === before.length, 'what had arrived is removed')
  expect(await read(instance, oid(1))).toBe(undefined)
  await storeBlob(instance, chunks(3))
  await instance.pollInvalidations()
  expect((await instance.openBlob!(oid(1)))?.bytes).toBe(300_000)
})

test('a client may have so many blobs open, and gets them back when it closes some or comes again', async () => {
  await start({ blobReadersMax: 2 })
  const instance = (await served.client()).newInstance()
  await storeBlob(instance, chunks(3))
  await instance.pollInvalidations()
  const open = async () => (await instance.openBlob!(oid(1)))!
  const [one] = [await open(), await open()]
  await expect(open()).rejects.toMatchObject({ code: 'limit' })
  await one.close()
  const again = await open()
  expect(served.server.status().blobsOpen).toBe(2)
  served.cut()
  await eventually(() => served.server.status().blobsOpen === 0, 'they are closed with their connection')
  await expect(Promise.resolve(again.read(0, 10))).rejects.toMatchObject({ code: 'disconnected' })
  await instance.pollInvalidations()
  expect((await (await open()).read(100_000, 2))[0]).toBe(1)
})

test('while a blob waits for its source, others commit and read', async () => {
  await start()
  const [slow, quick] = [(await served.client()).newInstance(), (await served.client()).newInstance()]
  let release!: () => void
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  async function* waiting() {
    yield new Uint8Array(3_000_000)
    await held
    yield new Uint8Array(10)
  }
  const storing = storeBlob(slow, waiting())
  await write(quick, oid(2), 'quick')
  expect(await read(quick, oid(2))).toBe('quick')
  release()
  await storing
  await quick.pollInvalidations()
  expect((await quick.openBlob!(oid(1)))?.bytes).toBe(3_000_010)
})

test('more than the credit allows is not taken', () => {
  const arriving = new Arriving(() => {})
  arriving.push(new Uint8Array(blobWindowBytes))
  expect(() => arriving.push(new Uint8Array(1))).toThrow(/credit/)
})

test('of a blob whose source fails on the way, the server keeps nothing, and says so', async () => {
  await start()
  const before = filesIn(folder)
  const raw = new RawClient(served.server)
  raw.say(types.poll, 1, 1)
  raw.say(types.begin, 0, 1, raw.fields.id(oid(1)).text('').text('').bytes(new Uint8Array(0)).take())
  raw.say(types.storeBlob, 2, 1, raw.fields.id(oid(1)).id(noTid).raw(bytes('data')).take())
  raw.say(types.blobChunk, 0, 1, raw.fields.u32(2).raw(new Uint8Array(1000)).take())
  raw.say(types.blobFailed, 0, 1, raw.fields.u32(2).take())
  const { type, body } = await raw.answer(2)
  expect(type).toBe(types.failed)
  expect(readError(new BodyReader(body)).code).toBe('blob-source')
  await eventually(() => filesIn(folder).length === before.length, 'what had arrived is removed')
})

test('a damaged blob, read from the server and stored again, is refused for its damage', async () => {
  await start()
  const instance = (await served.client()).newInstance()
  await storeBlob(instance, chunks(30))
  const [path] = readdirSync(join(folder, 'log.blobs')).filter((name) => name.startsWith('1-'))
  const file = openSync(join(folder, 'log.blobs', path!), 'r+')
  writeSync(file, 'damage', 2_000_000)
  closeSync(file)
  const before = filesIn(folder)
  await instance.pollInvalidations()
  const reader = (await instance.openBlob!(oid(1)))!
  async function* pieces() {
    for (let from = 0; from < reader.bytes; from += 500_000) yield await reader.read(from, 500_000)
  }
  const transaction = instance.begin()
  await expect(transaction.storeBlob!(oid(2), noTid, bytes('data'), pieces())).rejects.toMatchObject({
    code: 'corrupt-data',
  })
  transaction.abort()
  await eventually(() => filesIn(folder).length === before.length, 'what had arrived is removed')
  expect(await read(instance, oid(2))).toBe(undefined)
})
