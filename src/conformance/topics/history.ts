/** Old revisions: what was true when. */

import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, refuses, same } from '../claims.ts'
import { type Client, toText } from '../client.ts'
import type { Workshop } from '../workshop.ts'

/** An object with `count` revisions "0", "1", …, and their tids. */
async function withRevisions(
  shop: Workshop,
  count: number,
): Promise<{ client: Client; oid: Oid; tids: Tid[] }> {
  const client = await shop.client()
  const oid = await client.newOid()
  const tids: Tid[] = []
  for (let round = 0; round < count; round++) tids.push(await client.write(oid, `${round}`))
  return { client, oid, tids }
}

/** Holds for every storage: `loadBefore` of what is current. */
export const currentRevision = topic('load before', (it) => {
  it('the end of time is the current revision', async (shop) => {
    const { client, oid, tids } = await withRevisions(shop, 2)
    const span = await client.instance.loadBefore(oid, maxTid)
    same(span && toText(span.data), '1', 'the text')
    same(span?.serial, tids[1], 'the serial')
    same(span?.nextSerial, undefined, 'nextSerial')
  })

  it('needs no snapshot', async (shop) => {
    const { oid } = await withRevisions(shop, 1)
    const fresh = await shop.client()
    same(await fresh.readBefore(oid, maxTid), '0', 'the text')
  })

  it('is not bound to the snapshot', async (shop) => {
    const { client, oid } = await withRevisions(shop, 1)
    await client.poll()
    const other = await shop.client()
    await other.write(oid, 'newer')
    same(await client.readBefore(oid, maxTid), 'newer', 'the text before the end of time')
    same(await client.read(oid), '0', 'the text in the snapshot')
  })

  it('an unknown object is not found', async (shop) => {
    const { client } = await withRevisions(shop, 1)
    await refuses('object-not-found', 'loadBefore of an unknown object', () =>
      client.instance.loadBefore(424_242 as Oid, maxTid),
    )
  })

  it('the time before an object was created is undefined', async (shop) => {
    const { client, oid, tids } = await withRevisions(shop, 1)
    same(await client.instance.loadBefore(oid, tids[0]!), undefined, 'the answer for its own tid')
    same(await client.instance.loadBefore(oid, noTid), undefined, 'the answer for the beginning of time')
  })

  it('does not see what has only voted', async (shop) => {
    const { client, oid } = await withRevisions(shop, 1)
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'voted']]))
    const span = await client.instance.loadBefore(oid, maxTid)
    await voted.abort()
    same(span && toText(span.data), '0', 'the text')
    same(span?.nextSerial, undefined, 'nextSerial')
  })
})

export const history = topic(
  'history',
  (it) => {
    it('every one of ten revisions is found', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 10)
      for (const [index, tid] of tids.entries()) {
        const span = await client.instance.loadBefore(oid, after(tid))
        same(span && toText(span.data), `${index}`, `the text of revision ${index}`)
        same(span?.serial, tid, `the serial of revision ${index}`)
        same(span?.nextSerial, tids[index + 1], `nextSerial of revision ${index}`)
      }
    })

    it('a tid itself shows the revision before it', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 4)
      for (let index = 1; index < tids.length; index++) {
        same(
          await client.readBefore(oid, tids[index]!),
          `${index - 1}`,
          `the text just before revision ${index}`,
        )
      }
    })

    it('walking back visits every revision and ends', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 8)
      const seen: Tid[] = []
      let before = maxTid
      while (seen.length <= tids.length) {
        const span = await client.instance.loadBefore(oid, before)
        if (span === undefined) break
        seen.push(span.serial)
        before = span.serial
      }
      same(seen.reverse(), tids, 'the serials')
    })

    it('an early one of fifty revisions is found', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 50)
      same(await client.readBefore(oid, tids[12]!), '11', 'the text')
    })

    it('a revision that is replaced gets its nextSerial', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 1)
      same((await client.instance.loadBefore(oid, maxTid))?.nextSerial, undefined, 'nextSerial while current')
      const next = await client.write(oid, 'next')
      same(
        (await client.instance.loadBefore(oid, after(tids[0]!)))?.nextSerial,
        next,
        'nextSerial afterwards',
      )
    })

    it('an answer given earlier does not change', async (shop) => {
      const { client, oid } = await withRevisions(shop, 1)
      const span = await client.instance.loadBefore(oid, maxTid)
      await client.write(oid, 'next')
      same(span?.nextSerial, undefined, 'nextSerial in the earlier answer')
      same(span && toText(span.data), '0', 'the text in the earlier answer')
    })

    it('objects of one time are found together', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('0', '0', '0')
      const tids: Tid[] = []
      for (let round = 1; round <= 6; round++) {
        tids.push(await client.commit(new Map(oids.map((oid) => [oid, `${round}`]))))
      }
      for (const [index, tid] of tids.entries()) {
        for (const oid of oids)
          same(await client.readBefore(oid, after(tid)), `${index + 1}`, `object ${oid}`)
      }
    })

    it(
      'a deleted object is found before its deletion and not after',
      async (shop) => {
        const { client, oid, tids } = await withRevisions(shop, 2)
        const deleted = await client.write(oid, null)
        same(await client.readBefore(oid, deleted), '1', 'the text before the deletion')
        same(await client.readBefore(oid, after(tids[0]!)), '0', 'the first text')
        await refuses('object-not-found', 'loadBefore after the deletion', () =>
          client.instance.loadBefore(oid, after(deleted)),
        )
      },
      needs('deletion'),
    )

    it('aborted revisions are not in it', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 2)
      await client.poll()
      await (await client.vote(new Map([[oid, 'aborted']]))).abort()
      const last = await client.write(oid, '2')
      same(await client.readBefore(oid, last), '1', 'the text before the last revision')
      same((await client.instance.loadBefore(oid, last))?.serial, tids[1], 'its serial')
    })

    it('revisions keep their bytes however often the object changes', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const texts = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(1 + shop.random.integer(3000)))
      const tids: Tid[] = []
      for (const text of texts) tids.push(await client.write(oid, text))
      for (const index of shop.random.shuffled([...texts.keys()])) {
        same(await client.readBefore(oid, after(tids[index]!)), texts[index], `the text of revision ${index}`)
      }
    })
  },
  needs('history'),
)

export const revisionList = topic(
  'revision list',
  (it) => {
    it('newest first, with tids and sizes', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const tids = [
        await client.write(oid, 'a'),
        await client.write(oid, 'bb'),
        await client.write(oid, 'ccc'),
      ]
      const entries = await client.instance.history!(oid, 10)
      same(
        entries.map((entry) => entry.tid),
        tids.reverse(),
        'the tids',
      )
      same(
        entries.map((entry) => entry.bytes),
        [3, 2, 1],
        'the sizes',
      )
    })

    it('as many as were asked for', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 5)
      for (const count of [1, 2, 5, 50]) {
        const entries = await client.instance.history!(oid, count)
        same(
          entries.map((entry) => entry.tid),
          tids.slice(-count).reverse(),
          `the tids of ${count}`,
        )
      }
    })

    it('an unknown object is not found', async (shop) => {
      const { client } = await withRevisions(shop, 1)
      await refuses('object-not-found', 'history of an unknown object', () =>
        client.instance.history!(313_131 as Oid, 1),
      )
    })

    it('tells who committed, and why', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const metadata = { user: 'Zoë', description: 'größer ✓', extension: Uint8Array.of(0, 255, 7) }
      await client.commit(new Map([[oid, 'a']]), metadata)
      const [entry] = await client.instance.history!(oid, 1)
      same(entry?.metadata.user, metadata.user, 'the user')
      same(entry?.metadata.description, metadata.description, 'the description')
      same([...(entry?.metadata.extension ?? [])], [0, 255, 7], 'the extension')
    })

    it(
      'a deletion is an entry of no bytes',
      async (shop) => {
        const { client, oid } = await withRevisions(shop, 1)
        const deleted = await client.write(oid, null)
        const [entry] = await client.instance.history!(oid, 1)
        same(entry?.tid, deleted, 'the tid')
        same(entry?.bytes, 0, 'the size')
      },
      needs('deletion'),
    )

    it('what has only voted is not in it', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 2)
      await client.poll()
      const voted = await client.vote(new Map([[oid, 'voted']]))
      const entries = await client.instance.history!(oid, 10)
      await voted.abort()
      same(
        entries.map((entry) => entry.tid),
        tids.reverse(),
        'the tids',
      )
    })

    it('an undo is one more entry', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 2)
      await client.poll()
      const transaction = client.begin()
      await transaction.undo!(tids[1]!)
      await (await transaction.vote()).finish()
      const entries = await client.instance.history!(oid, 10)
      same(entries.length, 3, 'the number of entries')
      same(entries[0]?.bytes, 1, 'the size of the newest')
      holds(entries[0]!.tid > tids[1]!, 'its tid is new')
    })
  },
  needs('undo', 'history'),
)
