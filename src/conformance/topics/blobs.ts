/** Blobs: bytes that belong to a revision and are streamed both ways. */

import { isTransient } from '../../core/errors.ts'
import { noTid, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import type { TransactionRecord } from '../../storages/storage.ts'
import { type Need, needs, needsSharing, topic } from '../behaviour.ts'
import {
  chunked,
  commitBlob,
  content,
  hasNoBlob,
  mustOpen,
  openBlob,
  putBlob,
  sameContent,
  showsBlob,
  showsBlobNow,
  stageBlob,
  writeBlob,
} from '../blob-content.ts'
import { errorOf, eventually, fail, holds, pause, refuses, same } from '../claims.ts'
import { type Client, mergeNumbers, put, toBytes, toText, voteOrAbort } from '../client.ts'
import type { Workshop } from '../workshop.ts'

/** May be on its way between the source and the disk or wire. */
const aheadBytesMax = 6 << 20

async function withBlob(shop: Workshop, seed = 1, bytes = 5000, text = 'a') {
  const client = await shop.client()
  const oid = await client.newOid()
  const tid = await writeBlob(client, oid, text, chunked(seed, bytes))
  await client.poll()
  return { client, oid, tid }
}

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

/** A source that says how far it was read. */
class Watched {
  takenBytes = 0
  takenAtOnceMax = 0
  isEnded = false
  #waiting = 0
  readonly #chunks: AsyncIterable<Uint8Array>
  readonly #onChunk: (takenBytes: number) => void

  constructor(chunks: AsyncIterable<Uint8Array>, onChunk: (takenBytes: number) => void = () => {}) {
    this.#chunks = chunks
    this.#onChunk = onChunk
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const iterator = this.#chunks[Symbol.asyncIterator]()
    return {
      next: async () => {
        this.takenAtOnceMax = Math.max(this.takenAtOnceMax, ++this.#waiting)
        this.#onChunk(this.takenBytes)
        const result = await iterator.next()
        this.#waiting--
        if (result.done === true) this.isEnded = true
        else this.takenBytes += result.value.length
        return result
      },
      return: async () => {
        this.isEnded = true
        await iterator.return?.()
        return { done: true, value: undefined }
      },
    }
  }
}

const needsMerging: Need = needs('conflictResolution')

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
            for (let attempt = 0; ; attempt++) {
              if (attempt > 1000) fail('a transaction was refused 1000 times')
              await client.poll()
              const next = Number(await client.read(oid)) + 1
              const error = await errorOf(() =>
                commitBlob(client, oid, `${next}`, chunked(next, 1000 * next, [777 + index])),
              )
              if (error === undefined) break
              if (!isTransient(error)) throw error
              await pause()
            }
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
