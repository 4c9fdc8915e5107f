/** readCurrent: a transaction is only right if what it read is still current when it commits. */

import { isTransient } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Transaction, VotedTransaction } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, errorOf, holds, pause, refuses, same } from '../claims.ts'
import { type Client, mergeNumbers, put, toBytes } from '../client.ts'
import { untilThrough } from '../conflicting.ts'

async function declareAndVote(
  transaction: Transaction,
  oid: Oid,
  serial: Tid,
  writes: ReadonlyMap<Oid, { serial: Tid; text: string }> = new Map(),
): Promise<VotedTransaction> {
  try {
    for (const [written, { serial: from, text }] of writes) await put(transaction, written, from, text)
    await transaction.readCurrent(oid, serial)
    return await transaction.vote()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

async function serialOf(client: Client, oid: Oid): Promise<Tid> {
  return (await client.load(oid)).serial
}

export const readCurrent = topic('read current', (it) => {
  it('an object that is current lets the transaction commit', async (shop) => {
    const client = await shop.client()
    const [read, written] = await client.create('read', 'written')
    await client.poll()
    const writes = new Map([[written!, { serial: await serialOf(client, written!), text: 'changed' }]])
    const voted = await declareAndVote(client.begin(), read!, await serialOf(client, read!), writes)
    await voted.finish()
    same(await client.readNow(written!), 'changed', 'the written object')
  })

  it('an object that was changed is a read conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    const serial = await serialOf(a!, oid)
    await b!.write(oid, '1')
    await refuses('read-conflict', 'readCurrent of a stale revision', () =>
      declareAndVote(a!.begin(), oid, serial),
    )
  })

  it('a read conflict is transient, and names the object', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    const serial = await serialOf(a!, oid)
    await b!.write(oid, '1')
    const error = await refuses('read-conflict', 'readCurrent', () => declareAndVote(a!.begin(), oid, serial))
    holds(
      isTransient(error) || (error as { transient?: boolean }).transient === true,
      'the error is transient',
    )
    same((error as { details?: { oid?: Oid } }).details?.oid, oid, 'the oid in the details of the error')
  })

  it('a read conflict leaves nothing of the transaction, and repeating it works', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [read, written] = await a!.create('0', '0')
    await a!.poll()
    const serial = await serialOf(a!, read!)
    const writes = new Map([[written!, { serial: await serialOf(a!, written!), text: 'mine' }]])
    await b!.write(read!, '1')
    await refuses('read-conflict', 'the vote', () => declareAndVote(a!.begin(), read!, serial, writes))
    await a!.poll()
    same(await a!.read(written!), '0', 'the written object')
    await (await declareAndVote(a!.begin(), read!, await serialOf(a!, read!), writes)).finish()
    same(await a!.readNow(written!), 'mine', 'the written object after repeating')
  })

  it('a read conflict is counted', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    const serial = await serialOf(a!, oid)
    await b!.write(oid, '1')
    const before = a!.storage.counters().conflicts
    await refuses('read-conflict', 'the vote', () => declareAndVote(a!.begin(), oid, serial))
    same(a!.storage.counters().conflicts - before, 1, 'the number of conflicts counted')
  })

  it('a change between readCurrent and vote is a read conflict', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    const transaction = a!.begin()
    await transaction.readCurrent(oid, await serialOf(a!, oid))
    // A storage may hold the object from here on; then the other commit waits until the end.
    const competing = begun(() => b!.write(oid, '1'))
    await pause(5)
    const error = await errorOf(async () => {
      const voted = await transaction.vote()
      const tid = await voted.finish()
      holds((await competing) > tid, 'a competitor that was not noticed commits later')
    })
    if (error !== undefined) {
      await transaction.abort()
      await refuses('read-conflict', 'the vote', () => {
        throw error
      })
    }
    await competing
  })

  it('a competitor that comes after the vote gets a later tid', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [read, written] = await a!.create('0', '0')
    await a!.poll()
    await b!.poll()
    const writes = new Map([[written!, { serial: await serialOf(a!, written!), text: 'mine' }]])
    const voted = await declareAndVote(a!.begin(), read!, await serialOf(a!, read!), writes)
    let attempts = 0
    const competing = begun(() =>
      untilThrough(b!, async () => {
        if (attempts++ > 0) {
          await pause(1)
          await b!.poll()
        }
        // Where the row is held, a storage may refuse at once to wait for it.
        await b!.commitHere(new Map([[read!, 'theirs']]))
      }),
    )
    await pause(5)
    const tid = await voted.finish()
    await competing
    await a!.poll()
    holds((await serialOf(a!, read!)) > tid, 'the competitor’s tid is the later one')
  })

  it(
    'an object that was deleted is a read conflict',
    async (shop) => {
      const [a, b] = await shop.clients(2)
      const oid = await a!.createOne('0')
      await a!.poll()
      const serial = await serialOf(a!, oid)
      await b!.write(oid, null)
      await refuses('read-conflict', 'the vote', () => declareAndVote(a!.begin(), oid, serial))
    },
    needs('deletion'),
  )

  it('readCurrent makes no revision', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('0')
    await client.poll()
    const serial = await serialOf(client, oid)
    await (await declareAndVote(client.begin(), oid, serial)).finish()
    await client.poll()
    same(await serialOf(client, oid), serial, 'the serial')
  })

  it('others are not told of objects that were only read', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [read, written] = await a!.create('0', '0')
    await a!.poll()
    await b!.poll()
    const writes = new Map([[written!, { serial: await serialOf(a!, written!), text: '1' }]])
    await (await declareAndVote(a!.begin(), read!, await serialOf(a!, read!), writes)).finish()
    same(await b!.poll(), new Set([written!]), 'what the other client is told')
  })

  it('two transactions may declare the same object', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await b!.poll()
    const serial = await serialOf(a!, oid)
    const first = await declareAndVote(a!.begin(), oid, serial)
    const second = declareAndVote(b!.begin(), oid, serial)
    await first.finish()
    await (await second).finish()
  })

  it('an object may be declared and written in one transaction', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('0')
    await client.poll()
    const serial = await serialOf(client, oid)
    const writes = new Map([[oid, { serial, text: '1' }]])
    await (await declareAndVote(client.begin(), oid, serial, writes)).finish()
    same(await client.readNow(oid), '1', 'the object')
  })

  it('abort after the vote lets the object go', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    const voted = await declareAndVote(a!.begin(), oid, await serialOf(a!, oid))
    await voted.abort()
    await b!.write(oid, '1')
    same(await a!.readNow(oid), '1', 'the object')
  })

  it('no resolver can mend a read conflict', async (shop) => {
    await shop.openWith({ resolveConflict: mergeNumbers })
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('1')
    await a!.poll()
    const serial = await serialOf(a!, oid)
    await b!.write(oid, '2')
    await refuses('read-conflict', 'the vote', () => declareAndVote(a!.begin(), oid, serial))
  })

  it('many objects can be declared', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oids = await a!.create(...Array.from({ length: 200 }, (_, index) => `${index}`))
    await a!.poll()
    const serial = await serialOf(a!, oids[0]!)
    const transaction = a!.begin()
    for (const oid of oids) await transaction.readCurrent(oid, serial)
    await (await transaction.vote()).finish()
    await a!.poll()
    await b!.write(oids[150]!, 'changed')
    const again = a!.begin()
    await refuses('read-conflict', 'the vote', async () => {
      for (const oid of oids) await again.readCurrent(oid, serial)
      await again.vote()
    })
    await again.abort()
  })

  it('two that each read what the other writes never both win', async (shop) => {
    const clients = await shop.clients(2)
    const [x, y] = await clients[0]!.create('0', '0')
    for (let round = 0; round < 20; round++) {
      for (const client of clients) await client.poll()
      const outcomes = await Promise.all(
        clients.map((client, index) => {
          const [read, written] = index === 0 ? [x!, y!] : [y!, x!]
          return errorOf(async () => {
            const serial = await serialOf(client, written)
            const writes = new Map([[written, { serial, text: `${round}` }]])
            const declared = await serialOf(client, read)
            if (shop.random.integer(2) === 0) await pause()
            await (await declareAndVote(client.begin(), read, declared, writes)).finish()
          })
        }),
      )
      const winners = outcomes.filter((error) => error === undefined)
      for (const error of outcomes) if (error !== undefined && !isTransient(error)) throw error
      holds(winners.length <= 1, `at most one of two crossing transactions commits (round ${round})`)
    }
  })

  it('a creation under a declared parent is refused when the parent has changed', async (shop) => {
    const [a, b] = await shop.clients(2)
    const parent = await a!.createOne('0')
    const child = await a!.newOid()
    await a!.poll()
    const serial = await serialOf(a!, parent)
    await b!.write(parent, '1')
    const transaction = a!.begin()
    await refuses('read-conflict', 'the vote', async () => {
      await transaction.store(child, 0 as Tid, toBytes('child'))
      await transaction.readCurrent(parent, serial)
      await transaction.vote()
    })
    await transaction.abort()
    same(await a!.readNow(child), undefined, 'the child')
  })
})
