/** The pieces of one blob for one reader: from the cache as far as it has them, else from where the blob is kept. */

import type { BlobCache } from './blob-cache.ts'
import type { BlobFile, BlobKey } from './blob-file.ts'
import type { Filling } from './filling.ts'
import type { BlobPieces } from './pieces.ts'

/** Opens the blob where it is kept, in pieces of this length. @throws when it is not there any more */
export type OpenSource = (pieceBytes: number) => Promise<BlobPieces>

/** Of a blob that is in the cache. A piece that is damaged is read from the source, and so is what comes after it. */
export class CachedPieces implements BlobPieces {
  readonly #cache: BlobCache
  readonly #key: BlobKey
  readonly #file: BlobFile
  readonly #openSource: OpenSource
  #source: Promise<BlobPieces> | undefined

  constructor(cache: BlobCache, key: BlobKey, file: BlobFile, openSource: OpenSource) {
    this.#cache = cache
    this.#key = key
    this.#file = file
    this.#openSource = openSource
  }

  get(number: number): Uint8Array | Promise<Uint8Array> {
    const isSound = this.#source === undefined
    const piece = isSound ? this.#cache.readPiece(this.#key, this.#file, number) : undefined
    return piece ?? this.#getFromSource(number)
  }

  async #getFromSource(number: number): Promise<Uint8Array> {
    this.#source ??= this.#openSource(this.#file.pieceBytes)
    return await (await this.#source).get(number)
  }

  async close(): Promise<void> {
    this.#file.close()
    const source = await this.#source?.catch(() => undefined)
    await source?.close()
  }
}

/** Of a blob that is on its way into the cache. */
export class FillingPieces implements BlobPieces {
  readonly #cache: BlobCache
  readonly #filling: Filling
  readonly #openSource: OpenSource
  #source: Promise<BlobPieces> | undefined
  /** Requests to the source that are under way. */
  #asking = 0

  constructor(cache: BlobCache, filling: Filling, source: BlobPieces, openSource: OpenSource) {
    this.#cache = cache
    this.#filling = filling
    this.#source = Promise.resolve(source)
    this.#openSource = openSource
    filling.enter()
  }

  get(number: number): Uint8Array | Promise<Uint8Array> {
    const piece = this.#filling.find(number)
    if (piece === undefined) return this.#getFromSource(number)
    this.#cache.counted.bytesRead += piece.length
    return piece
  }

  async #getFromSource(number: number): Promise<Uint8Array> {
    this.#source ??= this.#openSource(this.#filling.shape.pieceBytes)
    this.#asking++
    try {
      return await this.#filling.get(number, await this.#source)
    } finally {
      this.#asking--
      // Often a session of a database, which others can use.
      if (this.#filling.isWhole && this.#asking === 0) await this.#closeSource()
    }
  }

  async #closeSource(): Promise<void> {
    const source = this.#source
    this.#source = undefined
    await (await source?.catch(() => undefined))?.close()
  }

  async close(): Promise<void> {
    this.#filling.leave()
    await this.#closeSource()
  }
}
