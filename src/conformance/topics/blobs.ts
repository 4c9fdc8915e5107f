import { needs, topic } from '../behaviour.ts'
import {
  chunked,
  content,
  hasNoBlob,
  mustOpen,
  openBlob,
  showsBlob,
  showsBlobNow,
  stageBlob,
  Watched,
  withBlob,
  writeBlob,
} from '../blob-content.ts'
import { holds, refuses, same } from '../claims.ts'
import { voteOrAbort } from '../client.ts'

/** May be on its way between the source and the disk or wire. */
const aheadBytesMax = 6 << 20

export const blobs = topic(
  'blobs',
  (it) => {
    it('a blob reads as it was stored, beside the data of its object', async (shop) => {
      const { client, oid, tid } = await withBlob(shop, 1, 5000, 'text')
      same(await client.read(oid), 'text', 'the data')
      same((await client.load(oid)).serial, tid, 'the serial')
      await showsBlob(client, oid, 1, 5000)
    })

    it('an empty blob is a blob', async (shop) => {
      const client = await shop.client()
      const [none, empties] = await client.newOids(2)
      await writeBlob(client, none!, 'no chunks', [])
      await writeBlob(client, empties!, 'empty chunks', [new Uint8Array(0), new Uint8Array(0)])
      await client.poll()
      for (const oid of [none!, empties!]) {
        const reader = await mustOpen(client, oid)
        same([reader.bytes, (await reader.read(0, 10)).length], [0, 0], 'the size, and what is read')
        await reader.close()
      }
    })

    it('an object without blob has none', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('plain')
      await client.poll()
      await hasNoBlob(client, oid, 'the blob of a plain object')
    })

    it('the blob of an unknown object is not found', async (shop) => {
      const { client } = await withBlob(shop)
      const unknown = await client.newOid()
      await refuses('object-not-found', 'opening it', () => openBlob(client, unknown))
    })

    it('without a snapshot no blob is opened', async (shop) => {
      const { client, oid } = await withBlob(shop)
      await client.instance.afterCompletion()
      await refuses('transaction-state', 'opening a blob', () => openBlob(client, oid))
    })

    for (const sizes of [[1], [7, 1, 0, 4093], [4096], [65_535, 2], [100_001], [1 << 20]]) {
      it(`chunks of ${sizes.join(', ')} bytes make the same blob`, async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        const bytes = Math.min(300_000, Math.max(...sizes) * 3000) + 17
        await writeBlob(client, oid, 'a', chunked(2, bytes, sizes))
        await showsBlobNow(client, oid, 2, bytes)
      })
    }

    it('a source may answer at once, too', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      await writeBlob(client, oid, 'a', [content(3, 1000), content(3, 500, 1000)])
      await showsBlobNow(client, oid, 3, 1500)
    })

    it('a source is asked for one chunk at a time', async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      const source = new Watched(chunked(1, 3_000_000, [100_000]))
      await writeBlob(client, oid, 'a', source)
      same(
        [source.takenAtOnceMax, source.isEnded],
        [1, true],
        'chunks asked for at once, and whether it ended',
      )
      await showsBlobNow(client, oid, 1, 3_000_000)
    })

    it(
      'a large blob is written down as it comes',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        await client.poll()
        const { storage } = client
        const start = storage.counters().bytesWritten
        let aheadMax = 0
        const source = new Watched(chunked(4, 16 << 20, [256 << 10]), (takenBytes) => {
          aheadMax = Math.max(aheadMax, takenBytes - (storage.counters().bytesWritten - start))
        })
        const transaction = await stageBlob(client, oid, 'large', source)
        holds(
          aheadMax <= aheadBytesMax,
          `at most ${aheadBytesMax} bytes are taken and not yet written, not ${aheadMax}`,
        )
        await (await voteOrAbort(transaction)).finish()
        await showsBlobNow(client, oid, 4, 16 << 20)
      },
      needs('persistent'),
    )

    it(
      'a piece of a large blob is read without the rest',
      async (shop) => {
        const client = await shop.client()
        const oid = await client.newOid()
        await writeBlob(client, oid, 'large', chunked(5, 16 << 20, [256 << 10]))
        await shop.reopen()
        const again = await shop.client()
        await again.poll()
        const start = again.storage.counters().bytesRead
        const reader = await mustOpen(again, oid)
        const position = (11 << 20) + 123
        const piece = await reader.read(position, 1000)
        holds(Buffer.compare(piece, content(5, 1000, position)) === 0, 'the piece is right')
        const readBytes = again.storage.counters().bytesRead - start
        await reader.close()
        holds(readBytes <= aheadBytesMax, `at most ${aheadBytesMax} bytes are read, not ${readBytes}`)
      },
      needs('persistent'),
    )

    it('pieces anywhere, up to the end and beyond it', async (shop) => {
      const { client, oid } = await withBlob(shop, 6, 200_000)
      const reader = await mustOpen(client, oid)
      const pieces: [number, number][] = [
        [0, 1],
        [0, 0],
        [199_999, 1],
        [199_990, 100],
        [200_000, 1],
        [5_000_000, 10],
        [0, 1_000_000],
      ]
      for (let count = 0; count < 40; count++) {
        pieces.push([shop.random.integer(200_000), shop.random.integer(80_000)])
      }
      for (const [position, length] of pieces) {
        const expected = content(6, Math.max(0, Math.min(length, 200_000 - position)), position)
        const found = await reader.read(position, length)
        same(found.length, expected.length, `the bytes read of ${length} from ${position}`)
        holds(Buffer.compare(found, expected) === 0, `${length} bytes from ${position} are right`)
      }
      await reader.close()
    })

    it('what was read stays as it is', async (shop) => {
      const { client, oid } = await withBlob(shop, 6, 200_000)
      const reader = await mustOpen(client, oid)
      const first = await reader.read(0, 1000)
      for (let position = 0; position < 200_000; position += 10_000) await reader.read(position, 1000)
      holds(Buffer.compare(first, content(6, 1000)) === 0, 'the first bytes are what they were')
      await reader.close()
    })

    it('reads at the same time, of one reader and of several', async (shop) => {
      const { client, oid } = await withBlob(shop, 7, 300_000)
      const readers = [await mustOpen(client, oid), await mustOpen(client, oid)]
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const position = index * 14_321
          const found = await readers[index % 2]!.read(position, 20_000)
          holds(
            Buffer.compare(found, content(7, found.length, position)) === 0,
            `the bytes from ${position} are right`,
          )
        }),
      )
      for (const reader of readers) await reader.close()
    })
  },
  needs('blobs'),
)
