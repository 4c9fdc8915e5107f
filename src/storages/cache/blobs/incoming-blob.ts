/** A blob on its way into the cache: a file under a temporary name, filled in any order, and then placed or dropped. */

import type { BlobSource } from '../../storage.ts'
import type { BlobCache } from './blob-cache.ts'
import type { BlobFile, BlobKey } from './blob-file.ts'

export class IncomingBlob {
  readonly pieceBytes: number
  readonly #cache: BlobCache
  readonly #path: string
  /** Undefined: it was given up, or it is over. */
  #file: BlobFile | undefined
  /** What has come of the next piece, where a blob comes as a stream. */
  #gathered: Uint8Array | undefined
  #gatheredBytes = 0

  constructor(cache: BlobCache, path: string, file: BlobFile) {
    this.#cache = cache
    this.#path = path
    this.#file = file
    this.pieceBytes = file.pieceBytes
  }

  get count(): number {
    return this.#file?.count ?? 0
  }

  /** What cannot be written is given up. */
  put(number: number, data: Uint8Array): void {
    const file = this.#file
    if (file === undefined) return
    const isTooLarge = file.bytes + data.length > this.#cache.blobBytesMax
    if (isTooLarge || !this.#cache.attempt(() => file.put(number, data))) this.drop()
  }

  /** Undefined when it is not there. */
  read(number: number, length: number): Uint8Array | undefined {
    const file = this.#file
    if (file?.has(number) !== true) return undefined
    let piece: Uint8Array | undefined
    this.#cache.attempt(() => {
      piece = file.read(number, length)
    })
    if (piece === undefined) this.drop()
    return piece
  }

  /** The same source, of which a copy is kept as it is taken. */
  copyOf(source: BlobSource): AsyncIterable<Uint8Array> {
    return {
      // Not a generator: that could not be ended while it waits for the source.
      [Symbol.asyncIterator]: () => {
        const chunks =
          Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
        return {
          next: async () => {
            const next = await chunks.next()
            if (next.done !== true) this.#add(next.value)
            return next
          },
          return: async () => {
            await chunks.return?.()
            return { done: true, value: undefined }
          },
        }
      },
    }
  }

  #add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && this.#file !== undefined; ) {
      this.#gathered ??= new Uint8Array(this.pieceBytes)
      const part = chunk.subarray(at, at + this.pieceBytes - this.#gatheredBytes)
      this.#gathered.set(part, this.#gatheredBytes)
      this.#gatheredBytes += part.length
      at += part.length
      if (this.#gatheredBytes === this.pieceBytes) this.#putGathered()
    }
  }

  #putGathered(): void {
    if (this.#gatheredBytes > 0) this.put(this.count, this.#gathered!.subarray(0, this.#gatheredBytes))
    this.#gatheredBytes = 0
  }

  /** All of it has come: it is the blob of this revision. Resolves, never with an error, when it is found there, or is not kept. */
  async place(key: BlobKey): Promise<void> {
    this.#putGathered()
    const file = this.#file
    if (file === undefined) return
    this.#gathered = undefined
    await this.#cache.place(this.#path, file, key)
  }

  /** The last reader of it has gone. What was placed stays. */
  close(): void {
    this.#file?.close()
    this.#file = undefined
  }

  /** It is not to be kept. */
  drop(): void {
    if (this.#file === undefined) return
    this.close()
    this.#cache.remove(this.#path)
  }
}
