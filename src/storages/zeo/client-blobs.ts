/** Blobs that one instance has open: from the server, or from the cache of blobs where there is one. */

import { CorruptDataError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { BlobKey } from '../cache/blobs/blob-file.ts'
import { PieceReader } from '../cache/blobs/piece-reader.ts'
import type { BlobPieces } from '../cache/blobs/pieces.ts'
import type { BlobReader } from '../storage.ts'
import { ClientBlobReader } from './client-blob-reader.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { types } from './protocol.ts'

/** In which blobs are cached: a few requests to the server, under way together. */
export const cachedPieceBytes = 1024 * 1024

/** What the instance knows of the object. */
export interface SeenObject {
  readonly oid: Oid
  /** Which revision its snapshot shows; undefined when the server has to say so. */
  readonly serial: Tid | undefined
  /** The snapshot is still the same. */
  isShown(): boolean
}

export class ClientBlobs {
  readonly #storage: ClientStorage
  readonly #view: number
  readonly #open = new Set<BlobReader>()

  constructor(storage: ClientStorage, view: number) {
    this.#storage = storage
    this.#view = view
  }

  async open(link: Link, seen: SeenObject): Promise<BlobReader | undefined> {
    const { blobCache } = this.#storage
    const store = this.#storage.blobStoreAt(link)
    if (blobCache === undefined || store === undefined) return await this.#ask(link, seen.oid)
    if (seen.serial !== undefined) {
      const found = this.#find(link, { store, oid: seen.oid, tid: seen.serial }, seen)
      if (found !== undefined) return found
    }
    const asked = await this.#ask(link, seen.oid)
    // Where the store was emptied meanwhile, nobody knows of which life this is.
    if (asked === undefined || this.#storage.blobStoreAt(link) !== store) return asked
    const key = { store, oid: seen.oid, tid: asked.serial }
    const found = seen.serial === asked.serial ? undefined : this.#find(link, key, seen)
    if (found !== undefined) {
      asked.close()
      return found
    }
    const shape = { bytes: asked.bytes, pieceBytes: cachedPieceBytes }
    const source = piecesOf(asked, cachedPieceBytes)
    const pieces = blobCache.fill(key, shape, source, (pieceBytes) =>
      this.#askAgain(link, key, seen, pieceBytes),
    )
    return this.#add(new PieceReader(key.tid, shape, pieces, (reader) => this.#open.delete(reader)))
  }

  #find(link: Link, key: BlobKey, seen: SeenObject): BlobReader | undefined {
    const found = this.#storage.blobCache!.find(key, (pieceBytes) =>
      this.#askAgain(link, key, seen, pieceBytes),
    )
    if (found === undefined) return undefined
    return this.#add(new PieceReader(key.tid, found, found.pieces, (reader) => this.#open.delete(reader)))
  }

  async #ask(link: Link, oid: Oid): Promise<ClientBlobReader | undefined> {
    this.#storage.counted.roundTrips++
    const opened = await link.call(types.openBlob, this.#view, link.fields.id(oid).take(), (body) => {
      if (body.u8() === 0) return undefined
      return { serial: body.tid(), bytes: body.f64(), number: body.u32() }
    })
    if (opened === undefined) return undefined
    const reader = new ClientBlobReader(this.#storage, link, opened, () => this.#open.delete(reader))
    return this.#add(reader)
  }

  /** For what the cache has lost. The server can be asked for it in the same snapshot only. */
  async #askAgain(
    link: Link,
    { oid, tid }: BlobKey,
    seen: SeenObject,
    pieceBytes: number,
  ): Promise<BlobPieces> {
    const reader = seen.isShown() ? await this.#ask(link, oid) : undefined
    if (reader?.serial === tid) return piecesOf(reader, pieceBytes)
    reader?.close()
    throw new CorruptDataError(
      `the copy of the blob of object ${oid} in the cache is damaged, and its snapshot has ended; repeat the transaction`,
      { transient: true, details: { oid, tid } },
    )
  }

  #add<R extends BlobReader>(reader: R): R {
    this.#open.add(reader)
    return reader
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((reader) => reader.close()))
  }
}

function piecesOf(reader: ClientBlobReader, pieceBytes: number): BlobPieces {
  return {
    get: (number) => reader.read(number * pieceBytes, pieceBytes),
    close: () => reader.close(),
  }
}
