/** Packing: replaced revisions go, what is current stays, and so does what is told of the store. */

import { after, maxTid, noTid, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, same } from '../claims.ts'
import { toText } from '../client.ts'
import { graph, linked, pack, references } from '../object-graph.ts'

export const packing = topic(
  'pack',
  (it) => {
    it('an empty store can be packed', async (shop) => {
      const storage = await shop.storage()
      const result = await storage.pack!({ before: maxTid, references })
      same([result.removedObjects, result.removedRevisions], [0, 0], 'what was removed')
    })

    it('current revisions stay, serials included', async (shop) => {
      const { client, a, b, c } = await graph(shop)
      await client.write(b, 'b2')
      await client.poll()
      const before = await client.instance.loadMany([rootOid, a, b, c])
      await pack(client)
      await client.poll()
      const afterwards = await client.instance.loadMany([rootOid, a, b, c])
      same(
        afterwards.map((revision) => revision && [toText(revision.data), revision.serial]),
        before.map((revision) => revision && [toText(revision.data), revision.serial]),
        'the objects',
      )
    })

    it(
      'replaced revisions go',
      async (shop) => {
        const { client, b } = await graph(shop)
        const tids: Tid[] = []
        for (const text of ['b2', 'b3', 'b4']) tids.push(await client.write(b, text))
        const result = await pack(client)
        same(result.removedRevisions, 3, 'removed revisions')
        same(await client.instance.loadBefore(b, after(tids[0]!)), undefined, 'an old revision')
        same(await client.readNow(b), 'b4', 'the current revision')
      },
      needs('history'),
    )

    it(
      'what was current at the pack time stays',
      async (shop) => {
        const { client, b } = await graph(shop)
        const tids: Tid[] = []
        for (const text of ['b2', 'b3', 'b4', 'b5']) tids.push(await client.write(b, text))
        await pack(client, { before: tids[1]! })
        for (const [index, text] of ['b3', 'b4', 'b5'].entries()) {
          same(await client.readBefore(b, after(tids[index + 1]!)), text, `the revision ${text}`)
        }
      },
      needs('history'),
    )

    it('a pack time before everything removes nothing', async (shop) => {
      const { client, a, b, c } = await graph(shop)
      const result = await pack(client, { before: 1 as Tid, references })
      same([result.removedObjects, result.removedRevisions], [0, 0], 'what was removed')
      await client.poll()
      same(await client.readMany([a, b, c]), [linked('a', b), linked('b'), linked('c')], 'the objects')
    })

    it('a pack time in the future is now', async (shop) => {
      const { client, a, b } = await graph(shop)
      await pack(client, { before: maxTid, references })
      await client.poll()
      same(
        await client.readMany([rootOid, a, b]),
        [linked('root', a), linked('a', b), linked('b')],
        'the objects',
      )
      await client.write(b, 'b2')
      same(await client.readNow(b), 'b2', 'an object that is changed afterwards')
    })

    it('packing a packed store changes nothing', async (shop) => {
      const { client, a, b } = await graph(shop)
      await client.write(b, 'b2')
      await pack(client, { references })
      const result = await pack(client, { references })
      same([result.removedObjects, result.removedRevisions], [0, 0], 'what the second pack removed')
      await client.poll()
      same(await client.readMany([a, b]), [linked('a', b), 'b2'], 'the objects')
    })

    it('a second pack with an earlier time is harmless', async (shop) => {
      const { client, b } = await graph(shop)
      const first = client.storage.lastTid
      await client.write(b, 'b2')
      await pack(client, { references })
      await pack(client, { before: first, references })
      same(await client.readNow(b), 'b2', 'the object')
    })

    it(
      'deleted objects go for good',
      async (shop) => {
        const { client, a, b } = await graph(shop)
        await client.commit(
          new Map([
            [a, linked('a')],
            [b, null],
          ]),
        )
        await pack(client, { references })
        same(await client.readNow(b), undefined, 'the object')
        await client.write(a, 'a2')
        same(await client.readNow(a), 'a2', 'another object, changed afterwards')
      },
      needs('deletion'),
    )

    it('lastTid and the order of tids stay', async (shop) => {
      const { client, b } = await graph(shop)
      const last = await client.write(b, 'b2')
      await pack(client, { references })
      same(client.storage.lastTid, last, 'lastTid')
      holds((await client.write(b, 'b3')) > last, 'the next tid is newer')
    })

    it('sizes are told and do not grow', async (shop) => {
      const { client, b } = await graph(shop)
      for (let round = 0; round < 10; round++) await client.write(b, 'x'.repeat(5000))
      const { bytesBefore, bytesAfter } = await pack(client, { references })
      holds(Number.isFinite(bytesBefore) && bytesBefore > 0, `bytesBefore (${bytesBefore}) is a size`)
      holds(bytesAfter <= bytesBefore, `bytesAfter (${bytesAfter}) is not above bytesBefore (${bytesBefore})`)
    })

    it(
      'what was packed is still packed after reopening',
      async (shop) => {
        const { client, a, b, c } = await graph(shop)
        await client.write(b, 'b2')
        await pack(client, { references })
        await shop.reopen()
        const again = await shop.client()
        await again.poll()
        same(await again.readMany([a, b, c]), [linked('a', b), 'b2', undefined], 'the objects')
      },
      needs('persistent'),
    )

    it(
      'iteration shows what is left',
      async (shop) => {
        const { client, a, b, c } = await graph(shop)
        await client.write(b, 'b2')
        await pack(client, { references })
        const left = new Map<Oid, string>()
        for await (const transaction of client.storage.iterate!()) {
          for (const { oid, data } of transaction.records) if (data !== null) left.set(oid, toText(data))
        }
        same(
          [left.get(a), left.get(b), left.get(c)],
          [linked('a', b), 'b2', undefined],
          'the last record of each',
        )
      },
      needs('iteration'),
    )

    it(
      'a storage that says since when its history is whole says what was packed away',
      async (shop) => {
        const { client, b } = await graph(shop)
        const first = client.storage.lastTid
        const wholeSince = () => client.storage.wholeSince?.()
        const replaced = await client.write(b, 'b2')
        await client.write(b, 'b3')
        await pack(client, { before: first })
        // Before that it may be whole too: a pack that had nothing to remove needs to say nothing.
        holds(((await wholeSince()) ?? noTid) <= first, 'what was not packed is whole')
        await pack(client)
        holds(((await wholeSince()) ?? maxTid) >= replaced, 'a transaction of which something is gone is not')
      },
      needs('iteration'),
    )

    it(
      'since when the history is whole is known after reopening',
      async (shop) => {
        const { client, b } = await graph(shop)
        const replaced = await client.write(b, 'b2')
        await client.write(b, 'b3')
        await pack(client)
        await shop.reopen()
        const storage = await shop.storage()
        holds(((await storage.wholeSince?.()) ?? maxTid) >= replaced, 'it was not forgotten')
      },
      needs('iteration', 'persistent'),
    )

    it(
      'history lists only the revisions that are left',
      async (shop) => {
        const { client, b } = await graph(shop)
        const last = await client.write(b, 'b2')
        await pack(client)
        const entries = await client.instance.history!(b, 10)
        same(
          entries.map((entry) => entry.tid),
          [last],
          'the tids',
        )
      },
      needs('undo', 'history'),
    )
  },
  needs('pack'),
)
