/** Losing the connection, and what a client makes of the server it finds afterwards. */

import { afterEach, expect, test } from 'vitest'
import { noTid } from '../../../src/core/ids.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { bytes, eventually, oid, read, Served, write } from './harness.ts'

let served: Served
afterEach(() => served.stop())

test('what is under way when the connection is lost fails as transient, and the next transaction works', async () => {
  served = await Served.start()
  const instance = (await served.client()).newInstance()
  await write(instance, oid(1), 'a')
  await instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.store(oid(2), noTid, bytes('lost'))
  const loading = instance.load(oid(1))
  served.cut()
  await expect(loading).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await expect(transaction.vote()).rejects.toMatchObject({ code: 'disconnected', transient: true })
  transaction.abort()
  expect(await instance.pollInvalidations()).toBe('all')
  expect(await read(instance, oid(1))).toBe('a')
  expect(await read(instance, oid(2))).toBe(undefined)
  await write(instance, oid(2), 'repeated')
  expect(await read(instance, oid(2))).toBe('repeated')
})

test('a vote whose connection is lost holds nobody up', async () => {
  served = await Served.start()
  const [one, two] = [(await served.client()).newInstance(), (await served.client()).newInstance()]
  await one.pollInvalidations()
  const transaction = one.begin()
  transaction.store(oid(1), noTid, bytes('held'))
  const voted = await transaction.vote()
  served.cut()
  await write(two, oid(1), 'free')
  await expect(Promise.resolve(voted.finish())).rejects.toMatchObject({ code: 'disconnected' })
  expect(await read(one, oid(1))).toBe('free')
})

test('abort, afterCompletion and release while disconnected are no errors', async () => {
  served = await Served.start()
  const client = await served.client()
  const instance = client.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await served.stopServer()
  const { dials } = served
  // Nothing can be asked any more: the next one tries to connect, in vain.
  const polling = Promise.resolve(client.newInstance().pollInvalidations())
  await eventually(() => served.dials > dials, 'it is disconnected')
  transaction.abort()
  instance.afterCompletion()
  await instance.release()
  await served.listen()
  await polling
  expect(await read(client.newInstance(), oid(1))).toBe(undefined)
})

test('a call waits for the server to come back, and then works', async () => {
  served = await Served.start()
  const instance = (await served.client()).newInstance()
  await write(instance, oid(1), 'a')
  await served.stopServer()
  const { dials } = served
  const reading = read(instance, oid(1))
  await eventually(() => served.dials > dials, 'it tries in vain')
  await served.listen()
  expect(await reading).toBe('a')
})

test('a call that has waited long enough fails as transient', async () => {
  served = await Served.start()
  const instance = (await served.client({ waitMs: 40 })).newInstance()
  await instance.pollInvalidations()
  await served.stopServer()
  const polling = eventually(async () => {
    await instance.pollInvalidations()
    return false
  }, 'unreachable')
  await expect(polling).rejects.toMatchObject({ code: 'disconnected', transient: true })
  await served.listen()
})

test('a server that serves an older database is refused, whatever is tried', async () => {
  served = await Served.start()
  const client = await served.client()
  const instance = client.newInstance()
  await write(instance, oid(1), 'a')
  await served.stopServer()
  const original = served.storage
  served.storage = await openStorage(memory, { history: false })
  await served.listen()
  await expect(Promise.resolve(instance.pollInvalidations())).rejects.toMatchObject({
    code: 'server-changed',
  })
  await expect(Promise.resolve(instance.pollInvalidations())).rejects.toMatchObject({
    code: 'server-changed',
  })
  await original.close()
})

test('a commit whose server died unheard is reported as unknown, and not as transient', async () => {
  served = await Served.start()
  const instance = (await served.client()).newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.store(oid(1), noTid, bytes('?'))
  const voted = await transaction.vote()
  const finishing = voted.finish()
  served.cut()
  await served.stopServer()
  await served.listen()
  await expect(Promise.resolve(finishing)).rejects.toMatchObject({
    code: 'commit-outcome-unknown',
    transient: false,
  })
})

test('the server ends though clients are connected', async () => {
  served = await Served.start()
  const client = await served.client()
  await client.newInstance().pollInvalidations()
  const closed = served.server.close(500)
  await expect(closed).resolves.toBe(undefined)
  await served.stopServer()
  await served.listen()
})
