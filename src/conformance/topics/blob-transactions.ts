/** Blobs and transactions: who sees which blob when, what ends a blob that is being stored, and conflicts. */

import { noTid } from '../../core/ids.ts'
import { type Need, needs, topic } from '../behaviour.ts'
import {
  chunked,
  commitBlob,
  content,
  hasNoBlob,
  mustOpen,
  putBlob,
  sameContent,
  showsBlob,
  showsBlobNow,
  stageBlob,
  Watched,
  withBlob,
  writeBlob,
} from '../blob-content.ts'
import { errorOf, holds, refuses, same } from '../claims.ts'
import { mergeNumbers, put, voteOrAbort } from '../client.ts'
import { untilThrough } from '../conflicting.ts'

const needsMerging: Need = needs('conflictResolution')

export const blobTransactions = topic(
  'blob transactions',
  (it) => {
    it('an uncommitted blob is seen by nobody', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const other = await shop.client()
      const transaction = await stageBlob(client, oid, 'b', chunked(2, 6000))
      await showsBlobNow(other, oid, 1, 5000, 'the blob before the vote')
      const voted = await voteOrAbort(transaction)
      await showsBlobNow(other, oid, 1, 5000, 'the blob before the end')
      await voted.finish()
      await showsBlobNow(other, oid, 2, 6000, 'the blob after the commit')
    })

    it('a snapshot shows the blob that it has', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const other = await shop.client()
      await writeBlob(other, oid, 'b', chunked(2, 6000))
      await showsBlob(client, oid, 1, 5000, 'the blob in the old snapshot')
      await other.write(oid, 'no blob')
      await showsBlob(client, oid, 1, 5000, 'the blob in the older snapshot')
      await client.poll()
      await hasNoBlob(client, oid, 'the blob in the new snapshot')
    })

    it('a change of the blob is reported', async (shop) => {
      const { client, oid } = await withBlob(shop)
      const other = await shop.client()
      await writeBlob(other, oid, 'a', chunked(2, 6000))
      const changed = await client.poll()
      holds(changed === 'all' || changed.has(oid), 'the poll reports the object')
    })

    it('a plain store drops the blob', async (shop) => {
      const { client, oid } = await withBlob(shop)
      await client.write(oid, 'plain')
      await client.poll()
      await hasNoBlob(client, oid, 'the blob')
      await writeBlob(client, oid, 'again', chunked(3, 100))
      await showsBlobNow(client, oid, 3, 100)
    })

    it('the last store of an object in a transaction counts', async (shop) => {
      const client = await shop.client()
      const [twice, dropped, added] = await client.newOids(3)
      await client.poll()
      const transaction = client.begin()
      await putBlob(transaction, twice!, noTid, 'first', chunked(1, 70_000))
      await putBlob(transaction, twice!, noTid, 'second', chunked(2, 300))
      await putBlob(transaction, dropped!, noTid, 'first', chunked(1, 300))
      await put(transaction, dropped!, noTid, 'second')
      await put(transaction, added!, noTid, 'first')
      await putBlob(transaction, added!, noTid, 'second', chunked(3, 300))
      await (await voteOrAbort(transaction)).finish()
      await client.poll()
      same(await client.readMany([twice!, dropped!, added!]), ['second', 'second', 'second'], 'the data')
      await showsBlob(client, twice!, 2, 300, 'the blob that was stored twice')
      await hasNoBlob(client, dropped!, 'the blob that a plain store followed')
      await showsBlob(client, added!, 3, 300, 'the blob that followed a plain store')
    })

    it('many blobs in one transaction, and plain objects between them', async (shop) => {
      const client = await shop.client()
      const oids = await client.newOids(60)
      await client.poll()
      const transaction = client.begin()
      for (const [at, oid] of oids.entries()) {
        if (at % 3 === 0) await put(transaction, oid, noTid, `${at}`)
        else await putBlob(transaction, oid, noTid, `${at}`, chunked(at, at * 700))
      }
      await (await voteOrAbort(transaction)).finish()
      await client.poll()
      for (const [at, oid] of oids.entries()) {
        same(await client.read(oid), `${at}`, 'the data')
        if (at % 3 === 0) await hasNoBlob(client, oid, 'the blob of a plain object')
        else await showsBlob(client, oid, at, at * 700, `blob ${at}`)
      }
    })

    it('what the source throws is thrown, and nothing is left but to abort', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      const problem = new Error('the source ran dry')
      async function* failing() {
        yield* chunked(2, 100_000)
        throw problem
      }
      same(await errorOf(() => putBlob(transaction, oid, serial, 'b', failing())), problem, 'the error')
      await refuses('transaction-state', 'a vote', () => transaction.vote())
      await transaction.abort()
      await showsBlobNow(client, oid, 1, 5000, 'the blob afterwards')
      same(await client.read(oid), 'a', 'the data afterwards')
      await writeBlob(client, oid, 'c', chunked(3, 500))
      await showsBlobNow(client, oid, 3, 500, 'the blob of the next transaction')
    })

    it('abort leaves nothing, before the vote and after it', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      await (await stageBlob(client, oid, 'b', chunked(2, 6000))).abort()
      await showsBlobNow(client, oid, 1, 5000, 'the blob after the first abort')
      await (await (await stageBlob(client, oid, 'b', chunked(2, 6000))).vote()).abort()
      await showsBlobNow(client, oid, 1, 5000, 'the blob after the second abort')
      same(await client.read(oid), 'a', 'the data')
    })

    it('an abort ends a blob that is being stored', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      const source = new Watched(chunked(2, 2 << 20, [1000]), (takenBytes) => {
        if (takenBytes === 20_000) void transaction.abort()
      })
      await refuses('transaction-state', 'going on storing', () =>
        putBlob(transaction, oid, serial, 'b', source),
      )
      await transaction.abort()
      same(
        [source.takenBytes <= 25_000, source.isEnded],
        [true, true],
        'that the source was left soon, and ended',
      )
      await showsBlobNow(client, oid, 1, 5000, 'the blob afterwards')
      await writeBlob(client, oid, 'c', chunked(3, 500))
      await showsBlobNow(client, oid, 3, 500, 'the blob of the next transaction')
    })

    it('nothing else is done on a transaction while it stores a blob', async (shop) => {
      const { client, oid } = await withBlob(shop)
      const { serial } = await client.load(oid)
      const transaction = client.begin()
      let proceed = () => {}
      const gate = new Promise<void>((resolve) => {
        proceed = resolve
      })
      async function* slow() {
        yield content(2, 1000)
        await gate
        yield content(2, 1000, 1000)
      }
      const storing = putBlob(transaction, oid, serial, 'b', slow())
      await refuses('transaction-state', 'a store meanwhile', () => put(transaction, oid, serial, 'x'))
      await refuses('transaction-state', 'a vote meanwhile', () => transaction.vote())
      proceed()
      await storing
      await (await voteOrAbort(transaction)).finish()
      await showsBlobNow(client, oid, 2, 2000)
    })

    it('storeBlob after the vote is refused', async (shop) => {
      const { client, oid, tid } = await withBlob(shop)
      const transaction = client.begin()
      const voted = await transaction.vote()
      await refuses('transaction-state', 'storeBlob after vote', () =>
        putBlob(transaction, oid, tid, 'b', chunked(1, 10)),
      )
      await voted.abort()
    })

    it('a blob for a stale revision is a conflict', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const other = await shop.client()
      await writeBlob(other, oid, 'b', chunked(2, 6000))
      await refuses('conflict', 'the commit', () => commitBlob(client, oid, 'c', chunked(3, 7000)))
      await showsBlobNow(client, oid, 2, 6000)
    })

    it(
      'a conflict with a blob on either side is not resolved',
      async (shop) => {
        await shop.openWith({ resolveConflict: mergeNumbers })
        const [a, b] = await shop.clients(2)
        const [mine, committed, both] = await a!.create('10', '10', '10')
        await a!.poll()
        await b!.write(mine!, '11')
        await writeBlob(b!, committed!, '11', chunked(1, 100))
        await writeBlob(b!, both!, '11', chunked(1, 100))
        await refuses('conflict', 'a blob over a plain change', () =>
          commitBlob(a!, mine!, '15', chunked(2, 200)),
        )
        await refuses('conflict', 'a plain change over a blob', () =>
          a!.commitHere(new Map([[committed!, '15']])),
        )
        await refuses('conflict', 'a blob over a blob', () => commitBlob(a!, both!, '15', chunked(2, 200)))
        await a!.poll()
        same(await a!.readMany([mine!, committed!, both!]), ['11', '11', '11'], 'the numbers')
      },
      needsMerging,
    )

    it(
      'two plain changes are merged, though the revision before them had a blob',
      async (shop) => {
        await shop.openWith({ resolveConflict: mergeNumbers })
        const { client, oid } = await withBlob(shop, 1, 100, '10')
        const other = await shop.client()
        await other.write(oid, '11')
        await client.commitHere(new Map([[oid, '15']]))
        await client.poll()
        same(await client.read(oid), '16', 'the number')
        await hasNoBlob(client, oid, 'the blob')
      },
      needsMerging,
    )

    it('whoever repeats a blob after a conflict wins in the end', async (shop) => {
      const clients = await shop.clients(3)
      const oid = await clients[0]!.createOne('0')
      await Promise.all(
        clients.map(async (client, index) => {
          for (let round = 0; round < 4; round++) {
            await untilThrough(client, async () => {
              await client.poll()
              const next = Number(await client.read(oid)) + 1
              await commitBlob(client, oid, `${next}`, chunked(next, 1000 * next, [777 + index]))
            })
          }
        }),
      )
      const client = clients[0]!
      same(await client.readNow(oid), '12', 'the number')
      await showsBlob(client, oid, 12, 12_000)
    })

    it('a reader outlives its snapshot, and the blob’s replacement', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 200_000)
      const reader = await mustOpen(client, oid)
      await reader.read(0, 10)
      await writeBlob(client, oid, 'b', chunked(2, 300_000))
      await client.poll()
      await client.instance.afterCompletion()
      await sameContent(reader, 1, 200_000, 'the old blob')
      await reader.close()
    })

    it('a closed reader refuses to read, and closing twice is fine', async (shop) => {
      const { client, oid } = await withBlob(shop)
      const reader = await mustOpen(client, oid)
      await reader.close()
      await reader.close()
      await refuses('closed', 'reading', () => reader.read(0, 10))
    })

    it('releasing an instance closes its readers', async (shop) => {
      const { client, oid } = await withBlob(shop)
      const reader = await mustOpen(client, oid)
      await client.instance.release()
      await refuses('closed', 'reading', () => reader.read(0, 10))
      await reader.close()
    })

    it('closing the storage closes all readers', async (shop) => {
      const { client, oid } = await withBlob(shop)
      const reader = await mustOpen(client, oid)
      await client.storage.close()
      await refuses('closed', 'reading', () => reader.read(0, 10))
      await reader.close()
    })
  },
  needs('blobs'),
)
