/** Iterating over the transactions of a store. */

import { maxTid, type Oid, type Tid } from '../../core/ids.ts'
import { emptyMetadata } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { refusesCoded, same } from '../claims.ts'
import { toText } from '../client.ts'
import { collect, plain, withTransactions } from '../transactions.ts'

export const iteration = topic(
  'iteration',
  (it) => {
    it('an empty store has nothing to iterate', async (shop) => {
      same(await collect(await shop.storage()), [], 'the transactions')
    })

    it('transactions come in the order of their tids, with their records', async (shop) => {
      const { storage, oids, tids } = await withTransactions(shop, 12)
      same(
        plain(await collect(storage)),
        tids.map((tid, index) => ({ tid, records: [`${oids[index]}: ${index}`] })),
        'the transactions',
      )
    })

    it('a transaction has all its records', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      const [transaction] = await collect(client.storage)
      same(
        plain([transaction!])[0]?.records,
        [`${oids[0]}: a`, `${oids[1]}: b`, `${oids[2]}: c`],
        'the records',
      )
    })

    it('both ends of a range are included', async (shop) => {
      const { storage, tids } = await withTransactions(shop, 8)
      const found = await collect(storage, tids[2], tids[5])
      same(
        found.map(({ tid }) => tid),
        tids.slice(2, 6),
        'the tids',
      )
    })

    it('a range may begin and end between transactions', async (shop) => {
      const { storage, tids } = await withTransactions(shop, 6)
      const found = await collect(storage, (tids[1]! + 1) as Tid, (tids[4]! - 1) as Tid)
      same(
        found.map(({ tid }) => tid),
        tids.filter((tid) => tid > tids[1]! && tid < tids[4]!),
        'the tids',
      )
    })

    it('a range of one tid is that transaction', async (shop) => {
      const { storage, tids } = await withTransactions(shop, 4)
      same(
        (await collect(storage, tids[2], tids[2])).map(({ tid }) => tid),
        [tids[2]],
        'the tids',
      )
    })

    it('a range that ends before it begins is empty, and so is one after the end', async (shop) => {
      const { storage, tids } = await withTransactions(shop, 3)
      same(await collect(storage, tids[2], tids[0]), [], 'the transactions of a reversed range')
      same(await collect(storage, (tids[2]! + 1) as Tid, maxTid), [], 'the transactions after the last')
    })

    it('commits after the call are not seen', async (shop) => {
      const { client, storage, tids } = await withTransactions(shop, 3)
      const iterating = storage.iterate!()
      await client.createOne('later')
      const found: Tid[] = []
      for await (const { tid } of iterating) found.push(tid)
      same(found, tids, 'the tids')
    })

    it('an object that changes meanwhile is seen as it was', async (shop) => {
      const { client, storage, oids } = await withTransactions(shop, 6)
      const seen = new Map<Oid, string>()
      let isFirst = true
      for await (const { records } of storage.iterate!()) {
        for (const { oid, data } of records) seen.set(oid, data === null ? 'deleted' : toText(data))
        if (isFirst) await client.commit(new Map(oids.map((oid) => [oid, 'changed'])))
        isFirst = false
      }
      same(
        oids.map((oid) => seen.get(oid)),
        ['0', '1', '2', '3', '4', '5'],
        'the objects in the copy',
      )
    })

    it('what has voted but not finished is not seen, and not disturbed', async (shop) => {
      const { client, storage, oids, tids } = await withTransactions(shop, 2)
      await client.poll()
      const voted = await client.vote(new Map([[oids[0]!, 'voted']]))
      same(
        (await collect(storage)).map(({ tid }) => tid),
        tids,
        'the tids',
      )
      await voted.finish()
      same(await client.readNow(oids[0]!), 'voted', 'the object after finish')
    })

    it('aborted transactions are not seen', async (shop) => {
      const { client, storage, oids, tids } = await withTransactions(shop, 2)
      await client.poll()
      await (await client.vote(new Map([[oids[0]!, 'aborted']]))).abort()
      same(
        (await collect(storage)).map(({ tid }) => tid),
        tids,
        'the tids',
      )
    })

    it('two iterations at once do not disturb each other', async (shop) => {
      const { storage, tids } = await withTransactions(shop, 10)
      const [a, b] = await Promise.all([collect(storage), collect(storage)])
      same(
        a.map(({ tid }) => tid),
        tids,
        'the tids of the first',
      )
      same(
        b.map(({ tid }) => tid),
        tids,
        'the tids of the second',
      )
    })

    it('an iteration may be left early', async (shop) => {
      const { client, storage, oids } = await withTransactions(shop, 10)
      for await (const _ of storage.iterate!()) break
      await client.write(oids[0]!, 'after')
      same(await client.readNow(oids[0]!), 'after', 'an object that is changed afterwards')
      same((await collect(storage)).length >= 10, true, 'that another iteration sees everything')
    })

    it(
      'every revision is there',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        const tids: Tid[] = []
        for (const text of ['a', 'b', 'c']) tids.push(await client.write(oid, text))
        same(
          plain(await collect(client.storage)),
          tids.map((tid, index) => ({ tid, records: [`${oid}: ${'abc'[index]}`] })),
          'the transactions',
        )
      },
      needs('history'),
    )

    it(
      'a deletion has no data',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.createOne('a')
        const tid = await client.write(oid, null)
        same(
          plain(await collect(client.storage, tid, tid)),
          [{ tid, records: [`${oid}: deleted`] }],
          'the deletion',
        )
      },
      needs('history', 'deletion'),
    )

    it(
      'metadata come back as they were given',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        const extension = Uint8Array.from({ length: 256 }, (_, index) => index)
        const given = { user: 'Ζωή 🙂', description: 'zwei\nZeilen', extension }
        await client.commit(new Map([[oid, 'a']]), given)
        const [transaction] = await collect(client.storage)
        same(transaction?.metadata.user, given.user, 'the user')
        same(transaction?.metadata.description, given.description, 'the description')
        same([...(transaction?.metadata.extension ?? [])], [...extension], 'the extension')
      },
      needs('history'),
    )

    it(
      'the longest metadata come back whole',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        const given = {
          user: 'u'.repeat(65_535),
          description: 'd'.repeat(65_535),
          extension: new Uint8Array(65_535).fill(9),
        }
        await client.commit(new Map([[oid, 'a']]), given)
        const [transaction] = await collect(client.storage)
        same(transaction?.metadata.user.length, 65_535, 'the length of the user')
        same(transaction?.metadata.description.length, 65_535, 'the length of the description')
        same(transaction?.metadata.extension.length, 65_535, 'the length of the extension')
      },
      needs('history'),
    )

    it(
      'longer metadata are refused, not cut',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        await refusesCoded('a description of 65 536 bytes', () =>
          client.commit(new Map([[oid, 'a']]), { ...emptyMetadata, description: 'd'.repeat(65_536) }),
        )
        const again = await shop.client()
        await again.write(oid, 'b')
        same(await again.readNow(oid), 'b', 'an object that is committed afterwards')
      },
      needs('history'),
    )
  },
  needs('iteration'),
)
