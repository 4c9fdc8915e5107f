/** Conflicts: nobody's change is lost, and a change that conflicts leaves nothing behind. */

import { isTransient } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { VotedTransaction } from '../../storages/storage.ts'
import { topic } from '../behaviour.ts'
import { errorOf, holds, refuses, same } from '../claims.ts'
import type { Client } from '../client.ts'
import { diverge, finish, storeAndVote, untilThrough } from '../conflicting.ts'

/** Adds one to the number in the object. */
const increment = (client: Client, oid: Oid) =>
  untilThrough(client, async () => {
    await client.poll()
    await client.commitHere(new Map([[oid, String(Number(await client.read(oid)) + 1)]]))
  })

export const conflicts = topic('conflicts', (it) => {
  it('a change of a stale revision is a conflict', async (shop) => {
    const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
    await refuses('conflict', 'a stale store', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
    same(await mine.readNow(oid), 'theirs', 'the object')
  })

  it('a conflict is transient, and names the object', async (shop) => {
    const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
    const error = await refuses('conflict', 'a stale store', () =>
      storeAndVote(mine.begin(), oid, serial, 'mine'),
    )
    holds((error as { transient?: boolean }).transient === true, 'the error says that it is transient')
    same((error as { details?: { oid?: Oid } }).details?.oid, oid, 'the oid in the details of the error')
  })

  it('a change of a revision two commits old is a conflict', async (shop) => {
    const { mine, other, oid, serial } = await diverge(shop, 'base', 'theirs')
    await other.write(oid, 'theirs again')
    await refuses('conflict', 'a stale store', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
  })

  it('equal bytes are a conflict as well', async (shop) => {
    const { mine, oid, serial } = await diverge(shop, 'base', 'same')
    await refuses('conflict', 'a stale store', () => storeAndVote(mine.begin(), oid, serial, 'same'))
  })

  it('a serial that never was is a conflict', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    const { serial } = await client.load(oid)
    await refuses('conflict', 'a store from a serial that never was', () =>
      storeAndVote(client.begin(), oid, (serial - 1) as Tid, 'b'),
    )
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('creating an object that exists is a conflict', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    await refuses('conflict', 'creating it again', () => storeAndVote(client.begin(), oid, noTid, 'b'))
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('of two that create the same object one gets a conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.newOid()
    await a!.poll()
    await b!.poll()
    const late = b!.begin()
    await a!.write(oid, 'a')
    await refuses('conflict', 'the second creation', () => storeAndVote(late, oid, noTid, 'b'))
    same(await b!.readNow(oid), 'a', 'the object')
  })

  it('a conflict leaves nothing of the transaction', async (shop) => {
    const { mine, oid } = await diverge(shop, 'base', 'theirs')
    const others = await mine.newOids(3)
    const changes = new Map([
      [others[0]!, 'a'],
      [oid, 'mine'],
      [others[1]!, 'b'],
      [others[2]!, 'c'],
    ])
    await refuses('conflict', 'the commit', () => mine.commitHere(changes))
    await mine.poll()
    same(await mine.readMany(others), [undefined, undefined, undefined], 'the other objects')
    same(await mine.read(oid), 'theirs', 'the object in conflict')
  })

  it('after a conflict the repeated transaction works', async (shop) => {
    const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
    await refuses('conflict', 'a stale store', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
    await mine.write(oid, 'repeated')
    same(await mine.readNow(oid), 'repeated', 'the object')
  })

  it('conflicts are counted', async (shop) => {
    const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
    const before = mine.storage.counters().conflicts
    await refuses('conflict', 'a stale store', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
    same(mine.storage.counters().conflicts - before, 1, 'the number of conflicts counted')
  })

  it('changes of different objects do not conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.poll()
    const first = await a!.stage(new Map([[x!, 'a']]))
    const second = await b!.stage(new Map([[y!, 'b']]))
    await finish((await second.vote()) as VotedTransaction)
    await finish((await first.vote()) as VotedTransaction)
    await a!.poll()
    same(await a!.readMany([x!, y!]), ['a', 'b'], 'the objects')
  })

  it('one transaction waits for its vote, then finds the conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[oid, 'a']]))
    const second = errorOf(() => b!.commitHere(new Map([[oid, 'b']])))
    await first.finish()
    holds(isTransient(await second), 'the second commit fails with a transient error')
    same(await a!.readNow(oid), 'a', 'the object')
  })

  it('a writer that waited for one that aborts has no conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[oid, 'a']]))
    // A storage may also refuse at once to wait for the row; then repeating must work.
    const second = errorOf(() => b!.commitHere(new Map([[oid, 'b']])))
    await first.abort()
    const error = await second
    if (error !== undefined) {
      holds(isTransient(error), 'the error is transient')
      await b!.write(oid, 'b')
    }
    same(await a!.readNow(oid), 'b', 'the object')
  })

  it('eight clients that count together lose no update', async (shop) => {
    const clients = await shop.clients(8)
    const oid = await clients[0]!.createOne('0')
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < 10; round++) await increment(client, oid)
      }),
    )
    same(await clients[0]!.readNow(oid), '80', 'the count')
  })
})
