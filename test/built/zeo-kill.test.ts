/** Servers and clients that are killed, as processes of their own: kill -9 in every phase of commits. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isTransient, ShootoutError } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { StorageInstance } from '../../src/storages/storage.ts'
import { parseAddress } from '../../src/storages/zeo/address.ts'
import zeo from '../../src/storages/zeo/index.ts'

const built = new URL(process.env['SHOOTOUT_BUILT'] ?? '../../dist/', import.meta.url)
const entry = fileURLToPath(new URL('storages/zeo/server-entry.js', built))
const [left, right] = [1 as Oid, 2 as Oid]
const encode = (value: number) => new TextEncoder().encode(`${value}`)
const decode = (data: Uint8Array) => Number(new TextDecoder().decode(data))

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

/** A server over the log in our folder. */
async function startServer(): Promise<ChildProcess> {
  const child = fork(entry, [], { serialization: 'advanced' })
  children.push(child)
  const request = {
    moduleUrl: new URL('storages/file/index.js', built).href,
    options: { path: join(folder, 'data.log'), durability: 'os' },
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

function open() {
  return openStorage(
    zeo,
    parseOptions('zeo', zeo.options, { address: `unix:${join(folder, 's')}`, wait: '20s' }),
  )
}

async function readBoth(instance: StorageInstance): Promise<{ value: number; serial: Tid }> {
  const [a, b] = await instance.loadMany([left, right])
  const values = [a, b].map((one) => (one === undefined ? 0 : decode(one.data)))
  expect(values[0], 'half of a transaction').toBe(values[1])
  return { value: values[0]!, serial: a?.serial ?? noTid }
}

/** Adds one to both objects, once. */
async function addOne(instance: StorageInstance, atOnce: boolean): Promise<void> {
  await instance.pollInvalidations()
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

test('whatever moment the server is killed at, what was reported is there, and nothing twice', async () => {
  const random = new Random('kill the server')
  let server = await startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  let certain = 0
  let unknown = 0
  for (let round = 0; round < 12; round++) {
    const victim = server
    const killed = new Promise((resolve) => setTimeout(resolve, random.integer(25))).then(() => kill(victim))
    let isDown = false
    const restarted = killed.then(async () => {
      server = await startServer()
      isDown = true
    })
    while (!isDown) {
      try {
        await addOne(instance, random.integer(2) === 0)
        certain++
      } catch (error) {
        if (error instanceof ShootoutError && error.code === 'commit-outcome-unknown') unknown++
        else if (!isTransient(error)) throw error
      }
    }
    await restarted
  }
  await instance.pollInvalidations()
  const { value } = await readBoth(instance)
  expect(value).toBeGreaterThanOrEqual(certain)
  expect(value).toBeLessThanOrEqual(certain + unknown)
  await storage.close()
})

test('a client that is killed holds nobody up and leaves nothing half done', async () => {
  await startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  await addOne(instance, true)
  const script = fileURLToPath(new URL('./fixtures/zeo-client.js', import.meta.url))
  const random = new Random('kill the client')
  for (let round = 0; round < 8; round++) {
    const client = fork(script, [built.href, `unix:${join(folder, 's')}`], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(client)
    await once(client, 'message')
    await new Promise((resolve) => setTimeout(resolve, random.integer(20)))
    await kill(client)
    for (let left = 20; ; left--) {
      try {
        await addOne(instance, true)
        break
      } catch (error) {
        if (!isTransient(error) || left === 0) throw error
      }
    }
  }
  await instance.pollInvalidations()
  expect((await readBoth(instance)).value).toBeGreaterThan(8)
  await storage.close()
})

test('a server ends with its parent, and removes what it made', async () => {
  const server = await startServer()
  const exited = once(server, 'exit')
  server.disconnect()
  expect(await exited).toEqual([0, null])
})
