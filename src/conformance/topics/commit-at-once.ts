/**
 * A commit in one step keeps every promise of its two. Where a storage has no `commit`, the two steps are what is checked,
 * as a connection would take them.
 */

import { noTid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, errorOf, holds, lookingOn, pause, refuses, same } from '../claims.ts'
import { commitAtOnce, mergeNumbers, put } from '../client.ts'
import { diverge } from '../conflicting.ts'

export const commitsAtOnce = topic('commit at once', (it) => {
  it('new, changed and several objects become visible whole', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oids = [...(await writer!.create('0', '0')), ...(await writer!.newOids(2))]
    for (let round = 1; round <= 5; round++) {
      await writer!.poll()
      const transaction = await writer!.stage(new Map(oids.map((oid) => [oid, `${round}`])))
      const { tid, resolvedOids } = await commitAtOnce(transaction)
      same([...resolvedOids], [], 'resolvedOids')
      await reader!.poll()
      same(new Set(await reader!.readMany(oids)), new Set([`${round}`]), 'the different values seen')
      same((await reader!.load(oids[0]!)).serial, tid, 'the serial of an object')
    }
  })

  it('the tid is told once, before anybody sees the transaction', async (shop) => {
    const [writer, reader] = await shop.clients(2)
    const oid = await writer!.createOne('0')
    for (let round = 1; round <= 10; round++) {
      await writer!.poll()
      const last = writer!.storage.lastTid
      const transaction = await writer!.stage(new Map([[oid, `${round}`]]))
      const told: Tid[] = []
      const committing = begun(() =>
        commitAtOnce(transaction, (tid) => {
          same(writer!.storage.lastTid, last, 'lastTid while onTid runs')
          told.push(tid)
        }),
      )
      let seen: string | undefined
      await lookingOn(committing, async () => {
        seen = await reader!.readNow(oid)
        holds(seen !== `${round}` || told.length > 0, 'whoever sees the transaction, onTid has run before')
      })
      same(seen, `${round}`, 'the object after the commit')
      same(told, [(await committing).tid], 'the tids that onTid was told')
    }
  })

  it('an exception in onTid is thrown, and the transaction stands', async (shop) => {
    const [client, other] = await shop.clients(2)
    const oid = await client!.newOid()
    await client!.poll()
    const transaction = await client!.stage(new Map([[oid, 'a']]))
    const error = await errorOf(() =>
      commitAtOnce(transaction, () => {
        throw new Error('from onTid')
      }),
    )
    holds(error instanceof Error && error.message === 'from onTid', 'commit throws what onTid threw')
    same(await other!.readNow(oid), 'a', 'the object')
    await other!.write(oid, 'b')
    same(await client!.readNow(oid), 'b', 'the object after another commit')
  })

  it('a conflict is counted once, leaves nothing, and repeating works', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [oid, beside] = await a!.create('0', '0')
    const fresh = await a!.newOid()
    await a!.poll()
    const changes = new Map([oid!, beside!, fresh].map((one) => [one, 'mine']))
    const transaction = await a!.stage(changes)
    await b!.write(oid!, 'theirs')
    const before = a!.storage.counters()
    await refuses('conflict', 'the commit', () => commitAtOnce(transaction))
    await transaction.abort()
    const { conflicts, commits } = a!.storage.counters()
    same(
      [conflicts - before.conflicts, commits - before.commits],
      [1, 0],
      'the conflicts and commits counted',
    )
    await a!.poll()
    same(await a!.readMany([oid!, beside!, fresh]), ['theirs', '0', undefined], 'the objects')
    await commitAtOnce(await a!.stage(changes))
    await b!.poll()
    same(await b!.readMany([oid!, beside!, fresh]), ['mine', 'mine', 'mine'], 'the objects after repeating')
  })

  it('of two that make the same new object, the second conflicts', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [low, oid, high] = await a!.newOids(3)
    await a!.write(low!, '0')
    await b!.poll()
    const transaction = b!.begin()
    await put(transaction, low!, (await b!.load(low!)).serial, '1')
    await put(transaction, oid!, noTid, 'mine')
    await put(transaction, high!, noTid, 'mine')
    await a!.write(oid!, 'theirs')
    await refuses('conflict', 'the commit', () => commitAtOnce(transaction))
    await transaction.abort()
    await b!.poll()
    same(await b!.readMany([low!, oid!, high!]), ['0', 'theirs', undefined], 'the objects')
  })

  it('what was read must be current', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [read, written] = await a!.create('0', '0')
    const missing = await a!.newOid()
    const declared = async () => {
      await a!.poll()
      const transaction = await a!.stage(new Map([[written!, 'mine']]))
      await transaction.readCurrent(read!, (await a!.load(read!)).serial)
      await transaction.readCurrent(missing, noTid)
      return transaction
    }
    const stale = await declared()
    await b!.write(read!, '1')
    await refuses('read-conflict', 'the commit', () => commitAtOnce(stale))
    await stale.abort()
    same(await a!.readNow(written!), '0', 'the written object')
    await commitAtOnce(await declared())
    same(await b!.readNow(written!), 'mine', 'the written object when what was read is current')
    const beside = await declared()
    await b!.write(missing, 'made')
    await refuses('read-conflict', 'the commit when a missing object was made', () => commitAtOnce(beside))
    await beside.abort()
  })

  it('who is in the way of it is waited for, and what he did is respected', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    for (const end of ['abort', 'finish'] as const) {
      await a!.poll()
      await b!.poll()
      const transaction = await b!.stage(new Map([[oid, 'b']]))
      const voted = await a!.vote(new Map([[oid, 'a']]))
      const outcome = errorOf(() => commitAtOnce(transaction))
      await pause(5)
      await voted[end]()
      const error = await outcome
      if (end === 'finish') await refuses('conflict', 'the commit', () => Promise.reject(error))
      else same(error, undefined, 'what the commit threw')
      await transaction.abort()
      same(await a!.readNow(oid), end === 'finish' ? 'a' : 'b', 'the object')
    }
  })

  it(
    'conflicts are merged as in a vote',
    async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, other, oid } = await diverge(shop, '10', '15')
      const plain = await mine.newOid()
      const transaction = mine.begin()
      await put(transaction, oid, (await mine.load(oid)).serial, '12')
      await put(transaction, plain, noTid, '1')
      const { resolvedOids, tid } = await commitAtOnce(transaction)
      same([...resolvedOids], [oid], 'resolvedOids')
      const changed = await mine.poll()
      holds(changed === 'all' || changed.has(oid), 'the merged object is reported to who merged it')
      same(await mine.read(oid), '17', 'the number')
      same((await mine.load(oid)).serial, tid, 'its serial')
      same(await other.readNow(oid), '17', 'the number for the other client')
    },
    needs('conflictResolution'),
  )

  it(
    'deleting what is not there is refused, and what is there goes',
    async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('0')
      const missing = await client.newOid()
      await client.poll()
      const vain = client.begin()
      const error = await errorOf(async () => {
        await vain.delete!(missing, noTid)
        await commitAtOnce(vain)
      })
      holds(error !== undefined, 'deleting a missing object fails')
      await vain.abort()
      await commitAtOnce(await client.stage(new Map([[oid, null]])))
      same(await client.readNow(oid), undefined, 'the deleted object')
      await commitAtOnce(await client.stage(new Map([[oid, 'anew']])))
      same(await client.readNow(oid), 'anew', 'the object that was made anew')
    },
    needs('deletion'),
  )

  it('a transaction without changes commits, again and again', async (shop) => {
    const client = await shop.client()
    let last = noTid
    for (let round = 0; round < 3; round++) {
      await client.poll()
      const { tid } = await commitAtOnce(client.begin())
      holds(tid >= last, `tid ${tid} is not before ${last}`)
      last = tid
    }
  })

  it('after it, the transaction takes nothing more', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = await client.stage(new Map([[oid, 'a']]))
    await commitAtOnce(transaction)
    await refuses('transaction-state', 'another commit', () => commitAtOnce(transaction))
    await refuses('transaction-state', 'store', () => put(transaction, oid, noTid, 'b'))
    await transaction.abort()
    same(await client.readNow(oid), 'a', 'the object')
  })

  it('commits of many clients are told in the order of their tids', async (shop) => {
    const clients = await shop.clients(6)
    const oids = await clients[0]!.create(...clients.map(() => '0'))
    const told: Tid[] = []
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 10; round++) {
          await client.poll()
          const transaction = await client.stage(new Map([[oids[index]!, `${round}`]]))
          await commitAtOnce(transaction, (tid) => told.push(tid))
        }
      }),
    )
    same(
      told,
      [...told].sort((a, b) => a - b),
      'the tids in the order in which they were told',
    )
  })
})
