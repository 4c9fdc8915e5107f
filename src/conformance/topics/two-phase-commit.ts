/** The order of the two-phase commit, and what each step promises. */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Transaction, VotedTransaction } from '../../storages/storage.ts'
import { topic } from '../behaviour.ts'
import { errorOf, holds, pause, refuses, same } from '../claims.ts'
import { toBytes } from '../client.ts'

const state = 'transaction-state'

/** The calls that the types would not allow. */
const misuse = (transaction: Transaction | VotedTransaction) => transaction as Transaction & VotedTransaction

export const twoPhaseCommit = topic('two-phase commit', (it) => {
  it('begin needs a snapshot', async (shop) => {
    const client = await shop.client()
    await refuses(state, 'begin before the first poll', () => client.begin())
  })

  it('begin needs a new snapshot after the transaction was completed', async (shop) => {
    const client = await shop.client()
    await client.poll()
    await client.instance.afterCompletion()
    await refuses(state, 'begin after afterCompletion', () => client.begin())
    await client.poll()
    await client.begin().abort()
  })

  it('an instance has one transaction at a time, and the first stays usable', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await refuses(state, 'a second begin', () => client.begin())
    await transaction.store(oid, noTid, toBytes('a'))
    await (await transaction.vote()).finish()
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('begin works again after finish, after abort, and after a failed vote', async (shop) => {
    const [client, other] = await shop.clients(2)
    const oid = await client!.createOne('a')
    await client!.poll()
    await client!.begin().abort()
    await (await client!.begin().vote()).abort()
    await client!.poll()
    const transaction = await client!.stage(new Map([[oid, 'mine']]))
    await other!.write(oid, 'theirs')
    await refuses('conflict', 'the vote', () => transaction.vote())
    await transaction.abort()
    await client!.write(oid, 'again')
    same(await client!.readNow(oid), 'again', 'the object')
  })

  it('a transaction of several objects becomes visible whole', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oids = await writer!.create('0', '0', '0')
    for (let round = 1; round <= 10; round++) {
      await writer!.commit(new Map(oids.map((oid) => [oid, `${round}`])))
      await reader!.poll()
      same(new Set(await reader!.readMany(oids)), new Set([`${round}`]), 'the different values seen')
    }
  })

  it('nothing is visible between vote and finish', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oid = await writer!.createOne('before')
    await writer!.poll()
    const last = writer!.storage.lastTid
    const voted = await writer!.vote(new Map([[oid, 'after']]))
    same(await reader!.readNow(oid), 'before', 'the object while the writer has voted')
    same(writer!.storage.lastTid, last, 'lastTid while the writer has voted')
    await voted.finish()
    same(await reader!.readNow(oid), 'after', 'the object after finish')
  })

  it('a stored object is not visible before the vote either', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oid = await writer!.createOne('before')
    await writer!.poll()
    const transaction = await writer!.stage(new Map([[oid, 'after']]))
    same(await reader!.readNow(oid), 'before', 'the object for others')
    same(await writer!.read(oid), 'before', 'the object for the writer')
    await transaction.abort()
  })

  it('abort before the vote leaves no trace', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    const fresh = await client.newOid()
    await client.poll()
    const last = client.storage.lastTid
    const transaction = await client.stage(
      new Map([
        [oid, 'after'],
        [fresh, 'new'],
      ]),
    )
    await transaction.abort()
    same(await client.readNow(oid), 'before', 'the changed object')
    same(await client.read(fresh), undefined, 'the new object')
    same(client.storage.lastTid, last, 'lastTid')
  })

  it('abort after the vote leaves no trace', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    const fresh = await client.newOid()
    await client.poll()
    const last = client.storage.lastTid
    const voted = await client.vote(
      new Map([
        [oid, 'after'],
        [fresh, 'new'],
      ]),
    )
    await voted.abort()
    same(await client.readNow(oid), 'before', 'the changed object')
    same(await client.read(fresh), undefined, 'the new object')
    same(client.storage.lastTid, last, 'lastTid')
  })

  it('after an abort the same objects can be written', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    await (await client.vote(new Map([[oid, 'aborted']]))).abort()
    await client.write(oid, 'kept')
    same(await client.readNow(oid), 'kept', 'the object')
  })

  it('abort twice is fine, before and after the vote', async (shop) => {
    const client = await shop.client()
    await client.poll()
    const open = client.begin()
    await open.abort()
    await open.abort()
    const voted = await client.begin().vote()
    await voted.abort()
    await voted.abort()
  })

  it('abort after finish does not undo', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    await voted.finish()
    await voted.abort()
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('abort of an old transaction does not touch the next one', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const old = client.begin()
    await old.abort()
    const next = client.begin()
    await next.store(oid, noTid, toBytes('next'))
    await old.abort()
    await (await next.vote()).finish()
    same(await client.readNow(oid), 'next', 'the object')
  })

  it('store after the vote is refused and changes nothing', async (shop) => {
    const client = await shop.client()
    const [a, b] = await client.newOids(2)
    await client.poll()
    const transaction = await client.stage(new Map([[a!, 'a']]))
    const voted = await transaction.vote()
    await refuses(state, 'store after vote', () => misuse(transaction).store(b!, noTid, toBytes('b')))
    await voted.finish()
    await client.poll()
    same(await client.readMany([a!, b!]), ['a', undefined], 'the objects')
  })

  it('readCurrent after the vote is refused', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    const { serial } = await client.load(oid)
    const transaction = client.begin()
    const voted = await transaction.vote()
    await refuses(state, 'readCurrent after vote', () => transaction.readCurrent(oid, serial))
    await voted.finish()
  })

  it('a second vote is refused, and the first still counts', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = await client.stage(new Map([[oid, 'a']]))
    const voted = await transaction.vote()
    await refuses(state, 'a second vote', () => transaction.vote())
    await voted.finish()
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('a second finish is refused and commits nothing', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    const tid = await voted.finish()
    await refuses(state, 'a second finish', () => voted.finish())
    same(client.storage.lastTid, tid, 'lastTid')
  })

  it('finish after abort is refused', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    await voted.abort()
    await refuses(state, 'finish after abort', () => voted.finish())
    same(await client.readNow(oid), undefined, 'the object')
  })

  it('store and vote after abort are refused', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await transaction.abort()
    await refuses(state, 'store after abort', () => transaction.store(oid, noTid, toBytes('a')))
    await refuses(state, 'vote after abort', () => transaction.vote())
  })

  it('store and vote after finish are refused', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = client.begin()
    await (await transaction.vote()).finish()
    await refuses(state, 'store after finish', () => transaction.store(oid, noTid, toBytes('a')))
    await refuses(state, 'vote after finish', () => transaction.vote())
  })

  it('after a failed vote only abort is left', async (shop) => {
    const [client, other] = await shop.clients(2)
    const oid = await client!.createOne('a')
    await client!.poll()
    const transaction = await client!.stage(new Map([[oid, 'mine']]))
    await other!.write(oid, 'theirs')
    await refuses('conflict', 'the vote', () => transaction.vote())
    await refuses(state, 'store after a failed vote', () => transaction.store(oid, noTid, toBytes('b')))
    await refuses(state, 'a vote after a failed vote', () => transaction.vote())
    await transaction.abort()
    same(await client!.readNow(oid), 'theirs', 'the object')
  })

  it('finish tells the tid once, before it returns, and returns the same', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    const told: Tid[] = []
    const tid = await voted.finish((one) => told.push(one))
    same(told, [tid], 'the tids that onTid was told')
  })

  it('lastTid does not tell of the transaction before onTid has run', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('before')
    await client.poll()
    const last = client.storage.lastTid
    const voted = await client.vote(new Map([[oid, 'after']]))
    let seen: Tid | undefined
    const tid = await voted.finish(() => {
      seen = client.storage.lastTid
    })
    same(seen, last, 'lastTid while onTid runs')
    same(client.storage.lastTid, tid, 'lastTid after finish')
  })

  it('nobody sees the transaction before onTid has run', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oid = await writer!.createOne('0')
    for (let round = 1; round <= 10; round++) {
      await writer!.poll()
      const voted = await writer!.vote(new Map([[oid, `${round}`]]))
      let isTold = false
      const finishing = (async () => {
        await voted.finish(() => {
          isTold = true
        })
      })()
      // Looks again and again, from the moment that finish is under way until the transaction is visible.
      for (let text: string | undefined, looks = 1; text !== `${round}`; looks++) {
        // Mostly at once, and now and then later, so that timers and disks get on.
        if (looks % 4 === 0) await pause()
        text = await reader!.readNow(oid)
        holds(text !== `${round}` || isTold, 'whoever sees the transaction, onTid has run before')
      }
      await finishing
    }
  })

  it('an exception in onTid is thrown by finish, and the transaction stands', async (shop) => {
    const [client, other] = await shop.clients(2)
    const oid = await client!.newOid()
    await client!.poll()
    const voted = await client!.vote(new Map([[oid, 'a']]))
    const error = await errorOf(() =>
      voted.finish(() => {
        throw new Error('from onTid')
      }),
    )
    holds(error instanceof Error && error.message === 'from onTid', 'finish throws what onTid threw')
    same(await other!.readNow(oid), 'a', 'the object')
    await other!.write(oid, 'b')
    same(await client!.readNow(oid), 'b', 'the object after another commit')
  })

  it('finish without onTid works', async (shop) => {
    const client = await shop.client()
    await client.poll()
    const tid = await (await client.begin().vote()).finish()
    holds(tid > noTid, 'it returns a tid')
  })

  it('a transaction without changes commits, again and again', async (shop) => {
    const client = await shop.client()
    let last = noTid
    for (let round = 0; round < 5; round++) {
      await client.poll()
      const tid = await (await client.begin().vote()).finish()
      holds(tid >= last, `tid ${tid} is not before ${last}`)
      last = tid
    }
    const oid = await client.createOne('a')
    holds((await client.readNow(oid)) === 'a', 'and a change afterwards works')
  })

  it('nothing was merged, so resolvedOids is empty', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const voted = await client.vote(new Map([[oid, 'a']]))
    same([...voted.resolvedOids], [], 'resolvedOids')
    await voted.finish()
  })

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
      await refuses(state, 'finish after an abort during the vote', () => voted.finish())
    }
    same(await a!.readNow(oid), 'a', 'the object')
    await b!.write(oid, 'b')
    same(await a!.readNow(oid), 'b', 'the object after another commit')
  })

  it('releasing an instance aborts its transaction', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('before')
    await a!.poll()
    await a!.stage(new Map([[oid, 'after']]))
    await a!.instance.release()
    same(await b!.readNow(oid), 'before', 'the object')
    await b!.write(oid, 'free')
    same(await b!.readNow(oid), 'free', 'the object after another commit')
  })

  it('a misuse does not break the transaction', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = await client.stage(new Map([[oid, 'a']]))
    // Where the open transaction is an object of its own, it has no finish to be misused.
    if (typeof misuse(transaction).finish === 'function') {
      await refuses(state, 'finish before vote', () => misuse(transaction).finish())
    }
    await refuses(state, 'begin inside a transaction', () => client.begin())
    await (await transaction.vote()).finish()
    same(await client.readNow(oid), 'a', 'the object')
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
