/** Several storages of one store: what threads, processes and machines see of each other. */

import type { Oid } from '../../core/ids.ts'
import { type Need, needs, needsSharing, topic } from '../behaviour.ts'
import { begun, eventually, holds, refuses, same } from '../claims.ts'
import { type Client, mergeNumbers } from '../client.ts'
import { untilThrough } from '../conflicting.ts'
import type { Workshop } from '../workshop.ts'

async function pair(shop: Workshop, given = {}): Promise<{ a: Client; b: Client }> {
  return { a: await shop.client(await shop.open(given)), b: await shop.client(await shop.open(given)) }
}

/** Polls until the client sees `text`; collects what the polls reported. */
async function untilSeen(client: Client, oid: Oid, text: string | undefined): Promise<Set<Oid> | 'all'> {
  const reported = new Set<Oid>()
  let hasLostTrack = false
  await eventually(`a commit through one storage (${text}) is seen through another`, async () => {
    const changed = await client.poll()
    if (changed === 'all') hasLostTrack = true
    else for (const one of changed) reported.add(one)
    return (await client.read(oid)) === text
  })
  return hasLostTrack ? 'all' : reported
}

const needsWaiting: Need = ({ capabilities }) =>
  capabilities.blocking
    ? 'calls block the event loop, so two writers that wait for each other need two'
    : undefined

export const sharing = topic(
  'sharing',
  (it) => {
    it('a commit through one storage is seen through another', async (shop) => {
      const { a, b } = await pair(shop)
      const oid = await a.createOne('a')
      await untilSeen(b, oid, 'a')
      await b.write(oid, 'b')
      await untilSeen(a, oid, 'b')
    })

    it('the other storage’s instances are told what changed', async (shop) => {
      const { a, b } = await pair(shop)
      const [x, y] = await a.create('x', 'y')
      await untilSeen(b, y!, 'y')
      await a.write(x!, 'changed')
      const reported = await untilSeen(b, x!, 'changed')
      holds(reported === 'all' || reported.has(x!), 'a poll reports the object')
    })

    it('created objects are reported too', async (shop) => {
      const { a, b } = await pair(shop)
      const oid = await a.newOid()
      same(await b.readNow(oid), undefined, 'the object before it was created')
      await a.write(oid, 'new')
      const reported = await untilSeen(b, oid, 'new')
      holds(reported === 'all' || reported.has(oid), 'a poll reports the object')
    })

    it('a snapshot stays while another storage commits', async (shop) => {
      const { a, b } = await pair(shop)
      const oids = await a.create('old', 'old')
      await untilSeen(b, oids[0]!, 'old')
      await a.commit(new Map(oids.map((oid) => [oid, 'new'])))
      same(await b.readMany(oids), ['old', 'old'], 'the objects in the old snapshot')
      await untilSeen(b, oids[0]!, 'new')
      same(await b.readMany(oids), ['new', 'new'], 'the objects in a new snapshot')
    })

    it('a commit of several objects is seen whole', async (shop) => {
      const { a, b } = await pair(shop)
      const oids = await a.create('0', '0', '0', '0')
      await untilSeen(b, oids[0]!, '0')
      for (let round = 1; round <= 20; round++) {
        await a.commit(new Map(oids.map((oid) => [oid, `${round}`])))
        await b.poll()
        same(new Set(await b.readMany(oids)).size, 1, 'the number of different values in one snapshot')
      }
    })

    it('a stale change is a conflict across storages', async (shop) => {
      const { a, b } = await pair(shop)
      const oid = await a.createOne('0')
      await untilSeen(b, oid, '0')
      await a.write(oid, '1')
      await refuses('conflict', 'the commit', () => b.commitHere(new Map([[oid, 'mine']])))
      await untilSeen(b, oid, '1')
    })

    it('readCurrent notices changes of another storage', async (shop) => {
      const { a, b } = await pair(shop)
      const oid = await a.createOne('0')
      await untilSeen(b, oid, '0')
      const { serial } = await b.load(oid)
      await a.write(oid, '1')
      const transaction = b.begin()
      await refuses('read-conflict', 'the vote', async () => {
        await transaction.readCurrent(oid, serial)
        await transaction.vote()
      })
      await transaction.abort()
    })

    it(
      'conflicts are merged across storages',
      async (shop) => {
        const { a, b } = await pair(shop, { resolveConflict: mergeNumbers })
        const oid = await a.createOne('10')
        await untilSeen(b, oid, '10')
        await a.write(oid, '11')
        await b.commitHere(new Map([[oid, '15']]))
        await untilSeen(a, oid, '16')
      },
      needs('conflictResolution'),
    )

    it('object ids are never given twice', async (shop) => {
      const { a, b } = await pair(shop)
      const given = await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          (index % 2 === 0 ? a : b).newOids(1 + shop.random.integer(30)),
        ),
      )
      const oids = given.flat()
      same(new Set(oids).size, oids.length, 'the number of different ids')
    })

    it('tids increase across storages', async (shop) => {
      const { a, b } = await pair(shop)
      const [x, y] = await a.create('x', 'y')
      await untilSeen(b, y!, 'y')
      let last = a.storage.lastTid
      for (let round = 0; round < 10; round++) {
        const tid = await (round % 2 === 0 ? a.write(x!, `${round}`) : b.write(y!, `${round}`))
        holds(tid > last, `tid ${tid} is greater than ${last}`)
        last = tid
      }
    })

    it('counting through four storages loses no update', async (shop) => {
      const clients: Client[] = []
      for (let index = 0; index < 4; index++) clients.push(await shop.client(await shop.open()))
      const oid = await clients[0]!.createOne('0')
      for (const client of clients) await untilSeen(client, oid, '0')
      await Promise.all(
        clients.map(async (client) => {
          for (let round = 0; round < 10; round++) {
            await untilThrough(client, async () => {
              await client.poll()
              const next = Number(await client.read(oid)) + 1
              await client.commitHere(new Map([[oid, String(next)]]))
            })
          }
        }),
      )
      await untilSeen(clients[0]!, oid, '40')
    })

    it('closing one storage leaves the others at work', async (shop) => {
      const { a, b } = await pair(shop)
      const oid = await a.createOne('a')
      await untilSeen(b, oid, 'a')
      await a.instance.release()
      await a.storage.close()
      await b.write(oid, 'b')
      same(await b.readNow(oid), 'b', 'the object')
    })

    it('a storage that is opened later sees everything', async (shop) => {
      const { a } = await pair(shop)
      const oid = await a.createOne('a')
      const late = await shop.client(await shop.open())
      same(await late.readNow(oid), 'a', 'the object')
      holds(late.storage.lastTid >= a.storage.lastTid, 'lastTid of the later storage is not behind')
    })

    it(
      'a voter waits for one that has voted through another storage',
      async (shop) => {
        const { a, b } = await pair(shop)
        const [x, y] = await a.create('x', 'y')
        await untilSeen(b, y!, 'y')
        await a.poll()
        const voted = await a.vote(new Map([[x!, 'a']]))
        const second = begun(() => b.commitHere(new Map([[y!, 'b']])))
        await new Promise((resolve) => setTimeout(resolve, 10))
        await voted.finish()
        await second
        await untilSeen(a, y!, 'b')
        await untilSeen(b, x!, 'a')
      },
      needsWaiting,
    )

    it('releasing an instance that has voted frees the other storage', async (shop) => {
      const { a, b } = await pair(shop)
      const [x, y] = await a.create('x', 'y')
      await untilSeen(b, y!, 'y')
      await a.poll()
      await a.vote(new Map([[x!, 'a']]))
      await a.instance.release()
      await b.write(y!, 'b')
      same(await b.readNow(y!), 'b', 'the object')
    })

    it(
      'a deletion is seen through another storage',
      async (shop) => {
        const { a, b } = await pair(shop)
        const oid = await a.createOne('a')
        await untilSeen(b, oid, 'a')
        await a.write(oid, null)
        await untilSeen(b, oid, undefined)
      },
      needs('deletion'),
    )

    it(
      'a pack through one storage does not disturb the other',
      async (shop) => {
        const { a, b } = await pair(shop)
        const oid = await a.createOne('0')
        await untilSeen(b, oid, '0')
        for (let round = 1; round <= 10; round++) await a.write(oid, `${round}`)
        await a.instance.afterCompletion()
        await a.storage.pack!({ before: a.storage.lastTid })
        await untilSeen(b, oid, '10')
        await b.write(oid, '11')
        await untilSeen(a, oid, '11')
      },
      needs('pack'),
    )
  },
  needsSharing,
)
