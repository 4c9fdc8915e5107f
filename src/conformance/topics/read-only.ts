/** A storage that was opened for reading refuses everything else. */

import type { Oid, Tid } from '../../core/ids.ts'
import { emptyMetadata } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { refuses, same } from '../claims.ts'
import type { Workshop } from '../workshop.ts'

/** A persistent store exists before it is opened for reading. */
async function openReadOnly(shop: Workshop) {
  if (shop.capabilities.persistent) {
    await shop.storage()
    return await shop.reopen({ readOnly: true })
  }
  return await shop.openWith({ readOnly: true })
}

export const readOnly = topic('read-only', (it) => {
  it('begin is refused', async (shop) => {
    await openReadOnly(shop)
    const client = await shop.client()
    await client.poll()
    await refuses('read-only', 'begin', () => client.begin())
  })

  it('newOids is refused', async (shop) => {
    await openReadOnly(shop)
    const client = await shop.client()
    await refuses('read-only', 'newOids', () => client.newOids(1))
  })

  it('zap is refused', async (shop) => {
    const storage = await openReadOnly(shop)
    await refuses('read-only', 'zap', () => storage.zap())
  })

  it(
    'pack is refused',
    async (shop) => {
      const storage = await openReadOnly(shop)
      await refuses('read-only', 'pack', () => storage.pack!({ before: 1 as Tid }))
    },
    needs('pack'),
  )

  it(
    'restore is refused',
    async (shop) => {
      const storage = await openReadOnly(shop)
      const transaction = { tid: 5 as Tid, metadata: emptyMetadata, records: [] }
      await refuses('read-only', 'restore', () => storage.restore!(transaction))
    },
    needs('iteration'),
  )

  it(
    'reading works',
    async (shop) => {
      const writer = await shop.client()
      const oids = await writer.create('a', 'b')
      const { lastTid } = writer.storage
      const storage = await shop.reopen({ readOnly: true })
      same(storage.lastTid, lastTid, 'lastTid')
      const client = await shop.client()
      await client.poll()
      same(await client.read(oids[0]!), 'a', 'an object by load')
      same(await client.readMany([...oids, 5555 as Oid]), ['a', 'b', undefined], 'the objects by loadMany')
    },
    needs('persistent'),
  )

  it(
    'reading old revisions works',
    async (shop) => {
      const writer = await shop.client()
      const oid = await writer.createOne('a')
      const tid = await writer.write(oid, 'b')
      await shop.reopen({ readOnly: true })
      const client = await shop.client()
      same(await client.readBefore(oid, tid), 'a', 'the old revision')
    },
    needs('persistent', 'history'),
  )

  it(
    'iterating works',
    async (shop) => {
      const writer = await shop.client()
      await writer.create('a', 'b')
      const { lastTid } = writer.storage
      const storage = await shop.reopen({ readOnly: true })
      const tids: Tid[] = []
      for await (const { tid } of storage.iterate!()) tids.push(tid)
      same(tids, [lastTid], 'the tids')
    },
    needs('persistent', 'iteration'),
  )

  it(
    'nothing is different afterwards',
    async (shop) => {
      const writer = await shop.client()
      const oid = await writer.createOne('a')
      const { lastTid } = writer.storage
      await shop.reopen({ readOnly: true })
      const reader = await shop.client()
      same(await reader.readNow(oid), 'a', 'the object')
      const storage = await shop.reopen()
      same(storage.lastTid, lastTid, 'lastTid')
      const again = await shop.client()
      await again.write(oid, 'b')
      same(await again.readNow(oid), 'b', 'the object after a change')
    },
    needs('persistent'),
  )
})
