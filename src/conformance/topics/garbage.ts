/** Packing that collects garbage: what cannot be reached from the root goes, and nothing else. */

import { type Oid, rootOid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, same } from '../claims.ts'
import { graph, linked, pack, references } from '../object-graph.ts'

export const garbage = topic(
  'garbage',
  (it) => {
    it('without `references` nothing is collected', async (shop) => {
      const { client, c } = await graph(shop)
      const result = await pack(client)
      same(result.removedObjects, 0, 'removed objects')
      same(await client.readNow(c), linked('c'), 'the object that nothing refers to')
    })

    it('objects that cannot be reached from the root go', async (shop) => {
      const { client, a, b, c } = await graph(shop)
      const result = await pack(client, { references })
      same(result.removedObjects, 1, 'removed objects')
      await client.poll()
      same(await client.readMany([a, b, c]), [linked('a', b), linked('b'), undefined], 'the objects')
    })

    it('a ring that nothing refers to goes', async (shop) => {
      const { client, a, b } = await graph(shop)
      const [x, y] = await client.newOids(2)
      await client.commit(
        new Map([
          [x!, linked('x', y!)],
          [y!, linked('y', x!, a)],
        ]),
      )
      await pack(client, { references })
      await client.poll()
      same(await client.readMany([x!, y!]), [undefined, undefined], 'the ring')
      same(await client.read(a), linked('a', b), 'what the ring referred to')
    })

    it('a reference to an object that does not exist is no problem', async (shop) => {
      const client = await shop.client()
      await client.write(rootOid, linked('root', 8_888_888 as Oid))
      await pack(client, { references })
      same(await client.readNow(rootOid), linked('root', 8_888_888 as Oid), 'the root')
    })

    it('an object that is newer than the pack time stays, reachable or not', async (shop) => {
      const { client } = await graph(shop)
      const before = client.storage.lastTid
      const late = await client.createOne(linked('late'))
      await pack(client, { before, references })
      same(await client.readNow(late), linked('late'), 'the newer object')
    })

    it('an object that only a newer object refers to stays', async (shop) => {
      const { client, c } = await graph(shop)
      const before = client.storage.lastTid
      await client.createOne(linked('late', c))
      await pack(client, { before, references })
      same(await client.readNow(c), linked('c'), 'the object')
    })

    it(
      'an object that was unlinked after the pack time stays',
      async (shop) => {
        const { client, a, b } = await graph(shop)
        const before = client.storage.lastTid
        await client.write(a, linked('a'))
        const reader = await shop.client()
        await pack(client, { before, references })
        await reader.poll()
        same(await reader.read(b), linked('b'), 'the object that was reachable at the pack time')
      },
      needs('history'),
    )

    it('an object that was unlinked before the pack time goes', async (shop) => {
      const { client, a, b } = await graph(shop)
      await client.write(a, linked('a'))
      await pack(client, { references })
      await client.poll()
      same(await client.readMany([a, b]), [linked('a'), undefined], 'the objects')
    })

    it('ids of collected objects are not given out again', async (shop) => {
      const { client } = await graph(shop)
      const garbage = await client.create(linked('x'), linked('y'), linked('z'))
      await pack(client, { references })
      const fresh = await client.newOids(50)
      holds(!fresh.some((oid) => garbage.includes(oid)), 'none of the ids is given out again')
    })

    it('a thousand objects of which every second is garbage', async (shop) => {
      const client = await shop.client()
      const oids = await client.newOids(1000)
      const kept = oids.filter((_, index) => index % 2 === 0)
      await client.commit(
        new Map([[rootOid, linked('root', ...kept)], ...oids.map((oid) => [oid, `${oid}`] as const)]),
      )
      const result = await pack(client, { references })
      same(result.removedObjects, 500, 'removed objects')
      await client.poll()
      same(
        await client.readMany(oids),
        oids.map((oid, index) => (index % 2 === 0 ? `${oid}` : undefined)),
        'the objects',
      )
    })
  },
  needs('pack'),
)
