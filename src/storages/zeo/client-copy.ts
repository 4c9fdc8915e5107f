/** Whole transactions, out of the server and into it, for copies. Their blobs are streamed when they are asked for. */

import type { Tid } from '../../core/ids.ts'
import type { TransactionRecord } from '../storage.ts'
import { BlobSender } from './blob-sender.ts'
import type { BodyReader } from './body.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { dataOf, readTransaction, writeTransaction } from './messages.ts'
import { types } from './protocol.ts'

export async function* iterateThere(
  storage: ClientStorage,
  from: Tid,
  to: Tid,
): AsyncGenerator<TransactionRecord> {
  let home: Link | undefined
  const number = await storage.request((link) => {
    home = link
    return link.call(types.iterate, 0, link.fields.id(from).id(to).take(), (body) => body.u32())
  })
  const link = home!
  let isDone = false
  try {
    while (!isDone) {
      storage.counted.roundTrips++
      const found = await link.call(types.iterateNext, 0, link.fields.u32(number).take(), (body) =>
        readTransactions(body, (index) => recordedChunks(storage, link, number, index)),
      )
      isDone = found.length === 0
      yield* found
    }
  } finally {
    if (!isDone && !link.isLost) link.tell(types.iterateEnd, 0, link.fields.u32(number).take())
  }
}

/** The blob of a record of the transaction that the server gave last: it gives no more after one with blobs. */
async function* recordedChunks(
  storage: ClientStorage,
  link: Link,
  iteration: number,
  index: number,
): AsyncGenerator<Uint8Array> {
  const request = <T>(type: number, fields: Uint8Array, decode: (body: BodyReader) => T) => {
    storage.counted.roundTrips++
    return link.call(type, 0, fields, decode)
  }
  const opening = link.fields.u32(iteration).u32(index).take()
  const number = await request(types.recordedBlob, opening, (body) => body.u32())
  let isDone = false
  try {
    for (;;) {
      const chunk = await request(types.recordedNext, link.fields.u32(number).take(), (body) => body.rest())
      isDone = chunk.length === 0
      if (isDone) return
      yield chunk
    }
  } finally {
    if (!isDone && !link.isLost) link.tell(types.recordedEnd, 0, link.fields.u32(number).take())
  }
}

function readTransactions(
  body: BodyReader,
  chunksOf: (index: number) => AsyncIterable<Uint8Array>,
): TransactionRecord[] {
  const readers = Array.from({ length: body.count(32) }, () => readTransaction(body, chunksOf))
  return readers.map((read) => read())
}

export async function restoreThere(storage: ClientStorage, transaction: TransactionRecord): Promise<void> {
  storage.checkWritable()
  const senders = new Map<number, BlobSender>()
  let failure: { readonly error: unknown } | undefined
  try {
    await storage.request((link) => {
      const fields = writeTransaction(link.fields, transaction).take()
      const done = () => storage.advance(transaction.tid)
      const part = (body: BodyReader) => {
        const number = body.u32()
        const credit = body.u32()
        if (credit > 0) {
          senders.get(number)?.credit(credit)
          return
        }
        const { blob } = transaction.records[body.u32()]!
        const sender = new BlobSender(link, 0, number)
        senders.set(number, sender)
        // What the source throws is what restoring throws; the server is told that the blob will not come.
        sender.send(blob!.chunks()).catch((error: unknown) => {
          failure ??= { error }
        })
      }
      return link.call(types.restore, 0, fields, done, part, dataOf(transaction))
    })
  } catch (error) {
    throw failure === undefined ? error : failure.error
  } finally {
    for (const sender of senders.values()) sender.stop(new Error('nobody reads this blob any more'))
  }
}
