/** Appending the transactions of one store to another: how stores are copied. */

import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { emptyMetadata } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, holds, pause, refusesCoded, same } from '../claims.ts'
import { type Client, toBytes } from '../client.ts'
import { collect, plain, withTransactions } from '../transactions.ts'
import type { Workshop } from '../workshop.ts'

async function currentState(client: Client, oids: readonly Oid[]) {
  await client.poll()
  return await client.readMany(oids)
}

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
      const restoring = begun(() => client.storage.restore!(transaction(future, [oids[0]!, 'restored'])))
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
      const restoring = begun(() => client.storage.restore!(transaction(future, [7000, 'restored'])))
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

    /** Of the two objects, one is gone with the newest transaction, and the other has lost a revision. */
    async function packedStore(shop: Workshop) {
      const { client, oids, tids } = await withTransactions(shop, 2)
      const changed = await client.write(oids[0]!, 'changed')
      const deleted = await client.write(oids[1]!, null)
      await client.instance.afterCompletion()
      await client.storage.pack!({ before: deleted })
      return { client, kept: oids[0]!, packed: [...tids, changed, deleted] }
    }

    async function copyTo(other: Workshop, client: Client): Promise<Client> {
      const copy = await other.client()
      for await (const one of client.storage.iterate!()) await copy.storage.restore!(one)
      return copy
    }

    it(
      'a copy of a packed store undoes nothing from before the pack, nor does a copy of the copy',
      async (shop) => {
        const { client, kept, packed } = await packedStore(shop)
        const first = await copyTo(shop.another(), client)
        for (const copy of [first, await copyTo(shop.another(), first)]) {
          for (const tid of packed) {
            await copy.poll()
            const transaction = copy.begin()
            await refusesCoded('undoing a packed transaction', async () => await transaction.undo!(tid))
            await transaction.abort()
          }
          same(await copy.readNow(kept), 'changed', 'the object')
        }
      },
      needs('pack', 'undo', 'history', 'deletion'),
    )

    it(
      'a copy of a packed store undoes what is newer than the pack',
      async (shop) => {
        const { client, kept } = await packedStore(shop)
        const newer = await client.write(kept, 'newer')
        const copy = await copyTo(shop.another(), client)
        await copy.poll()
        const transaction = copy.begin()
        await transaction.undo!(newer)
        await (await transaction.vote()).finish()
        same(await copy.readNow(kept), 'changed', 'the object')
      },
      needs('pack', 'undo', 'history', 'deletion'),
    )

    it(
      'a copy of a packed store does not take its history for whole, also after reopening',
      async (shop) => {
        const { client } = await packedStore(shop)
        const wanted = (await client.storage.wholeSince?.()) ?? noTid
        const other = shop.another()
        const copy = await copyTo(other, client)
        const says = 'the copy says at least what its source says'
        holds(((await copy.storage.wholeSince?.()) ?? maxTid) >= wanted, says)
        if (!shop.capabilities.persistent) return
        const again = await other.reopen()
        holds(((await again.wholeSince?.()) ?? maxTid) >= wanted, `${says}, also after reopening`)
      },
      needs('pack', 'deletion'),
    )

    it(
      'a copy that was begun before the pack learns of it with what comes later',
      async (shop) => {
        const { client, oids } = await withTransactions(shop, 2)
        const other = shop.another()
        const copied = (await copyTo(other, client)).storage.lastTid
        await client.write(oids[0]!, 'changed')
        const packed = await client.write(oids[0]!, 'again')
        await client.instance.afterCompletion()
        await client.storage.pack!({ before: packed })
        await client.write(oids[1]!, 'after the pack')
        const copy = await other.client()
        for await (const one of client.storage.iterate!(after(copied))) await copy.storage.restore!(one)
        await copy.poll()
        const transaction = copy.begin()
        // The copy has a revision before this one, but it is not the one that was replaced.
        await refusesCoded('undoing a packed transaction', async () => await transaction.undo!(packed))
        await transaction.abort()
        same(await copy.readMany(oids), ['again', 'after the pack'], 'the objects of the copy')
        const wanted = (await client.storage.wholeSince?.()) ?? noTid
        holds(((await copy.storage.wholeSince?.()) ?? maxTid) >= wanted, 'it says what its source says')
      },
      needs('pack', 'undo', 'history'),
    )
  },
  needs('iteration'),
)
