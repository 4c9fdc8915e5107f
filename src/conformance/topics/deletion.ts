/** Deletion of single objects. */

import { needs, topic } from '../behaviour.ts'
import { holds, refuses, same } from '../claims.ts'
import { put, toBytes } from '../client.ts'

export const deletion = topic(
  'deletion',
  (it) => {
    it('a deleted object is not found', async (shop) => {
      const client = await shop.client()
      const [a, b] = await client.create('a', 'b')
      await client.write(a!, null)
      await client.poll()
      await refuses('object-not-found', 'loading it', () => client.load(a!))
      same(await client.readMany([a!, b!]), [undefined, 'b'], 'what loadMany finds')
    })

    it('deletion, change and creation go together in one transaction', async (shop) => {
      const client = await shop.client()
      const [a, b] = await client.create('a', 'b')
      const c = await client.newOid()
      await client.commit(
        new Map([
          [a!, null],
          [b!, 'changed'],
          [c, 'new'],
        ]),
      )
      await client.poll()
      same(await client.readMany([a!, b!, c]), [undefined, 'changed', 'new'], 'the objects')
    })

    it('an aborted deletion leaves the object', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.poll()
      await (await client.vote(new Map([[oid, null]]))).abort()
      same(await client.readNow(oid), 'a', 'the object')
    })

    it('deleting a stale revision is a conflict', async (shop) => {
      const [a, b] = await shop.clients(2)
      const oid = await a!.createOne('a')
      await a!.poll()
      await b!.write(oid, 'changed')
      await refuses('conflict', 'the deletion', () => a!.commitHere(new Map([[oid, null]])))
      same(await a!.readNow(oid), 'changed', 'the object')
    })

    it('changing a deleted object is a conflict', async (shop) => {
      const [a, b] = await shop.clients(2)
      const oid = await a!.createOne('a')
      await a!.poll()
      await b!.write(oid, null)
      await refuses('conflict', 'the change', () => a!.commitHere(new Map([[oid, 'changed']])))
      same(await a!.readNow(oid), undefined, 'the object')
    })

    it('deleting twice is refused', async (shop) => {
      const [a, b] = await shop.clients(2)
      const oid = await a!.createOne('a')
      await a!.poll()
      await b!.write(oid, null)
      await refuses(['conflict', 'object-not-found'], 'the second deletion', () =>
        a!.commitHere(new Map([[oid, null]])),
      )
    })

    it('a deletion after a store in one transaction deletes', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.poll()
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      await transaction.store(oid, serial, toBytes('b'))
      await put(transaction, oid, serial, null)
      await (await transaction.vote()).finish()
      same(await client.readNow(oid), undefined, 'the object')
    })

    it('a store after a deletion in one transaction stores', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.poll()
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      await put(transaction, oid, serial, null)
      await transaction.store(oid, serial, toBytes('b'))
      await (await transaction.vote()).finish()
      same(await client.readNow(oid), 'b', 'the object')
    })

    it('the id of a deleted object is not given out again', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      await client.commit(new Map(oids.map((oid) => [oid, null])))
      const fresh = await client.newOids(50)
      holds(!fresh.some((oid) => oids.includes(oid)), 'none of the ids is given out again')
    })

    it('delete after the vote is refused', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.poll()
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      const voted = await transaction.vote()
      await refuses('transaction-state', 'delete after vote', () => transaction.delete!(oid, serial))
      await voted.abort()
    })
  },
  needs('deletion'),
)
