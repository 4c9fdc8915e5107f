/** Undo: a transaction that takes back what another did. */

import type { Oid, Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { holds, refuses, refusesCoded, same } from '../claims.ts'
import { type Client, mergeNumbers } from '../client.ts'
import type { Workshop } from '../workshop.ts'

async function undo(client: Client, ...tids: readonly Tid[]): Promise<Tid> {
  await client.poll()
  const transaction = client.begin()
  try {
    for (const tid of tids) await transaction.undo!(tid)
    return await (await transaction.vote()).finish()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

async function withRevisions(shop: Workshop, ...texts: readonly string[]) {
  const client = await shop.client()
  const oid = await client.newOid()
  const tids: Tid[] = []
  for (const text of texts) tids.push(await client.write(oid, text))
  return { client, oid, tids }
}

export const undoTopic = topic(
  'undo',
  (it) => {
    it('the newest change is taken back', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const tid = await undo(client, tids[1]!)
      same(await client.readNow(oid), 'a', 'the object')
      same((await client.load(oid)).serial, tid, 'its serial')
    })

    it('an undo can be undone', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const undone = await undo(client, tids[1]!)
      await undo(client, undone)
      same(await client.readNow(oid), 'b', 'the object')
    })

    it('the change before it can be undone afterwards', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b', 'c')
      await undo(client, tids[2]!)
      await undo(client, tids[1]!)
      same(await client.readNow(oid), 'a', 'the object')
    })

    it('undoing the creation makes the object unknown, and undoing that brings it back', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a')
      const undone = await undo(client, tids[0]!)
      await client.poll()
      await refuses('object-not-found', 'loading the object', () => client.load(oid))
      await undo(client, undone)
      same(await client.readNow(oid), 'a', 'the object after undoing the undo')
    })

    it('all objects of the transaction go back', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      const tid = await client.commit(new Map(oids.slice(0, 2).map((oid) => [oid, 'changed'])))
      await undo(client, tid)
      await client.poll()
      same(await client.readMany(oids), ['a', 'b', 'c'], 'the objects')
    })

    it('the call names the objects that it changes back', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      const tid = await client.commit(new Map(oids.slice(1).map((oid) => [oid, 'changed'])))
      await client.poll()
      const transaction = client.begin()
      same(new Set(await transaction.undo!(tid)), new Set(oids.slice(1)), 'the objects')
      const voted = await transaction.vote()
      holds(
        oids.slice(1).every((oid) => voted.resolvedOids.includes(oid)),
        'resolvedOids has them too',
      )
      await voted.finish()
    })

    it('an older transaction can be undone when only other objects changed since', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const other = await client.createOne('other')
      await client.write(other, 'changed')
      await undo(client, tids[1]!)
      await client.poll()
      same(await client.readMany([oid, other]), ['a', 'changed'], 'the objects')
    })

    it('a later change in the way is an error, and nothing changes', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b', 'c')
      await refuses('undo', 'undoing the second of three changes', () => undo(client, tids[1]!))
      same(await client.readNow(oid), 'c', 'the object')
      await client.write(oid, 'd')
      same(await client.readNow(oid), 'd', 'the object after another change')
    })

    it('one object that cannot go back spoils the whole undo', async (shop) => {
      const client = await shop.client()
      const [x, y] = await client.create('x', 'y')
      const tid = await client.commit(
        new Map([
          [x!, 'x2'],
          [y!, 'y2'],
        ]),
      )
      await client.write(y!, 'y3')
      await refuses('undo', 'the undo', () => undo(client, tid))
      await client.poll()
      same(await client.readMany([x!, y!]), ['x2', 'y3'], 'the objects')
    })

    it(
      'a later change that can be merged stays',
      async (shop) => {
        await shop.openWith({ resolveConflict: mergeNumbers })
        const { client, oid, tids } = await withRevisions(shop, '10', '15', '18')
        await undo(client, tids[1]!)
        same(await client.readNow(oid), '13', 'the number')
      },
      needs('conflictResolution'),
    )

    it('several in one transaction, the newest first', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b', 'c')
      const undone = await undo(client, tids[2]!, tids[1]!)
      same(await client.readNow(oid), 'a', 'the object')
      await undo(client, undone)
      same(await client.readNow(oid), 'c', 'the object after undoing the undo')
    })

    it('ten times back and forth ends where it should', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      let last = tids[1]!
      for (let round = 0; round < 10; round++) {
        last = await undo(client, last)
        same(await client.readNow(oid), round % 2 === 0 ? 'a' : 'b', `the object after ${round + 1} undos`)
      }
    })

    it('an unknown transaction cannot be undone', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a')
      await refuses('undo', 'undoing an unknown transaction', () => undo(client, (tids[0]! - 5) as Tid))
      same(await client.readNow(oid), 'a', 'the object')
    })

    it('an aborted undo leaves no trace', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      await client.poll()
      const transaction = client.begin()
      await transaction.undo!(tids[1]!)
      await (await transaction.vote()).abort()
      same(await client.readNow(oid), 'b', 'the object')
    })

    it('an undo is reported to the others', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const reader = await shop.client()
      await reader.poll()
      await undo(client, tids[1]!)
      const changed = await reader.poll()
      holds(changed === 'all' || changed.has(oid), 'the reader is told')
      same(await reader.read(oid), 'a', 'the object')
    })

    it('old snapshots are not touched', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const reader = await shop.client()
      await reader.poll()
      await undo(client, tids[1]!)
      same(await reader.read(oid), 'b', 'the object in the old snapshot')
    })

    it('a transaction can undo and store together', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const other = await client.newOid()
      await client.poll()
      const transaction = await client.stage(new Map([[other, 'stored']]))
      await transaction.undo!(tids[1]!)
      await (await transaction.vote()).finish()
      await client.poll()
      same(await client.readMany([oid, other]), ['a', 'stored'], 'the objects')
    })

    it('a change that comes between the undo and its vote is not lost', async (shop) => {
      const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
      const other = await shop.client()
      await other.poll()
      await client.poll()
      const transaction = client.begin()
      await transaction.undo!(tids[1]!)
      await other.write(oid, 'c')
      await refuses(['undo', 'conflict'], 'the vote', () => transaction.vote())
      await transaction.abort()
      same(await client.readNow(oid), 'c', 'the object')
    })

    it(
      'a deletion can be undone',
      async (shop) => {
        const { client, oid } = await withRevisions(shop, 'a')
        const deleted = await client.write(oid, null)
        await undo(client, deleted)
        same(await client.readNow(oid), 'a', 'the object')
      },
      needs('deletion'),
    )

    it(
      'after a pack, what was packed cannot be undone',
      async (shop) => {
        const { client, oid, tids } = await withRevisions(shop, 'a', 'b', 'c')
        await client.poll()
        await client.storage.pack!({ before: client.storage.lastTid })
        await refusesCoded('undoing a packed transaction', () => undo(client, tids[1]!))
        same(await client.readNow(oid), 'c', 'the object')
      },
      needs('pack'),
    )

    it(
      'after a pack, what is newer can be undone',
      async (shop) => {
        const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
        await client.poll()
        await client.storage.pack!({ before: tids[1]! })
        const last = await client.write(oid, 'c')
        await undo(client, last)
        same(await client.readNow(oid), 'b', 'the object')
      },
      needs('pack'),
    )

    it(
      'iteration shows what the undo wrote',
      async (shop) => {
        const { client, oid, tids } = await withRevisions(shop, 'a', 'b')
        const undone = await undo(client, tids[1]!)
        const records: (readonly [Oid, string | null])[] = []
        for await (const transaction of client.storage.iterate!(undone)) {
          for (const { oid: one, data } of transaction.records)
            records.push([one, data && Buffer.from(data).toString()])
        }
        same(records, [[oid, 'a']], 'the records of the undo')
      },
      needs('iteration'),
    )
  },
  needs('undo', 'history'),
)
