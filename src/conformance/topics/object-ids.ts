/** Object ids: nobody is ever given one that somebody else has. */

import { type Oid, rootOid } from '../../core/ids.ts'
import { topic } from '../behaviour.ts'
import { holds, same } from '../claims.ts'

export const objectIds = topic('object ids', (it) => {
  it('new object ids ascend', async (shop) => {
    const client = await shop.client()
    const oids = [...(await client.newOids(100)), ...(await client.newOids(1))]
    same(
      oids,
      [...oids].sort((a, b) => a - b),
      'the ids in the order in which they were given',
    )
  })

  it('as many ids are given as were asked for', async (shop) => {
    const client = await shop.client()
    for (const count of [1, 2, 17, 1000])
      same((await client.newOids(count)).length, count, 'the number of ids')
  })

  it('asking for no ids gives none', async (shop) => {
    const client = await shop.client()
    same([...(await client.newOids(0))], [], 'the ids')
  })

  it('the root is never given out', async (shop) => {
    const client = await shop.client()
    holds(!(await client.newOids(50)).includes(rootOid), 'the root is not among the ids')
  })

  it('no id is given twice', async (shop) => {
    const client = await shop.client()
    const oids: Oid[] = []
    for (let round = 0; round < 200; round++)
      oids.push(...(await client.newOids(1 + shop.random.integer(40))))
    same(new Set(oids).size, oids.length, 'the number of different ids')
  })

  it('instances that ask at the same time get different ids', async (shop) => {
    const clients = await shop.clients(8)
    const given = await Promise.all(
      clients.flatMap((client) => Array.from({ length: 25 }, () => client.newOids(7))),
    )
    const oids = given.flat()
    same(new Set(oids).size, 8 * 25 * 7, 'the number of different ids')
  })

  it('ids are given without a snapshot', async (shop) => {
    const client = await shop.client()
    same((await client.newOids(3)).length, 3, 'the number of ids')
  })

  it('an id of the caller’s own choice is not given out afterwards', async (shop) => {
    const client = await shop.client()
    const [last] = await client.newOids(1)
    const chosen = Array.from({ length: 40 }, (_, index) => (last! + 1 + index) as Oid)
    await client.commit(new Map(chosen.map((oid) => [oid, 'mine'])))
    const given = await client.newOids(100)
    same(
      given.filter((oid) => chosen.includes(oid)),
      [],
      'ids given out that are in use',
    )
  })

  it('a large id of the caller’s own choice works', async (shop) => {
    const client = await shop.client()
    const oid = (2 ** 40) as Oid
    await client.write(oid, 'far away')
    same(await client.readNow(oid), 'far away', 'the object')
    holds((await client.newOid()) !== oid, 'the id is not given out again')
  })

  it('ids given to aborted transactions are not given again', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const transaction = await client.stage(new Map([[oid, 'a']]))
    await transaction.abort()
    holds(!(await client.newOids(50)).includes(oid), 'the id is not given out again')
  })
})
