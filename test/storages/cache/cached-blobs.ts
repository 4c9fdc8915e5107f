/** Blobs for tests of the blob cache: content that says whose it is, and sources that count what is asked of them. */

import { expect } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import type { BlobCache } from '../../../src/storages/cache/blobs/blob-cache.ts'
import type { BlobKey } from '../../../src/storages/cache/blobs/blob-file.ts'
import { PieceReader } from '../../../src/storages/cache/blobs/piece-reader.ts'
import type { BlobPieces } from '../../../src/storages/cache/blobs/pieces.ts'

export const pieceBytes = 10_000

export const keyOf = (oid: number, tid = 1, store = 'store'): BlobKey => ({
  store,
  oid: oid as Oid,
  tid: tid as Tid,
})

/** Like no other blob's, anywhere. */
export function contentOf({ store, oid, tid }: BlobKey, bytes: number): Uint8Array {
  const seed = oid * 7919 + tid * 104_729 + store.length * 31
  return new Uint8Array(bytes).map((_, at) => (at * 31 + (at >> 8) * 17 + seed) & 255)
}

/** Where the blob is kept. */
export class Source implements BlobPieces {
  asked = 0
  isClosed = false
  readonly #content: Uint8Array
  readonly #onAsk: () => void | Promise<void>

  constructor(key: BlobKey, bytes: number, onAsk: () => void | Promise<void> = () => {}) {
    this.#content = contentOf(key, bytes)
    this.#onAsk = onAsk
  }

  async get(number: number): Promise<Uint8Array> {
    this.asked++
    await this.#onAsk()
    expect(this.isClosed).toBe(false)
    return this.#content.slice(number * pieceBytes, (number + 1) * pieceBytes)
  }

  close(): void {
    this.isClosed = true
  }
}

export interface Opened {
  readonly reader: PieceReader
  readonly source: Source
  /** It was in the cache. */
  readonly isHit: boolean
}

/** As a storage opens a blob. */
export function openBlob(
  cache: BlobCache,
  key: BlobKey,
  bytes: number,
  onAsk?: () => void | Promise<void>,
): Opened {
  const source = new Source(key, bytes, onAsk)
  const openSource = async () => {
    source.isClosed = false
    return source
  }
  const found = cache.find(key, openSource)
  const shape = found ?? { bytes, pieceBytes }
  const pieces = found?.pieces ?? cache.fill(key, shape, source, openSource)
  return {
    reader: new PieceReader(key.tid, shape, pieces, () => {}),
    source,
    isHit: found !== undefined,
  }
}

/** Reads all of it, and compares. Says what it took. */
export async function readBlob(
  cache: BlobCache,
  key: BlobKey,
  bytes: number,
): Promise<{ readonly isHit: boolean; readonly asked: number }> {
  const { reader, source, isHit } = openBlob(cache, key, bytes)
  expect(reader.bytes).toBe(bytes)
  const expected = contentOf(key, bytes)
  for (let at = 0; at < bytes; at += 7000) {
    const piece = await reader.read(at, 7000)
    expect(Buffer.compare(piece, expected.subarray(at, at + 7000)), `blob ${key.oid} from ${at}`).toBe(0)
  }
  await reader.close()
  return { isHit, asked: source.asked }
}

/** Goes on by a millisecond whenever it is asked, so that no two moments are the same. */
export class StepClock implements Clock {
  ms = 1_700_000_000_000

  wallUs(): number {
    return ++this.ms * 1000
  }

  monotonicNs(): number {
    return this.ms * 1e6
  }
}
