/** Objects larger than a frame: whole, in order, and in nobody's way. */

import { afterEach, expect, test } from 'vitest'
import { noTid } from '../../../src/core/ids.ts'
import { frameBytesMax } from '../../../src/storages/zeo/protocol.ts'
import { coded } from '../../coded.ts'
import { oid, read, Served, write } from './harness.ts'

let served: Served
afterEach(() => served.stop())

/** Bytes that differ along the way, so that a piece in the wrong place is found. */
function content(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8) + seed) & 0xff
  return bytes
}

test('objects of every size around the limits of a frame come back whole, one by one and in bulk', async () => {
  served = await Served.start()
  const instance = (await served.client()).newInstance()
  const sizes = [0, 1, 8192, 8193, 65_536, 5_000_000]
  for (const limit of [frameBytesMax, 2 * frameBytesMax])
    for (let off = -33; off <= 33; off += 11) sizes.push(limit + off)
  await instance.pollInvalidations()
  const transaction = instance.begin()
  for (const [id, size] of sizes.entries()) transaction.store(oid(id + 1), noTid, content(size, id))
  await transaction.commit()
  await instance.pollInvalidations()
  const many = await instance.loadMany(sizes.map((_, id) => oid(id + 1)))
  for (const [id, size] of sizes.entries()) {
    const one = await instance.load(oid(id + 1))
    expect(Buffer.compare(one.data, content(size, id)), `${size} bytes`).toBe(0)
    expect(Buffer.compare(many[id]!.data, content(size, id)), `${size} bytes in bulk`).toBe(0)
  }
})

test('a small load overtakes a large one on the same connection', async () => {
  served = await Served.start()
  const client = await served.client()
  const [one, two] = [client.newInstance(), client.newInstance()]
  await one.pollInvalidations()
  const transaction = one.begin()
  transaction.store(oid(1), noTid, content(40_000_000, 1))
  transaction.store(oid(2), noTid, content(100, 2))
  await transaction.commit()
  await one.pollInvalidations()
  await two.pollInvalidations()
  const arrived: string[] = []
  const large = Promise.resolve(one.load(oid(1))).then(() => arrived.push('large'))
  for (let round = 0; round < 5; round++) {
    await two.load(oid(2))
    arrived.push('small')
  }
  await large
  expect(arrived).toEqual(['small', 'small', 'small', 'small', 'small', 'large'])
})

test('a connection that is lost in the middle of a large object leaves nothing of it', async () => {
  served = await Served.start()
  const instance = (await served.client()).newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.store(oid(1), noTid, content(20_000_000, 1))
  const committing = transaction.commit()
  setImmediate(() => served.cut())
  await expect(committing).rejects.toMatchObject({ code: 'disconnected' })
  transaction.abort()
  expect(await read(instance, oid(1))).toBe(undefined)
})

test('an object that the server would not accept is refused before it is sent', async () => {
  served = await Served.start({ limits: { messageBytesMax: 1_000_000 } })
  const instance = (await served.client()).newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  expect(() => transaction.store(oid(1), noTid, new Uint8Array(1_000_000))).toThrow(
    coded('object-too-large', 'Split it'),
  )
  transaction.abort()
  await write(instance, oid(1), 'small')
})
