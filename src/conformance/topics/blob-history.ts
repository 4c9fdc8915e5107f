import { type Oid, rootOid, type Tid } from '../../core/ids.ts'
import type { TransactionRecord } from '../../storages/storage.ts'
import { needs, needsSharing, topic } from '../behaviour.ts'
import {
  chunked,
  commitBlob,
  content,
  hasNoBlob,
  mustOpen,
  openBlob,
  sameContent,
  showsBlob,
  showsBlobNow,
  stageBlob,
  withBlob,
  writeBlob,
} from '../blob-content.ts'
import { eventually, fail, holds, refuses, same } from '../claims.ts'
import { type Client, mergeNumbers, toBytes, toText, voteOrAbort } from '../client.ts'

async function undo(client: Client, tid: Tid): Promise<Tid> {
  await client.poll()
  const transaction = client.begin()
  try {
    await transaction.undo!(tid)
    return await (await transaction.vote()).finish()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

/** The bytes of every blob that an iteration shows, as `tid oid: seed`; content is compared on the way. */
async function iterated(
  transactions: AsyncIterable<TransactionRecord>,
  seeds: ReadonlyMap<Tid, number>,
): Promise<string[]> {
  const lines: string[] = []
  for await (const { tid, records } of transactions) {
    for (const { oid, data, blob } of records) {
      const text = data === null ? '-' : toText(data)
      if (blob === undefined) {
        lines.push(`${oid} ${text}`)
        continue
      }
      let position = 0
      for await (const chunk of blob.chunks()) {
        const expected = content(
          seeds.get(tid) ?? fail(`transaction ${tid} has a blob`),
          chunk.length,
          position,
        )
        if (Buffer.compare(chunk, expected) !== 0) fail(`the iterated blob of object ${oid} is wrong`)
        position += chunk.length
      }
      same(position, blob.bytes, 'the bytes that came, compared with the size of the blob,')
      lines.push(`${oid} ${text} ${position}`)
    }
  }
  return lines
}

export const blobHistory = topic(
  'blob history',
  (it) => {
    it(
      'opened for reading, blobs can be read',
      async (shop) => {
        const { oid } = await withBlob(shop, 1, 5000)
        await shop.reopen({ readOnly: true })
        await showsBlobNow(await shop.client(), oid, 1, 5000)
      },
      needs('persistent'),
    )

    it(
      'a deletion drops the blob, and snapshots from before it keep it',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const other = await shop.client()
        await other.write(oid, null)
        await showsBlob(client, oid, 1, 5000, 'the blob in the old snapshot')
        await client.poll()
        await refuses('object-not-found', 'opening the blob', () => openBlob(client, oid))
      },
      needs('deletion'),
    )

    it(
      'undo brings the blob back, and redo the other',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const changed = await writeBlob(client, oid, 'b', chunked(2, 6000))
        const undone = await undo(client, changed)
        await showsBlobNow(client, oid, 1, 5000, 'the blob after the undo')
        same(await client.read(oid), 'a', 'the data after the undo')
        await undo(client, undone)
        await showsBlobNow(client, oid, 2, 6000, 'the blob after the redo')
      },
      needs('undo', 'history'),
    )

    it(
      'undo brings back a blob that a plain store dropped, and takes one away that was added',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const dropped = await client.write(oid, 'plain')
        const undone = await undo(client, dropped)
        await showsBlobNow(client, oid, 1, 5000, 'the blob after the undo')
        await undo(client, undone)
        await client.poll()
        await hasNoBlob(client, oid, 'the blob after the redo')
      },
      needs('undo', 'history'),
    )

    it(
      'undoing and redoing the creation takes the blob away and brings it back',
      async (shop) => {
        const { client, oid, tid } = await withBlob(shop, 1, 5000)
        const undone = await undo(client, tid)
        await client.poll()
        await refuses('object-not-found', 'opening the blob', () => openBlob(client, oid))
        await undo(client, undone)
        await showsBlobNow(client, oid, 1, 5000)
      },
      needs('undo', 'history'),
    )

    it(
      'a later revision with the same data and another blob is in the way of an undo',
      async (shop) => {
        await shop.openWith({ resolveConflict: mergeNumbers })
        const { client, oid } = await withBlob(shop, 1, 100, '1')
        const second = await writeBlob(client, oid, '2', chunked(2, 200))
        await writeBlob(client, oid, '2', chunked(3, 300))
        await refuses('undo', 'the undo', () => undo(client, second))
        await showsBlobNow(client, oid, 3, 300)
      },
      needs('undo', 'history'),
    )

    it(
      'iteration carries blobs, those of replaced revisions too',
      async (shop) => {
        const { client, oid, tid } = await withBlob(shop, 1, 5000)
        const second = await writeBlob(client, oid, 'b', chunked(2, 300_000))
        const third = await writeBlob(client, oid, 'c', [])
        await client.write(oid, 'd')
        const seeds = new Map([tid, second, third].map((one, at) => [one, at + 1]))
        const expected = [`${oid} a 5000`, `${oid} b 300000`, `${oid} c 0`, `${oid} d`]
        same(await iterated(client.storage.iterate!(), seeds), expected, 'what iteration shows')
      },
      needs('iteration', 'history'),
    )

    it(
      'a recorded blob can be read twice, and left early',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 900_000)
        let count = 0
        for await (const { records } of client.storage.iterate!()) {
          for (const { oid: one, blob } of records) {
            if (one !== oid || blob === undefined) continue
            for await (const chunk of blob.chunks()) {
              holds(chunk.length > 0, 'the first chunk has something')
              break
            }
            for (let round = 0; round < 2; round++) {
              let bytes = 0
              for await (const chunk of blob.chunks()) bytes += chunk.length
              same(bytes, 900_000, 'the bytes that came')
              count++
            }
          }
        }
        same(count, 2, 'the number of times the blob was read')
      },
      needs('iteration'),
    )

    it(
      'restore takes blobs over into another store',
      async (shop) => {
        const { client, oid, tid } = await withBlob(shop, 1, 5000)
        const [other, plain] = await client.newOids(2)
        await writeBlob(client, other!, 'b', chunked(2, 3_000_000, [1 << 20]))
        const empty = await writeBlob(client, plain!, 'c', [])
        await client.write(plain!, 'plain')
        const copy = await shop.another().client()
        for await (const one of client.storage.iterate!()) await copy.storage.restore!(one)
        await copy.poll()
        await showsBlob(copy, oid, 1, 5000, 'the first blob')
        await showsBlob(copy, other!, 2, 3_000_000, 'the large blob')
        await hasNoBlob(copy, plain!, 'the blob of the plain object')
        same((await copy.load(oid)).serial, tid, 'the serial')
        holds(empty < copy.storage.lastTid, 'all transactions were restored')
      },
      needs('iteration'),
    )

    it(
      'pack removes the blobs of packed revisions, and keeps the others',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 400_000)
        const [kept, gone] = await client.newOids(2)
        await client.write(rootOid, `${oid},${kept}`)
        await writeBlob(client, oid, '', chunked(2, 6000))
        await writeBlob(client, kept!, '', chunked(3, 7000))
        await writeBlob(client, gone!, '', chunked(4, 8000))
        await client.poll()
        const reader = await mustOpen(client, gone!)
        await client.instance.afterCompletion()
        const references = (data: Uint8Array) =>
          toText(data)
            .split(',')
            .filter((target) => target !== '')
            .map((target) => Number(target) as Oid)
        const result = await client.storage.pack!({ before: client.storage.lastTid, references })
        same(result.removedObjects, 1, 'removed objects')
        await client.poll()
        await showsBlob(client, oid, 2, 6000, 'the current blob')
        await showsBlob(client, kept!, 3, 7000, 'the other blob')
        await refuses('object-not-found', 'opening the blob of a collected object', () =>
          openBlob(client, gone!),
        )
        await sameContent(reader, 4, 8000, 'the blob that was open')
        await reader.close()
        await client.instance.afterCompletion()
        await client.storage.pack!({ before: client.storage.lastTid, references })
        await showsBlobNow(client, oid, 2, 6000, 'the current blob after another pack')
      },
      needs('pack'),
    )

    it(
      'a pack keeps the blob that an undo has brought back',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const changed = await writeBlob(client, oid, 'b', chunked(2, 6000))
        await undo(client, changed)
        await client.instance.afterCompletion()
        await client.storage.pack!({ before: client.storage.lastTid })
        await showsBlobNow(client, oid, 1, 5000)
      },
      needs('pack', 'undo', 'history'),
    )

    it(
      'a pack keeps what an open snapshot shows, and blobs that are being stored',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const other = await shop.client()
        await writeBlob(other, oid, 'b', chunked(2, 6000))
        await other.poll()
        const transaction = await stageBlob(other, oid, 'c', chunked(3, 7000))
        await client.storage.pack!({ before: client.storage.lastTid })
        await showsBlob(client, oid, 1, 5000, 'the blob in the old snapshot')
        await (await voteOrAbort(transaction)).finish()
        await showsBlobNow(client, oid, 3, 7000, 'the blob that was being stored')
      },
      needs('pack'),
    )

    it(
      'a reopened store has its blobs',
      async (shop) => {
        const { client, oid } = await withBlob(shop, 1, 5000)
        const [large, empty] = await client.newOids(2)
        await writeBlob(client, large!, 'b', chunked(2, 3_000_000, [99_999]))
        await writeBlob(client, empty!, 'c', [])
        for (let round = 0; round < 2; round++) {
          await shop.reopen()
          const again = await shop.client()
          await again.poll()
          await showsBlob(again, oid, 1, 5000, 'the first blob')
          await showsBlob(again, large!, 2, 3_000_000, 'the large blob')
          await showsBlob(again, empty!, 9, 0, 'the empty blob')
        }
      },
      needs('persistent'),
    )

    it(
      'a blob is seen through another storage, and replaced through it',
      async (shop) => {
        const a = await shop.client(await shop.open())
        const b = await shop.client(await shop.open())
        const oid = await a.newOid()
        await writeBlob(a, oid, '1', chunked(1, 200_000))
        await eventually(
          'the object is seen through the other storage',
          async () => (await b.readNow(oid)) === '1',
        )
        await showsBlob(b, oid, 1, 200_000, 'the blob through the other storage')
        await commitBlob(b, oid, '2', chunked(2, 5000))
        await showsBlob(b, oid, 1, 200_000, 'the blob in the old snapshot')
        await eventually('the change is seen through the first', async () => (await a.readNow(oid)) === '2')
        await showsBlob(a, oid, 2, 5000, 'the replaced blob')
        await a.instance.release()
        await a.storage.close()
        await showsBlob(b, oid, 1, 200_000, 'the blob after the other storage was closed')
      },
      needsSharing,
    )

    it('zap removes the blobs', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      await client.instance.release()
      await client.storage.zap()
      const fresh = await shop.client()
      same(await fresh.readNow(oid), undefined, 'the object')
      await refuses('object-not-found', 'opening the blob', () => openBlob(fresh, oid))
      await writeBlob(fresh, oid, 'new', chunked(2, 100))
      await showsBlobNow(fresh, oid, 2, 100, 'a blob of the new life')
    })

    it('a plain commit between blobs sees neither of them', async (shop) => {
      const { client, oid } = await withBlob(shop, 1, 5000)
      const plain = await client.createOne('plain')
      await client.poll()
      const transaction = client.begin()
      await transaction.store(plain, (await client.load(plain)).serial, toBytes('changed'))
      await (await voteOrAbort(transaction)).finish()
      await showsBlobNow(client, oid, 1, 5000)
      await hasNoBlob(client, plain, 'the blob of the plain object')
    })
  },
  needs('blobs'),
)
