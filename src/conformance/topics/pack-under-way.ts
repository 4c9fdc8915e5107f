/** Packing while others read and commit, and packs that are stopped. */

import { type Oid, rootOid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, errorOf, holds, same } from '../claims.ts'
import { graph, linked, pack, references } from '../object-graph.ts'

export const packUnderWay = topic(
  'pack under way',
  (it) => {
    it('an open snapshot goes on reading what it shows', async (shop) => {
      const { client, b, c } = await graph(shop)
      const reader = await shop.client()
      await reader.poll()
      await client.write(b, 'b2')
      await pack(client)
      same(await reader.readMany([b, c]), [linked('b'), linked('c')], 'what the old snapshot shows')
      same(await reader.readNow(b), 'b2', 'the object in the next snapshot')
    })

    it('reads go on meanwhile, and see what they should', async (shop) => {
      const { client, a, b } = await graph(shop)
      for (let round = 0; round < 30; round++) await client.write(b, `b${round}`)
      const reader = await shop.client()
      const running = begun(() => pack(client, { references }))
      await reader.poll()
      same(await reader.readMany([a, b]), [linked('a', b), 'b29'], 'the objects during the pack')
      await running
      same(await reader.readMany([a, b]), [linked('a', b), 'b29'], 'the objects after the pack')
    })

    it('commits go on meanwhile, and none is lost', async (shop) => {
      const { client, a } = await graph(shop)
      const writer = await shop.client()
      const oids = await writer.newOids(40)
      const written: Oid[] = []
      const running = begun(async () => {
        for (let round = 0; round < 4; round++) await pack(client, { references })
      })
      for (const oid of oids) {
        const targets = [...written, oid]
        await writer.commit(
          new Map([
            [oid, linked('new')],
            [a, linked('a', ...targets)],
          ]),
        )
        written.push(oid)
      }
      await running
      await writer.poll()
      same(new Set(await writer.readMany(oids)), new Set([linked('new')]), 'the objects that were committed')
      same(await writer.read(a), linked('a', ...oids), 'the object that refers to them')
    })

    it('progress goes from 0 to 1 and never back', async (shop) => {
      const { client } = await graph(shop)
      const told: number[] = []
      await pack(client, { references, onProgress: (fraction) => told.push(fraction) })
      holds(
        told.every((fraction) => fraction >= 0 && fraction <= 1),
        'fractions lie between 0 and 1',
      )
      same(
        told,
        [...told].sort((x, y) => x - y),
        'the fractions in the order in which they were told',
      )
      same(told.at(-1), 1, 'the last fraction')
    })

    it('a signal that is aborted already stops it, and nothing is lost', async (shop) => {
      const { client, a, b, c } = await graph(shop)
      const error = await errorOf(() => pack(client, { references, signal: AbortSignal.abort() }))
      holds(error !== undefined, 'the pack is refused')
      await client.poll()
      same(await client.readMany([a, b, c]), [linked('a', b), linked('b'), linked('c')], 'the objects')
      await pack(client, { references })
      same(await client.readNow(c), undefined, 'the garbage after a pack that was allowed to end')
    })

    it('an error in `references` stops it, and nothing reachable is lost', async (shop) => {
      const { client, a, b } = await graph(shop)
      const error = await errorOf(() =>
        pack(client, {
          references: () => {
            throw new Error('cannot read this record')
          },
        }),
      )
      holds(error !== undefined, 'the pack fails')
      await client.poll()
      same(
        await client.readMany([rootOid, a, b]),
        [linked('root', a), linked('a', b), linked('b')],
        'the objects',
      )
      await client.write(b, 'b2')
      await pack(client, { references })
      same(await client.readNow(b), 'b2', 'an object after a pack that went well')
    })

    it('two packs at once do no harm', async (shop) => {
      const { client, a, b } = await graph(shop)
      await client.write(b, 'b2')
      const [first, second] = await Promise.all([
        errorOf(() => pack(client, { references })),
        errorOf(() => pack(client, { references })),
      ])
      holds(first === undefined || second === undefined, 'at least one of them succeeds')
      await client.poll()
      same(await client.readMany([a, b]), [linked('a', b), 'b2'], 'the objects')
    })
  },
  needs('pack'),
)
