/** What each step of the two-phase commit promises, and to whom it shows. */

import { noTid, type Tid } from '../../core/ids.ts'
import { topic } from '../behaviour.ts'
import { begun, errorOf, holds, lookingOn, same } from '../claims.ts'
import type { Changes, Client } from '../client.ts'
import type { Workshop } from '../workshop.ts'

export const twoPhaseCommit = topic('two-phase commit', (it) => {
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

  it('abort before the vote leaves no trace', (shop) =>
    leavesNoTrace(shop, async (client, changes) => (await client.stage(changes)).abort()))

  it('abort after the vote leaves no trace', (shop) =>
    leavesNoTrace(shop, async (client, changes) => (await client.vote(changes)).abort()))

  it('after an abort the same objects can be written', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    await (await client.vote(new Map([[oid, 'aborted']]))).abort()
    await client.write(oid, 'kept')
    same(await client.readNow(oid), 'kept', 'the object')
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
      const finishing = begun(() =>
        voted.finish(() => {
          isTold = true
        }),
      )
      let seen: string | undefined
      await lookingOn(finishing, async () => {
        seen = await reader!.readNow(oid)
        holds(seen !== `${round}` || isTold, 'whoever sees the transaction, onTid has run before')
      })
      same(seen, `${round}`, 'the object after finish')
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
})

async function leavesNoTrace(
  shop: Workshop,
  abort: (client: Client, changes: Changes) => Promise<unknown>,
): Promise<void> {
  const client = await shop.client()
  const oid = await client.createOne('before')
  const fresh = await client.newOid()
  await client.poll()
  const last = client.storage.lastTid
  await abort(
    client,
    new Map([
      [oid, 'after'],
      [fresh, 'new'],
    ]),
  )
  same(await client.readNow(oid), 'before', 'the changed object')
  same(await client.read(fresh), undefined, 'the new object')
  same(client.storage.lastTid, last, 'lastTid')
}
