/** What a log cannot take: refused with a code that says so, and nothing is changed. */

import { expect, test } from 'vitest'
import { noTid, type Tid } from '../../../src/core/ids.ts'
import { payloadBytesMax } from '../../../src/storages/file/format.ts'
import { Seats, seatCount, seatsBytes } from '../../../src/storages/file/seats.ts'
import { emptyMetadata } from '../../../src/storages/storage.ts'
import { coded } from '../../coded.ts'
import { bytes, commit, current, oid, openFile, temporaryLog } from './support.ts'

test('a log without a path', async () => {
  await expect(openFile('')).rejects.toThrow(coded('no-path', 'file:path='))
})

test('a record that is too large, and metadata that are too long: the transaction and the next go on', async () => {
  const storage = await openFile(temporaryLog())
  const instance = storage.newInstance()
  instance.pollInvalidations()
  const user = 'x'.repeat(0x1_0000)
  expect(() => instance.begin({ ...emptyMetadata, user })).toThrow(coded('metadata-too-long', 'user'))
  const transaction = instance.begin()
  // So much is promised by the system, but not touched.
  const large = new Uint8Array(payloadBytesMax + 1)
  expect(() => transaction.store(oid(1), noTid, large)).toThrow(coded('record-too-large', 'object 1'))
  transaction.store(oid(1), noTid, bytes('small'))
  await (await transaction.vote()).finish()
  expect(await current(storage, 1)).toBe('small')
})

test('new object ids above the highest there is', async () => {
  const storage = await openFile(temporaryLog())
  const instance = storage.newInstance()
  await commit(instance, { [Number.MAX_SAFE_INTEGER - 1]: 'the last' })
  expect(() => instance.newOids(10)).toThrow(coded('no-oids-left'))
})

test('a transaction that is restored before one that is there', async () => {
  const storage = await openFile(temporaryLog())
  const tid = await commit(storage.newInstance(), { 1: 'a' })
  const older = {
    tid: (tid - 1) as Tid,
    metadata: emptyMetadata,
    records: [{ oid: oid(2), data: bytes('b') }],
  }
  await expect(storage.restore(older)).rejects.toThrow(coded('restore-order'))
  expect([storage.lastTid, await current(storage, 2)]).toEqual([tid, undefined])
})

test('more instances than there are slots for: one that is released makes room', async () => {
  const storage = await openFile(temporaryLog())
  const instances = [storage.newInstance()]
  const takeAll = () => {
    for (;;) instances.push(storage.newInstance())
  }
  expect(takeAll).toThrow(coded('too-many-instances'))
  expect(instances.length).toBeGreaterThan(10_000)
  await instances.pop()!.release()
  await storage.newInstance().release()
})

test('more storages of one log than there are seats for', () => {
  const buffer = new SharedArrayBuffer(seatsBytes)
  for (let seat = 0; seat < seatCount; seat++) new Seats(buffer)
  expect(() => new Seats(buffer)).toThrow(coded('too-many-storages', `${seatCount} times`))
})
