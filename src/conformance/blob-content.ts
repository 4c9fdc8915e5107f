/** Blobs as the topic on them uses them: content that is made anew wherever it is compared, never kept twice. */

import { noTid, type Oid, type Tid } from '../core/ids.ts'
import type { BlobReader, BlobSource, Transaction } from '../storages/storage.ts'
import { fail, same } from './claims.ts'
import { type Client, toBytes, voteOrAbort } from './client.ts'
import type { Workshop } from './workshop.ts'

/** `bytes` bytes that look the same nowhere: each depends on `seed` and on where it stands. */
export function content(seed: number, bytes: number, position = 0): Uint8Array {
  const result = new Uint8Array(bytes)
  for (let at = 0; at < bytes; at++) {
    const mixed = Math.imul(position + at + 1, 0x9e37_79b1) ^ Math.imul(seed + 1, 0x85eb_ca6b)
    result[at] = (mixed >>> 24) ^ (mixed >>> 11)
  }
  return result
}

/** The same content in chunks of these sizes, over and over. */
export async function* chunked(
  seed: number,
  bytes: number,
  sizes: readonly number[] = [10_000],
): AsyncGenerator<Uint8Array> {
  for (let position = 0, count = 0; position < bytes; count++) {
    const size = Math.min(sizes[count % sizes.length]!, bytes - position)
    yield content(seed, size, position)
    position += size
  }
}

export async function putBlob(
  transaction: Transaction,
  oid: Oid,
  serial: Tid,
  text: string,
  source: BlobSource,
): Promise<void> {
  if (transaction.storeBlob === undefined) fail('the storage has no storeBlob')
  await transaction.storeBlob(oid, serial, toBytes(text), source)
}

/** Begins in the open snapshot and stores one object with a blob. */
export async function stageBlob(
  client: Client,
  oid: Oid,
  text: string,
  source: BlobSource,
): Promise<Transaction> {
  const serial = (await client.find(oid))?.serial ?? noTid
  const transaction = client.begin()
  try {
    await putBlob(transaction, oid, serial, text, source)
  } catch (error) {
    await transaction.abort()
    throw error
  }
  return transaction
}

/** A whole commit in the open snapshot. */
export async function commitBlob(client: Client, oid: Oid, text: string, source: BlobSource): Promise<Tid> {
  const transaction = await stageBlob(client, oid, text, source)
  return await (await voteOrAbort(transaction)).finish()
}

/** Polls, then commits. */
export async function writeBlob(client: Client, oid: Oid, text: string, source: BlobSource): Promise<Tid> {
  await client.poll()
  return await commitBlob(client, oid, text, source)
}

export async function openBlob(client: Client, oid: Oid): Promise<BlobReader | undefined> {
  if (client.instance.openBlob === undefined) fail('the storage has no openBlob')
  return await client.instance.openBlob(oid)
}

export async function mustOpen(client: Client, oid: Oid): Promise<BlobReader> {
  return (await openBlob(client, oid)) ?? fail(`object ${oid} has no blob`)
}

/** The reader must give exactly this content, in pieces. */
export async function sameContent(
  reader: BlobReader,
  seed: number,
  bytes: number,
  what: string,
  piece = 1 << 20,
): Promise<void> {
  same(reader.bytes, bytes, `the size of ${what}`)
  for (let position = 0; position < bytes; position += piece) {
    const found = await reader.read(position, piece)
    const expected = content(seed, Math.min(piece, bytes - position), position)
    if (Buffer.compare(found, expected) !== 0) {
      fail(`${what} is wrong between ${position} and ${position + piece}`)
    }
  }
}

/** What the open snapshot shows must be exactly this blob. */
export async function showsBlob(client: Client, oid: Oid, seed: number, bytes: number, what = 'the blob') {
  const reader = await mustOpen(client, oid)
  try {
    await sameContent(reader, seed, bytes, what)
    same(reader.serial, (await client.load(oid)).serial, `the serial of ${what}`)
  } finally {
    await reader.close()
  }
}

/** Polls first. */
export async function showsBlobNow(client: Client, oid: Oid, seed: number, bytes: number, what?: string) {
  await client.poll()
  await showsBlob(client, oid, seed, bytes, what)
}

export async function hasNoBlob(client: Client, oid: Oid, what: string): Promise<void> {
  same(await openBlob(client, oid), undefined, what)
}

/** A client, and an object that has a blob. Both are committed and in its snapshot. */
export async function withBlob(shop: Workshop, seed = 1, bytes = 5000, text = 'a') {
  const client = await shop.client()
  const oid = await client.newOid()
  const tid = await writeBlob(client, oid, text, chunked(seed, bytes))
  await client.poll()
  return { client, oid, tid }
}

/** A source that says how far it was read. */
export class Watched {
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
