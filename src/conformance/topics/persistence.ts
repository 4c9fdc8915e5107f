/** What was committed is there again after closing and opening. */

import { systemClock } from '../../core/clock.ts'
import { after, noTid, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, refuses, same } from '../claims.ts'
import { mergeNumbers, toBytes, toText } from '../client.ts'

export const persistence = topic(
  'persistence',
  (it) => {
    it('a store that was never written to opens again empty', async (shop) => {
      await shop.storage()
      same((await shop.reopen()).lastTid, noTid, 'lastTid')
      const client = await shop.client()
      await client.write(rootOid, 'root')
      same(await client.readNow(rootOid), 'root', 'the root')
    })

    it('objects come back with their serials', async (shop) => {
      const client = await shop.client()
      const texts = Array.from({ length: 100 }, (_, index) => `object ${index}`)
      const oids = await client.create(...texts)
      const tid = await client.write(oids[50]!, 'changed')
      await shop.reopen()
      const again = await shop.client()
      await again.poll()
      same(await again.readMany(oids), texts.with(50, 'changed'), 'the objects')
      same((await again.load(oids[50]!)).serial, tid, 'the serial')
    })

    it('lastTid comes back, and tids go on from it', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const tid = await client.write(oid, 'a')
      const storage = await shop.reopen()
      same(storage.lastTid, tid, 'lastTid')
      const again = await shop.client()
      holds((await again.write(oid, 'b')) > tid, 'the next tid is newer')
    })

    it('tids go on although the clock went back meanwhile', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const tid = await client.write(oid, 'a')
      await shop.reopen({ clock: { ...systemClock, wallUs: () => systemClock.wallUs() - 86_400e6 } })
      const again = await shop.client()
      holds((await again.write(oid, 'b')) > tid, 'the next tid is newer')
      same(await again.readNow(oid), 'b', 'the object')
    })

    it('ids of stored objects are not given out again', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      await client.write(9000 as Oid, 'chosen')
      await shop.reopen()
      const again = await shop.client()
      const fresh = await again.newOids(100)
      holds(!fresh.some((oid) => oids.includes(oid) || oid === 9000), 'none of the ids is in use')
    })

    it('an aborted transaction does not come back', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('kept')
      await client.poll()
      await (await client.vote(new Map([[oid, 'aborted']]))).abort()
      await shop.reopen()
      const again = await shop.client()
      same(await again.readNow(oid), 'kept', 'the object')
    })

    it('a transaction that voted and never finished does not come back', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('kept')
      await client.poll()
      const last = client.storage.lastTid
      await client.vote(new Map([[oid, 'never']]))
      const storage = await shop.reopen()
      same(storage.lastTid, last, 'lastTid')
      const again = await shop.client()
      same(await again.readNow(oid), 'kept', 'the object')
      await again.write(oid, 'next')
      same(await again.readNow(oid), 'next', 'the object after another commit')
    })

    it(
      'deletions come back',
      async (shop) => {
        const client = await shop.client()
        const [a, b] = await client.create('a', 'b')
        await client.write(a!, null)
        await shop.reopen()
        const again = await shop.client()
        await again.poll()
        same(await again.readMany([a!, b!]), [undefined, 'b'], 'the objects')
      },
      needs('deletion'),
    )

    it(
      'history comes back',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        const tids: Tid[] = []
        for (let round = 0; round < 10; round++) tids.push(await client.write(oid, `${round}`))
        await shop.reopen()
        const again = await shop.client()
        for (const [index, tid] of tids.entries()) {
          same(await again.readBefore(oid, after(tid)), `${index}`, `revision ${index}`)
        }
      },
      needs('history'),
    )

    it(
      'transactions iterate as before',
      async (shop) => {
        const client = await shop.client()
        const oids = await client.create('a', 'b')
        await client.write(oids[0]!, 'c')
        const read = async () => {
          const lines: string[] = []
          for await (const { tid, records } of (await shop.storage()).iterate!()) {
            for (const { oid, data } of records) lines.push(`${tid} ${oid} ${data && toText(data)}`)
          }
          return lines.sort()
        }
        const before = await read()
        await shop.reopen()
        same(await read(), before, 'the transactions')
      },
      needs('iteration'),
    )

    it('conflicts are found against what was stored before', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const first = await client.write(oid, 'a')
      await client.write(oid, 'b')
      await shop.reopen()
      const again = await shop.client()
      await again.poll()
      const transaction = again.begin()
      await refuses('conflict', 'a stale store', async () => {
        await transaction.store(oid, first, toBytes('mine'))
        await transaction.vote()
      })
      await transaction.abort()
    })

    it(
      'a conflict is merged with what was stored before',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.createOne('10')
        await shop.reopen({ resolveConflict: mergeNumbers })
        const [a, b] = await shop.clients(2)
        await a!.poll()
        await b!.write(oid, '11')
        await a!.commitHere(new Map([[oid, '15']]))
        same(await b!.readNow(oid), '16', 'the number')
      },
      needs('conflictResolution'),
    )

    it(
      'an undo works on what was stored before',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.createOne('a')
        const tid = await client.write(oid, 'b')
        await shop.reopen()
        const again = await shop.client()
        await again.poll()
        const transaction = again.begin()
        await transaction.undo!(tid)
        await (await transaction.vote()).finish()
        same(await again.readNow(oid), 'a', 'the object')
      },
      needs('undo', 'history'),
    )

    it('records of every size come back', async (shop) => {
      const client = await shop.client()
      const sizes = [0, 1, 100, 4095, 4096, 4097, 65_536, 1_000_000]
      const texts = sizes.map((size) => 'x'.repeat(size))
      const oids = await client.create(...texts)
      await shop.reopen()
      const again = await shop.client()
      await again.poll()
      same(
        (await again.readMany(oids)).map((text) => text?.length),
        sizes,
        'the sizes',
      )
    })

    it('opening and closing ten times changes nothing', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      const { lastTid } = client.storage
      for (let round = 0; round < 10; round++) same((await shop.reopen()).lastTid, lastTid, 'lastTid')
      const again = await shop.client()
      same(await again.readNow(oid), 'a', 'the object')
    })

    it('writing between ten reopenings keeps everything', async (shop) => {
      await shop.storage()
      const oids: Oid[] = []
      for (let round = 0; round < 10; round++) {
        const client = await shop.client()
        oids.push(await client.createOne(`${round}`))
        await shop.reopen()
      }
      const again = await shop.client()
      await again.poll()
      same(new Set(oids).size, 10, 'the number of different ids')
      same(
        await again.readMany(oids),
        oids.map((_, index) => `${index}`),
        'the objects',
      )
    })

    it('a store that was zapped opens again empty', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.instance.release()
      await (await shop.storage()).zap()
      const storage = await shop.reopen()
      same(storage.lastTid, noTid, 'lastTid')
      const again = await shop.client()
      same(await again.readNow(oid), undefined, 'the object')
    })
  },
  needs('persistent'),
)
