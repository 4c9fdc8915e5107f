/** The end of the data, and the end of a storage. */

import { noTid, rootOid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, errorOf, holds, pause, refuses, same, within } from '../claims.ts'
import { put } from '../client.ts'

export const zap = topic('zap', (it) => {
  it('everything is gone', async (shop) => {
    const client = await shop.client()
    const oids = await client.create('a', 'b')
    await client.instance.release()
    await client.storage.zap()
    same(client.storage.lastTid, noTid, 'lastTid')
    const fresh = await shop.client()
    await fresh.poll()
    same(await fresh.readMany([...oids, rootOid]), [undefined, undefined, undefined], 'the objects')
  })

  it('the store works as new', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    await client.instance.release()
    await client.storage.zap()
    const fresh = await shop.client()
    await fresh.write(rootOid, 'root')
    await fresh.write(oid, 'after')
    await fresh.poll()
    same(await fresh.readMany([rootOid, oid]), ['root', 'after'], 'the objects')
  })

  it('nothing of before comes out of a cache', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    await client.readNow(oid)
    await client.instance.release()
    await client.storage.zap()
    const fresh = await shop.client()
    same(await fresh.readNow(oid), undefined, 'the object')
    await fresh.write(oid, 'after')
    same(await fresh.readNow(oid), 'after', 'the object, created again')
  })

  it('an empty store can be zapped, twice', async (shop) => {
    const storage = await shop.storage()
    await storage.zap()
    await storage.zap()
    same(storage.lastTid, noTid, 'lastTid')
  })

  it(
    'nothing is left to iterate',
    async (shop) => {
      const client = await shop.client()
      await client.create('a', 'b')
      await client.instance.release()
      await client.storage.zap()
      const tids: Tid[] = []
      for await (const { tid } of client.storage.iterate!()) tids.push(tid)
      same(tids, [], 'the tids')
    },
    needs('iteration'),
  )

  it('another store is not touched', async (shop) => {
    const client = await shop.client()
    await client.createOne('a')
    const elsewhere = await shop.another().client()
    const oid = await elsewhere.createOne('elsewhere')
    await client.instance.release()
    await client.storage.zap()
    same(await elsewhere.readNow(oid), 'elsewhere', 'the object in the other store')
  })
})

export const close = topic('close', (it) => {
  it('closing twice is fine', async (shop) => {
    const storage = await shop.storage()
    await storage.close()
    await storage.close()
  })

  it('afterwards everything is refused', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    const { storage, instance } = client
    await storage.close()
    await refuses('closed', 'newInstance', () => storage.newInstance())
    await refuses('closed', 'zap', () => storage.zap())
    await refuses('closed', 'poll', () => instance.pollInvalidations())
    await refuses('closed', 'load', () => instance.load(oid))
    await refuses('closed', 'loadMany', () => instance.loadMany([oid]))
    await refuses('closed', 'loadBefore', () => instance.loadBefore(oid, 5 as Tid))
    await refuses('closed', 'newOids', () => instance.newOids(1))
    await refuses('closed', 'begin', () => instance.begin())
  })

  it(
    'afterwards pack is refused',
    async (shop) => {
      const storage = await shop.storage()
      await storage.close()
      await refuses('closed', 'pack', () => storage.pack!({ before: 5 as Tid }))
    },
    needs('pack'),
  )

  it(
    'afterwards iterate is refused',
    async (shop) => {
      const client = await shop.client()
      await client.createOne('a')
      await client.storage.close()
      await refuses('closed', 'iterate', async () => {
        for await (const _ of client.storage.iterate!()) break
      })
    },
    needs('iteration'),
  )

  it('instances can be released afterwards', async (shop) => {
    const client = await shop.client()
    await client.poll()
    await client.storage.close()
    await client.instance.release()
    await client.instance.release()
  })

  it('an open transaction is refused afterwards, except for abort', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await client.storage.close()
    await refuses(['closed', 'transaction-state'], 'store', () => put(transaction, oid, noTid, 'a'))
    await refuses(['closed', 'transaction-state'], 'vote', () => transaction.vote())
    await transaction.abort()
  })

  it('it waits for a transaction that has voted', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    let isClosed = false
    const closing = begun(async () => {
      await client.storage.close()
      isClosed = true
    })
    await pause(10)
    same(isClosed, false, 'that the storage is closed while a transaction has voted')
    const tid = await voted.finish()
    holds(tid > noTid, 'finish returns a tid')
    await within(5000, 'close after finish', closing)
  })

  it(
    'what finished while closing is there after reopening',
    async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      await client.poll()
      const voted = await client.vote(new Map([[oid, 'a']]))
      const closing = begun(() => client.storage.close())
      await voted.finish()
      await closing
      await shop.reopen()
      const again = await shop.client()
      same(await again.readNow(oid), 'a', 'the object')
    },
    needs('persistent'),
  )

  it('it does not wait for ever when the voted transaction aborts', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    const closing = begun(() => client.storage.close())
    await voted.abort()
    await within(5000, 'close after abort', closing)
  })

  it('a vote that waits when the storage closes ends with an error or a commit', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.poll()
    const voted = await a!.vote(new Map([[x!, 'a']]))
    const waiting = errorOf(() => b!.commitHere(new Map([[y!, 'b']])))
    await pause(2)
    const closing = begun(() => a!.storage.close())
    await voted.finish()
    await within(5000, 'the waiting commit', waiting)
    await within(5000, 'close', closing)
  })

  it('counters can still be read', async (shop) => {
    const client = await shop.client()
    await client.createOne('a')
    await client.storage.close()
    same(client.storage.counters().commits, 1, 'commits')
  })
})
