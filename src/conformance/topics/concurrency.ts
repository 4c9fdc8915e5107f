/** Many at once on one storage. */

import { noTid, type Tid } from '../../core/ids.ts'
import { topic } from '../behaviour.ts'
import { holds, same } from '../claims.ts'
import type { Client } from '../client.ts'
import { untilThrough } from '../conflicting.ts'

/** Repeats a whole transaction, from a new snapshot, until it is through. */
const persist = (client: Client, transaction: () => Promise<unknown>) =>
  untilThrough(client, async () => {
    await client.poll()
    await transaction()
  })

export const concurrency = topic('concurrency', (it) => {
  it('fifty commits at once are all there, each with a tid of its own', async (shop) => {
    const clients = await shop.clients(50)
    const oids = await clients[0]!.newOids(50)
    for (const client of clients) await client.poll()
    const tids = await Promise.all(
      clients.map((client, index) => client.commitHere(new Map([[oids[index]!, `${index}`]]))),
    )
    same(new Set(tids).size, 50, 'the number of different tids')
    await clients[0]!.poll()
    same(
      await clients[0]!.readMany(oids),
      oids.map((_, index) => `${index}`),
      'the objects',
    )
  })

  it('each object has the serial of the transaction that wrote it', async (shop) => {
    const clients = await shop.clients(10)
    const oids = await clients[0]!.newOids(10)
    const tids = await Promise.all(clients.map((client, index) => client.write(oids[index]!, `${index}`)))
    await clients[0]!.poll()
    const revisions = await clients[0]!.instance.loadMany(oids)
    same(
      revisions.map((revision) => revision?.serial),
      tids,
      'the serials',
    )
  })

  it('twenty clients that count on five objects lose no update', async (shop) => {
    const clients = await shop.clients(20)
    const oids = await clients[0]!.create('0', '0', '0', '0', '0')
    await Promise.all(
      clients.map(async (client, index) => {
        const random = shop.random.split('client', index)
        for (let round = 0; round < 5; round++) {
          const picked = random.shuffled(oids).slice(0, 2)
          await persist(client, async () => {
            const numbers = await client.readMany(picked)
            await client.commitHere(
              new Map(picked.map((oid, place) => [oid, String(Number(numbers[place]) + 1)])),
            )
          })
        }
      }),
    )
    await clients[0]!.poll()
    const sum = (await clients[0]!.readMany(oids)).reduce((total, text) => total + Number(text), 0)
    same(sum, 200, 'the sum of all counts')
  })

  it('objects locked in opposite orders do not block each other for ever', async (shop) => {
    const clients = await shop.clients(6)
    const oids = await clients[0]!.create(...Array.from({ length: 8 }, () => '0'))
    await Promise.all(
      clients.map(async (client, index) => {
        const order = index % 2 === 0 ? oids : [...oids].reverse()
        for (let round = 0; round < 5; round++) {
          await persist(client, async () => {
            const numbers = await client.readMany(order)
            await client.commitHere(
              new Map(order.map((oid, place) => [oid, String(Number(numbers[place]) + 1)])),
            )
          })
        }
      }),
    )
    await clients[0]!.poll()
    same(new Set(await clients[0]!.readMany(oids)), new Set(['30']), 'the counts')
  })

  it('a hundred instances are open at once', async (shop) => {
    const clients = await shop.clients(100)
    const oid = await clients[0]!.createOne('a')
    const texts = await Promise.all(clients.map((client) => client.readNow(oid)))
    same(new Set(texts), new Set(['a']), 'what they read')
  })

  it('a hundred loads of one object at once all answer', async (shop) => {
    const clients = await shop.clients(100)
    const oid = await clients[0]!.createOne('popular')
    await clients[0]!.storage.cache?.clear()
    for (const client of clients) await client.poll()
    const texts = await Promise.all(clients.map((client) => client.read(oid)))
    same(new Set(texts), new Set(['popular']), 'what they read')
  })

  it('lastTid never goes back', async (shop) => {
    const clients = await shop.clients(6)
    const { storage } = clients[0]!
    const oids = await clients[0]!.newOids(6)
    let last = noTid as Tid
    const look = () => {
      holds(storage.lastTid >= last, `lastTid ${storage.lastTid} is not before ${last}`)
      last = storage.lastTid
    }
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 10; round++) {
          const tid = await client.write(oids[index]!, `${round}`)
          look()
          holds(storage.lastTid >= tid, 'lastTid is not before a commit that has finished')
        }
      }),
    )
  })

  it('a commit is seen by whoever polls after it has finished', async (shop) => {
    const clients = await shop.clients(5)
    const oids = await clients[0]!.newOids(5)
    await Promise.all(
      clients.map(async (client, index) => {
        const next = clients[(index + 1) % clients.length]!
        for (let round = 0; round < 8; round++) {
          await client.write(oids[index]!, `${round}`)
          const probe = await shop.client(next.storage)
          same(await probe.readNow(oids[index]!), `${round}`, `object ${index} in round ${round}`)
          await probe.instance.release()
        }
      }),
    )
  })

  it('three hundred transactions of random sizes leave the store as the last writers left it', async (shop) => {
    const clients = await shop.clients(6)
    const oids = await clients[0]!.create(...Array.from({ length: 30 }, () => '-'))
    const written: { tid: Tid; oid: number; text: string }[] = []
    await Promise.all(
      clients.map(async (client, index) => {
        const random = shop.random.split('client', index)
        for (let round = 0; round < 50; round++) {
          const picked = random.shuffled(oids).slice(0, 1 + random.integer(6))
          await persist(client, async () => {
            const text = `${index}/${round}`
            const tid = await client.commitHere(new Map(picked.map((oid) => [oid, text])))
            for (const oid of picked) written.push({ tid, oid, text })
          })
        }
      }),
    )
    const expected = new Map<number, string>()
    for (const { oid, text } of written.sort((a, b) => a.tid - b.tid)) expected.set(oid, text)
    await clients[0]!.poll()
    same(
      await clients[0]!.readMany(oids),
      oids.map((oid) => expected.get(oid) ?? '-'),
      'the objects',
    )
  })
})
