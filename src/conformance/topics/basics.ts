/** Storing and reading back, identifiers, the size of records. */

import { systemClock } from '../../core/clock.ts'
import { maxTid, noTid, type Oid, rootOid } from '../../core/ids.ts'
import { topic } from '../behaviour.ts'
import { holds, refuses, same } from '../claims.ts'
import { toBytes, toText } from '../client.ts'

export const basics = topic('basics', (it) => {
  it('an empty store has no transaction', async (shop) => {
    same((await shop.storage()).lastTid, noTid, 'lastTid of an empty store')
  })

  it('an empty store has no root object', async (shop) => {
    const client = await shop.client()
    await client.poll()
    await refuses('object-not-found', 'loading the root of an empty store', () => client.load(rootOid))
  })

  it('a new instance has no snapshot, and cannot read', async (shop) => {
    const client = await shop.client()
    same(client.instance.snapshotTid, noTid, 'snapshotTid before the first poll')
    await refuses('transaction-state', 'load before the first poll', () => client.load(rootOid))
  })

  it('loadMany needs a snapshot too', async (shop) => {
    const client = await shop.client()
    await refuses('transaction-state', 'loadMany before the first poll', () => client.readMany([rootOid]))
  })

  it('what was committed is read back', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('hello')
    same(await client.readNow(oid), 'hello', 'the object')
  })

  it('the serial of a revision is the tid that finish returned', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    const tid = await client.write(oid, 'a')
    await client.poll()
    same((await client.load(oid)).serial, tid, 'the serial')
  })

  it('all objects of a transaction have the same serial', async (shop) => {
    const client = await shop.client()
    const [a, b] = await client.create('a', 'b')
    await client.poll()
    same((await client.load(a!)).serial, (await client.load(b!)).serial, 'the serial of the second object')
  })

  it('lastTid is the tid of the newest commit', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    for (const text of ['a', 'b', 'c']) {
      const tid = await client.write(oid, text)
      same(client.storage.lastTid, tid, `lastTid after committing "${text}"`)
    }
  })

  it('a later revision replaces an earlier one', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('first')
    await client.write(oid, 'second')
    same(await client.readNow(oid), 'second', 'the object')
  })

  it('of two stores of one object in a transaction the second counts', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await transaction.store(oid, noTid, toBytes('first'))
    await transaction.store(oid, noTid, toBytes('second'))
    const voted = await transaction.vote()
    await voted.finish()
    same(await client.readNow(oid), 'second', 'the object')
  })

  it('the root object can be stored and changed', async (shop) => {
    const client = await shop.client()
    await client.write(rootOid, 'root')
    await client.write(rootOid, 'root again')
    same(await client.readNow(rootOid), 'root again', 'the root')
  })

  for (const [name, bytes] of [
    ['an empty record', 0],
    ['a record of one byte', 1],
    ['a record of 64 KiB', 65_536],
    ['a record of a megabyte and a byte', 2 ** 20 + 1],
    ['a record of 16 megabytes and a byte', 2 ** 24 + 1],
  ] as const) {
    it(`${name} comes back byte for byte`, async (shop) => {
      const client = await shop.client()
      const data = new Uint8Array(bytes)
      for (let index = 0; index < bytes; index++) data[index] = (index * 31 + (index >> 8)) & 0xff
      const oid = await client.newOid()
      await client.poll()
      const transaction = client.begin()
      await transaction.store(oid, noTid, data)
      const voted = await transaction.vote()
      await voted.finish()
      await client.poll()
      const loaded = (await client.load(oid)).data
      same(loaded.length, bytes, 'the length')
      holds(Buffer.compare(loaded, data) === 0, 'every byte is as it was')
    })
  }

  it('all 256 byte values come back', async (shop) => {
    const client = await shop.client()
    const data = Uint8Array.from({ length: 256 }, (_, index) => index)
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await transaction.store(oid, noTid, data)
    await (await transaction.vote()).finish()
    await client.poll()
    same([...(await client.load(oid)).data], [...data], 'the bytes')
  })

  it('a part of a larger buffer is stored as that part', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await transaction.store(oid, noTid, toBytes('xxhelloyy').subarray(2, 7))
    await (await transaction.vote()).finish()
    same(await client.readNow(oid), 'hello', 'the object')
  })

  it('a thousand objects go into one transaction', async (shop) => {
    const client = await shop.client()
    const texts = Array.from({ length: 1000 }, (_, index) => `object ${index}`)
    const oids = await client.create(...texts)
    await client.poll()
    same(await client.readMany(oids), texts, 'the objects')
  })

  it('a changed object may grow and shrink', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    for (const length of [10_000, 3, 100_000, 0]) {
      await client.write(oid, 'x'.repeat(length))
      same((await client.readNow(oid))?.length, length, 'the length')
    }
  })

  it('returned bytes stay as they are when the object changes', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    await client.poll()
    const { data } = await client.load(oid)
    for (let round = 0; round < 20; round++) await client.write(oid, `after ${round}`)
    await client.poll()
    await client.load(oid)
    same(toText(data), 'before', 'the bytes that were returned first')
  })

  it('bytes returned by loadMany stay as they are', async (shop) => {
    const client = await shop.client()
    const oids = await client.create('a', 'b', 'c')
    await client.poll()
    const revisions = await client.instance.loadMany(oids)
    for (const oid of oids) await client.write(oid, 'changed')
    await client.poll()
    await client.readMany(oids)
    same(
      revisions.map((revision) => revision && toText(revision.data)),
      ['a', 'b', 'c'],
      'what was returned first',
    )
  })

  it('an unknown object is not found, and the error names it', async (shop) => {
    const client = await shop.client()
    await client.createOne('a')
    await client.poll()
    const oid = 987_654 as Oid
    const error = await refuses('object-not-found', 'loading an unknown object', () => client.load(oid))
    holds(error.message.includes('987654'), 'the message names the object')
  })

  it('an object id that was given out but never stored is not found', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    same(await client.read(oid), undefined, 'the object')
  })

  it('tids increase with every commit', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    let last = noTid
    for (let round = 0; round < 50; round++) {
      const tid = await client.write(oid, `${round}`)
      holds(tid > last, `tid ${tid} is greater than ${last}`)
      last = tid
    }
  })

  it('tids increase when the clock stands still', async (shop) => {
    const now = systemClock.wallUs()
    await shop.openWith({ clock: { ...systemClock, wallUs: () => now } })
    const client = await shop.client()
    const oid = await client.newOid()
    const first = await client.write(oid, 'a')
    const second = await client.write(oid, 'b')
    holds(second > first, `tid ${second} is greater than ${first}`)
  })

  it('tids increase when the clock goes back', async (shop) => {
    let offsetUs = 0
    await shop.openWith({ clock: { ...systemClock, wallUs: () => systemClock.wallUs() - offsetUs } })
    const client = await shop.client()
    const oid = await client.newOid()
    const first = await client.write(oid, 'a')
    offsetUs = 3600e6
    const second = await client.write(oid, 'b')
    holds(second > first, `tid ${second} is greater than ${first}`)
  })

  it('a tid is the time of the commit in microseconds', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    const tid = await client.write(oid, 'a')
    const offByUs = Math.abs(tid - Date.now() * 1000)
    // A server's clock may differ from ours; an hour tells microseconds from everything else.
    holds(offByUs < 3600e6, `tid ${tid} lies within an hour of now`)
    holds(Number.isSafeInteger(tid) && tid < maxTid, `tid ${tid} is a safe integer`)
  })

  it('an instance commits again without a new snapshot', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const first = await client.commitHere(new Map([[oid, 'a']]))
    const transaction = client.begin()
    await transaction.store(oid, first, toBytes('b'))
    await (await transaction.vote()).finish()
    same(await client.readNow(oid), 'b', 'the object')
  })

  it('a released instance refuses to work, and releasing twice is fine', async (shop) => {
    const client = await shop.client()
    await client.poll()
    await client.instance.release()
    await client.instance.release()
    await refuses('closed', 'a poll of a released instance', () => client.poll())
    await refuses('closed', 'a load of a released instance', () => client.load(rootOid))
    await refuses('closed', 'begin of a released instance', () => client.begin())
  })

  it('one instance can be released while others work', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('a')
    await a!.instance.release()
    same(await b!.readNow(oid), 'a', 'the object')
    await b!.write(oid, 'b')
    same(await b!.readNow(oid), 'b', 'the object after a change')
  })

  it('two stores have nothing in common', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('here')
    const elsewhere = await shop.another().client()
    await elsewhere.poll()
    same(await elsewhere.read(oid), undefined, 'the object in the other store')
  })
})
