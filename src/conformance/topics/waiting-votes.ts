/** Votes that wait for others: each gets its turn, whatever became of the one before. */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, VotedTransaction } from '../../storages/storage.ts'
import { topic } from '../behaviour.ts'
import { begun, errorOf, pause, refuses, same } from '../claims.ts'
import type { Client } from '../client.ts'
import type { Workshop } from '../workshop.ts'

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

  it('a second voter of other objects gets its turn when the first finishes', (shop) =>
    theSecondIsServed(shop, ({ first }) => first.finish(), ['a', 'b']))

  it('a second voter of other objects gets its turn when the first aborts', (shop) =>
    theSecondIsServed(shop, ({ first }) => first.abort(), ['x', 'b']))

  it('a second voter gets its turn when the instance of the first is released', (shop) =>
    theSecondIsServed(shop, ({ client }) => client.instance.release(), ['x', 'b']))

  it('nine voters that wait are all served', async (shop) => {
    const clients = await shop.clients(10)
    const oids = await clients[0]!.create(...clients.map(() => '0'))
    for (const client of clients) await client.poll()
    const first = await clients[0]!.vote(new Map([[oids[0]!, '1']]))
    const commitOne = (client: Client, index: number) => client.commitHere(new Map([[oids[index + 1]!, '1']]))
    const waiting = begun(() => Promise.all(clients.slice(1).map(commitOne)))
    await pause(5)
    await first.finish()
    const tids = await waiting
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

  it('a transaction that is aborted while its vote waits cannot finish, and the vote says that it was aborted', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const first = await a!.vote(new Map([[oid, 'a']]))
    const waiting = await b!.stage(new Map([[oid, 'b']]))
    const voting = begun(() => waiting.vote())
    const outcome = errorOf(() => voting)
    let hasWaited = true
    void outcome.then(() => {
      hasWaited = false
    })
    await pause(5)
    const isAborted = hasWaited
    await waiting.abort()
    await first.finish()
    if ((await outcome) === undefined) {
      const voted = await voting
      await refuses('transaction-state', 'finish after an abort during the vote', () => voted.finish())
    } else if (isAborted) await refuses('transaction-state', 'the vote that waited', () => voting)
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

/** A voter, and what it has voted. */
interface Voter {
  readonly client: Client
  readonly first: VotedTransaction
}

/** One client has voted on an object; another one commits a second object, and is through once the first has ended. */
async function theSecondIsServed(
  shop: Workshop,
  end: (voter: Voter) => Awaitable<unknown>,
  expected: readonly string[],
): Promise<void> {
  const [client, other] = (await shop.clients(2)) as [Client, Client]
  const oids = await client.create('x', 'y')
  await client.poll()
  await other.poll()
  const first = await client.vote(new Map([[oids[0]!, 'a']]))
  const second = begun(() => other.commitHere(new Map([[oids[1]!, 'b']])))
  await pause(5)
  await end({ client, first })
  await second
  const reader = await shop.client()
  await reader.poll()
  same(await reader.readMany(oids), expected, 'both objects')
}
