/** Votes that wait for others: each gets its turn, whatever became of the one before. */

import type { Oid, Tid } from '../../core/ids.ts'
import { topic } from '../behaviour.ts'
import { errorOf, pause, refuses, same } from '../claims.ts'

export const waitingVotes = topic('waiting votes', (it) => {
  it('begin and store take no lock', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const first = await a!.stage(new Map([[oid, 'a']]))
    const second = await b!.stage(new Map([[oid, 'b']]))
    await (await second.vote()).finish()
    await first.abort()
    same(await a!.readNow(oid), 'b', 'the object')
  })

  it('a second voter of other objects gets its turn when the first finishes', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[x!, 'a']]))
    const second = b!.commitHere(new Map([[y!, 'b']]))
    await pause(5)
    await first.finish()
    await second
    await a!.poll()
    same(await a!.readMany([x!, y!]), ['a', 'b'], 'both objects')
  })

  it('a second voter of other objects gets its turn when the first aborts', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[x!, 'a']]))
    const second = b!.commitHere(new Map([[y!, 'b']]))
    await pause(5)
    await first.abort()
    await second
    await a!.poll()
    same(await a!.readMany([x!, y!]), ['x', 'b'], 'both objects')
  })

  it('a second voter gets its turn when the instance of the first is released', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.poll()
    await a!.vote(new Map([[x!, 'a']]))
    const second = b!.commitHere(new Map([[y!, 'b']]))
    await pause(5)
    await a!.instance.release()
    await second
    await b!.poll()
    same(await b!.readMany([x!, y!]), ['x', 'b'], 'both objects')
  })

  it('nine voters that wait are all served', async (shop) => {
    const clients = await shop.clients(10)
    const oids = await clients[0]!.create(...clients.map(() => '0'))
    for (const client of clients) await client.poll()
    const first = await clients[0]!.vote(new Map([[oids[0]!, '1']]))
    const waiting = clients
      .slice(1)
      .map((client, index) => client.commitHere(new Map([[oids[index + 1]!, '1']])))
    await pause(5)
    await first.finish()
    const tids = await Promise.all(waiting)
    same(new Set(tids).size, 9, 'the number of different tids')
    await clients[0]!.poll()
    same(new Set(await clients[0]!.readMany(oids)), new Set(['1']), 'the different values')
  })

  it('a failed vote, aborted, lets the next one through', async (shop) => {
    const [a, b, c] = await shop.clients(3)
    const oid = await a!.createOne('0')
    await a!.poll()
    await c!.poll()
    const stale = await a!.stage(new Map([[oid, 'a']]))
    await b!.write(oid, 'b')
    await refuses('conflict', 'the vote', () => stale.vote())
    await stale.abort()
    const other = await c!.newOid()
    await c!.write(other, 'c')
    same(await c!.readNow(other), 'c', 'the object')
  })

  it('a transaction that is aborted while its vote waits cannot finish', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[oid, 'a']]))
    const waiting = await b!.stage(new Map([[oid, 'b']]))
    const voting = (async () => await waiting.vote())()
    // What comes of the vote is looked at below, and must not count as unhandled until then.
    const outcome = errorOf(() => voting)
    await pause(5)
    await waiting.abort()
    await first.finish()
    if ((await outcome) === undefined) {
      const voted = await voting
      await refuses('transaction-state', 'finish after an abort during the vote', () => voted.finish())
    }
    same(await a!.readNow(oid), 'a', 'the object')
    await b!.write(oid, 'b')
    same(await a!.readNow(oid), 'b', 'the object after another commit')
  })

  it('finishes come in the order of their tids', async (shop) => {
    const clients = await shop.clients(6)
    const oids = await clients[0]!.create(...clients.map(() => '0'))
    const finished: Tid[] = []
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 10; round++) {
          await client.poll()
          const voted = await client.vote(new Map([[oids[index] as Oid, `${round}`]]))
          await voted.finish((tid) => finished.push(tid))
        }
      }),
    )
    same(
      finished,
      [...finished].sort((a, b) => a - b),
      'the tids in the order in which they were told',
    )
  })
})
