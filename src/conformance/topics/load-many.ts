/** Reading many objects in one call, and bringing them near beforehand. */

import type { Oid } from '../../core/ids.ts'
import { needs, needsCache, topic } from '../behaviour.ts'
import { holds, same } from '../claims.ts'
import { toText } from '../client.ts'

export const loadMany = topic('load many', (it) => {
  it('answers in the order of the question', async (shop) => {
    const client = await shop.client()
    const texts = Array.from({ length: 60 }, (_, index) => `${index}`)
    const oids = await client.create(...texts)
    await client.poll()
    const asked = shop.random.shuffled(oids)
    same(
      await client.readMany(asked),
      asked.map((oid) => texts[oids.indexOf(oid)]),
      'the texts',
    )
  })

  it('has undefined where there is no object', async (shop) => {
    const client = await shop.client()
    const [a, b] = await client.create('a', 'b')
    await client.poll()
    const missing = 555_555 as Oid
    same(await client.readMany([missing, a!, missing, b!]), [undefined, 'a', undefined, 'b'], 'the texts')
  })

  it('of no objects is an empty list', async (shop) => {
    const client = await shop.client()
    await client.poll()
    same([...(await client.readMany([]))], [], 'the answer')
  })

  it('answers twice when asked twice', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    same(await client.readMany([oid, oid]), ['a', 'a'], 'the texts')
  })

  it('says the same as load, serials included', async (shop) => {
    const client = await shop.client()
    const oids = [...(await client.create('a', 'b')), ...(await client.create('c'))]
    await client.poll()
    const many = await client.instance.loadMany(oids)
    for (const [index, oid] of oids.entries()) {
      const one = await client.load(oid)
      same(many[index]?.serial, one.serial, `the serial of object ${oid}`)
      same(many[index] && toText(many[index].data), toText(one.data), `the text of object ${oid}`)
    }
  })

  it('reads in the snapshot, not in the present', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oids = await writer!.create('a', 'b', 'c')
    await reader!.poll()
    await writer!.commit(new Map(oids.map((oid) => [oid, 'changed'])))
    same(await reader!.readMany(oids), ['a', 'b', 'c'], 'the texts in the old snapshot')
  })

  it('handles five thousand objects', async (shop) => {
    const client = await shop.client()
    const texts = Array.from({ length: 5000 }, (_, index) => `${index}`)
    const oids = await client.create(...texts)
    await client.poll()
    same(await client.readMany(oids), texts, 'the texts')
  })

  it(
    'is one request, not one for each object',
    async (shop) => {
      const writer = await shop.client()
      const oids = await writer.create(...Array.from({ length: 100 }, (_, index) => `${index}`))
      const storage = await shop.storage()
      await storage.cache?.clear()
      const reader = await shop.client()
      await reader.poll()
      const before = storage.counters()
      await reader.readMany(oids)
      const after = storage.counters()
      const requests = Math.max(after.roundTrips - before.roundTrips, after.statements - before.statements)
      holds(requests <= 5, `100 objects take at most 5 requests (they took ${requests})`)
    },
    needs('prefetch'),
  )
})

export const prefetch = topic(
  'prefetch',
  (it) => {
    it('changes nothing that is read', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      await client.poll()
      await client.instance.prefetch!(oids)
      same(await client.readMany(oids), ['a', 'b', 'c'], 'the texts')
    })

    it('of unknown objects, of none, and of one twice is fine', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.poll()
      await client.instance.prefetch!([])
      await client.instance.prefetch!([77_777 as Oid])
      await client.instance.prefetch!([oid, oid])
      same(await client.read(oid), 'a', 'the object')
      same(await client.read(77_777 as Oid), undefined, 'the unknown object')
    })

    it('never brings a newer state into an old snapshot', async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oid = await writer!.createOne('old')
      await reader!.poll()
      await writer!.write(oid, 'new')
      await reader!.instance.prefetch!([oid])
      same(await reader!.read(oid), 'old', 'the object in the old snapshot')
      same(await reader!.readNow(oid), 'new', 'the object in the next snapshot')
    })

    it('that races with a commit leaves no stale state behind', async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oid = await writer!.createOne('0')
      for (let round = 1; round <= 30; round++) {
        await reader!.poll()
        const prefetching = (async () => await reader!.instance.prefetch!([oid]))()
        await writer!.write(oid, `${round}`)
        await prefetching
        same(await reader!.readNow(oid), `${round}`, `the object in round ${round}`)
      }
    })

    it(
      'saves the loads that follow',
      async (shop) => {
        const writer = await shop.client()
        const oids = await writer.create(...Array.from({ length: 50 }, (_, index) => `${index}`))
        const storage = await shop.storage()
        await storage.cache?.clear()
        const reader = await shop.client()
        await reader.poll()
        await reader.instance.prefetch!(oids)
        const before = storage.counters().backendLoads
        for (const oid of oids) await reader.load(oid)
        same(storage.counters().backendLoads - before, 0, 'loads from the backend after the prefetch')
      },
      needsCache,
    )
  },
  needs('prefetch'),
)
