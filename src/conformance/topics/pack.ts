/** Packing: what nobody can see goes, what somebody can see stays. */

import { after, maxTid, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import type { PackOptions, PackResult } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { errorOf, holds, same } from '../claims.ts'
import { type Client, toText } from '../client.ts'
import type { Workshop } from '../workshop.ts'

/** Texts of this topic look like `name>3,7`: a name, and the objects that it refers to. */
function references(data: Uint8Array): Oid[] {
  const [, targets = ''] = toText(data).split('>')
  return targets === '' ? [] : targets.split(',').map((target) => Number(target) as Oid)
}

const linked = (name: string, ...targets: readonly Oid[]) => `${name}>${targets.join(',')}`

/** Ends all snapshots first: what an open one can see must stay. */
async function pack(client: Client, options: Partial<PackOptions> = {}): Promise<PackResult> {
  await client.instance.afterCompletion()
  return await client.storage.pack!({ before: client.storage.lastTid, ...options })
}

/** root → a → b, and c that nothing refers to. */
async function graph(shop: Workshop) {
  const client = await shop.client()
  const [a, b, c] = await client.newOids(3)
  await client.commit(
    new Map([
      [rootOid, linked('root', a!)],
      [a!, linked('a', b!)],
      [b!, linked('b')],
      [c!, linked('c')],
    ]),
  )
  return { client, a: a!, b: b!, c: c! }
}

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

    it('ids of collected objects are not given out again', async (shop) => {
      const { client } = await graph(shop)
      const garbage = await client.create(linked('x'), linked('y'), linked('z'))
      await pack(client, { references })
      const fresh = await client.newOids(50)
      holds(!fresh.some((oid) => garbage.includes(oid)), 'none of the ids is given out again')
    })

    it('lastTid and the order of tids stay', async (shop) => {
      const { client, b } = await graph(shop)
      const last = await client.write(b, 'b2')
      await pack(client, { references })
      same(client.storage.lastTid, last, 'lastTid')
      holds((await client.write(b, 'b3')) > last, 'the next tid is newer')
    })

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
      const running = pack(client, { references })
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
      const running = (async () => {
        for (let round = 0; round < 4; round++) await pack(client, { references })
      })()
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
    })

    it('sizes are told and do not grow', async (shop) => {
      const { client, b } = await graph(shop)
      for (let round = 0; round < 10; round++) await client.write(b, 'x'.repeat(5000))
      const { bytesBefore, bytesAfter } = await pack(client, { references })
      holds(Number.isFinite(bytesBefore) && bytesBefore > 0, `bytesBefore (${bytesBefore}) is a size`)
      holds(bytesAfter <= bytesBefore, `bytesAfter (${bytesAfter}) is not above bytesBefore (${bytesBefore})`)
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
