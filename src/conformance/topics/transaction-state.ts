/** What a transaction allows in each of its states, and what a call at the wrong time leaves unharmed. */

import { noTid } from '../../core/ids.ts'
import type { Transaction, VotedTransaction } from '../../storages/storage.ts'
import { topic } from '../behaviour.ts'
import { refuses, same } from '../claims.ts'
import { toBytes } from '../client.ts'

const state = 'transaction-state'

/** The calls that the types would not allow. */
const misuse = (transaction: Transaction | VotedTransaction) => transaction as Transaction & VotedTransaction

export const transactionState = topic('transaction state', (it) => {
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
})
