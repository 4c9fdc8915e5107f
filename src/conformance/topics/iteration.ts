/** Iterating over the transactions of a store, and appending them to another: how stores are copied. */

import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { emptyMetadata, type Storage, type TransactionRecord } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, pause, refusesCoded, same } from '../claims.ts'
import { type Client, toBytes, toText } from '../client.ts'
import type { Workshop } from '../workshop.ts'

async function collect(storage: Storage, from?: Tid, to?: Tid): Promise<TransactionRecord[]> {
  const found: TransactionRecord[] = []
  for await (const transaction of storage.iterate!(from, to)) found.push(transaction)
  return found
}

/** Comparable and printable. */
const plain = (transactions: readonly TransactionRecord[]) =>
  transactions.map(({ tid, records }) => ({
    tid,
    records: [...records]
      .sort((a, b) => a.oid - b.oid)
      .map(({ oid, data }) => `${oid}: ${data === null ? 'deleted' : toText(data)}`),
  }))

/** Each object in a transaction of its own, so that a storage without history has them all too. */
async function withTransactions(shop: Workshop, count: number) {
  const client = await shop.client()
  const oids = await client.newOids(count)
  const tids: Tid[] = []
  for (const [index, oid] of oids.entries()) tids.push(await client.write(oid, `${index}`))
  return { client, oids, tids, storage: client.storage }
}

async function currentState(client: Client, oids: readonly Oid[]) {
  await client.poll()
  return await client.readMany(oids)
}

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

export const restore = topic(
  'restore',
  (it) => {
    it('a copied store holds the same', async (shop) => {
      const client = await shop.client()
      const oids = await client.create(...Array.from({ length: 30 }, (_, index) => `${index}`))
      for (let round = 0; round < 40; round++) {
        const picked = shop.random.shuffled(oids).slice(0, 1 + shop.random.integer(5))
        await client.commit(new Map(picked.map((oid) => [oid, `round ${round}`])))
      }
      const copy = await shop.another().client()
      for await (const transaction of client.storage.iterate!()) await copy.storage.restore!(transaction)
      same(await currentState(copy, oids), await currentState(client, oids), 'the objects of the copy')
      same(copy.storage.lastTid, client.storage.lastTid, 'lastTid of the copy')
      same(
        plain(await collect(copy.storage)),
        plain(await collect(client.storage)),
        'the transactions of the copy',
      )
    })

    it(
      'metadata are copied',
      async (shop) => {
        const client = await shop.client()
        const given = { user: 'me', description: 'why', extension: Uint8Array.of(1, 2) }
        await client.commit(new Map([[await client.newOid(), 'a']]), given)
        const copy = await shop.another().storage()
        for await (const transaction of client.storage.iterate!()) await copy.restore!(transaction)
        const [transaction] = await collect(copy)
        same(transaction?.metadata.user, 'me', 'the user')
        same(transaction?.metadata.description, 'why', 'the description')
        same([...(transaction?.metadata.extension ?? [])], [1, 2], 'the extension')
      },
      needs('history'),
    )

    const transaction = (tid: number, ...records: readonly (readonly [number, string | null])[]) => ({
      tid: tid as Tid,
      metadata: emptyMetadata,
      records: records.map(([oid, text]) => ({
        oid: oid as Oid,
        data: text === null ? null : toBytes(text),
      })),
    })

    it('the tid is kept', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(1_000_000, [7, 'seven']))
      same(client.storage.lastTid, 1_000_000 as Tid, 'lastTid')
      await client.poll()
      same((await client.load(7 as Oid)).serial, 1_000_000 as Tid, 'the serial')
    })

    it('tids may differ by one', async (shop) => {
      const client = await shop.client()
      for (const tid of [100, 101, 102]) await client.storage.restore!(transaction(tid, [3, `at ${tid}`]))
      same(await client.readNow(3 as Oid), 'at 102', 'the object')
      if (shop.capabilities.history) {
        same(await client.readBefore(3 as Oid, 102 as Tid), 'at 101', 'the object before the last')
        same(
          (await client.instance.loadBefore(3 as Oid, 101 as Tid))?.nextSerial,
          101 as Tid,
          'nextSerial of the first',
        )
      }
    })

    it('a tid that is not newer is refused', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'first']))
      await refusesCoded('restoring the same tid', () =>
        client.storage.restore!(transaction(100, [3, 'again'])),
      )
      await refusesCoded('restoring an older tid', () =>
        client.storage.restore!(transaction(99, [3, 'older'])),
      )
      same(await client.readNow(3 as Oid), 'first', 'the object')
    })

    it('it does not ask about conflicts', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'a'], [4, 'b']))
      await client.storage.restore!(transaction(200, [3, 'c']))
      await client.poll()
      same(await client.readMany([3 as Oid, 4 as Oid]), ['c', 'b'], 'the objects')
    })

    it('a record without data deletes', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'a']))
      await client.storage.restore!(transaction(200, [3, null]))
      same(await client.readNow(3 as Oid), undefined, 'the object')
    })

    it('open instances are told', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'a']))
      await client.poll()
      await client.storage.restore!(transaction(200, [3, 'b'], [4, 'new']))
      const changed = await client.poll()
      holds(
        changed === 'all' || (changed.has(3 as Oid) && changed.has(4 as Oid)),
        'the poll reports both objects',
      )
      same(await client.read(3 as Oid), 'b', 'the object')
    })

    it('an open snapshot does not see it', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'a']))
      await client.poll()
      await client.storage.restore!(transaction(200, [3, 'b']))
      same(await client.read(3 as Oid), 'a', 'the object in the old snapshot')
    })

    it('commits afterwards get later tids, even when the restored one lies in the future', async (shop) => {
      const client = await shop.client()
      const future = (Date.now() + 86_400_000) * 1000
      await client.storage.restore!(transaction(future, [3, 'a']))
      const tid = await client.write(3 as Oid, 'b')
      holds(tid > future, `tid ${tid} is greater than ${future}`)
    })

    it('ids of restored objects are not given out', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [5000, 'a'], [3, 'b']))
      const fresh = await client.newOids(20)
      holds(
        fresh.every((oid) => oid > 5000),
        'new ids are above the restored ones',
      )
    })

    it('a restored object can be changed', async (shop) => {
      const client = await shop.client()
      await client.storage.restore!(transaction(100, [3, 'a']))
      await client.write(3 as Oid, 'b')
      same(await client.readNow(3 as Oid), 'b', 'the object')
      holds(client.storage.lastTid > noTid, 'lastTid has moved')
    })

    it('it does not come between a vote and its finish', async (shop) => {
      const { client, oids } = await withTransactions(shop, 2)
      await client.poll()
      const voted = await client.vote(new Map([[oids[0]!, 'voted']]))
      const future = (Date.now() + 86_400_000) * 1000
      const restoring = (async () =>
        await client.storage.restore!(transaction(future, [oids[0]!, 'restored'])))()
      await pause(5)
      const tid = await voted.finish()
      await restoring
      holds(tid < future, 'what voted on an object first writes it first')
      same(await client.readNow(oids[0]!), 'restored', 'the object')
    })

    it('it goes together with commits of other objects', async (shop) => {
      const { client, oids } = await withTransactions(shop, 1)
      await client.poll()
      const voted = await client.vote(new Map([[oids[0]!, 'voted']]))
      const future = (Date.now() + 86_400_000) * 1000
      const restoring = (async () => await client.storage.restore!(transaction(future, [7000, 'restored'])))()
      await voted.finish()
      await restoring
      await client.poll()
      same(await client.readMany([oids[0]!, 7000 as Oid]), ['voted', 'restored'], 'the objects')
    })

    it(
      'a copy of a packed store holds what is left',
      async (shop) => {
        const { client, oids } = await withTransactions(shop, 6)
        await client.write(oids[0]!, 'changed')
        await client.instance.afterCompletion()
        await client.storage.pack!({ before: client.storage.lastTid })
        const copy = await shop.another().client()
        for await (const one of client.storage.iterate!()) await copy.storage.restore!(one)
        same(await currentState(copy, oids), ['changed', '1', '2', '3', '4', '5'], 'the objects of the copy')
      },
      needs('pack'),
    )
  },
  needs('iteration'),
)
