/**
 * One blob that readers of this storage are reading from its source while the cache takes a copy. Each piece is asked
 * for once, whoever wants it, and is there for the others from then on. When all pieces have come, in any order, the
 * copy is placed; when the last reader goes before that, it is dropped.
 */

import type { BlobKey } from './blob-file.ts'
import type { IncomingBlob } from './incoming-blob.ts'
import { type BlobPieces, type BlobShape, pieceCount, pieceLength } from './pieces.ts'

export class Filling {
  readonly shape: BlobShape
  readonly #key: BlobKey
  readonly #incoming: IncomingBlob
  readonly #onEnd: () => void
  readonly #underWay = new Map<number, Promise<Uint8Array>>()
  /** Readers, and the placing. */
  #users = 0
  #isWhole = false

  constructor(key: BlobKey, shape: BlobShape, incoming: IncomingBlob, onEnd: () => void) {
    this.#key = key
    this.shape = shape
    this.#incoming = incoming
    this.#onEnd = onEnd
  }

  /** No source is needed any more, unless the file turns out to be damaged. */
  get isWhole(): boolean {
    return this.#isWhole
  }

  enter(): void {
    this.#users++
    // A blob of no bytes has no pieces to wait for.
    if (this.#users === 1) this.#placeIfWhole()
  }

  leave(): void {
    if (--this.#users > 0) return
    if (this.#isWhole) this.#incoming.close()
    else this.#incoming.drop()
    this.#onEnd()
  }

  /** Undefined when it is not here. */
  find(number: number): Uint8Array | undefined {
    return this.#incoming.read(number, pieceLength(this.shape, number))
  }

  async get(number: number, source: BlobPieces): Promise<Uint8Array> {
    for (;;) {
      const underWay = this.#underWay.get(number)
      if (underWay === undefined) break
      const piece = await underWay.catch(() => undefined)
      if (piece !== undefined) return piece
      // The source of another reader has failed. Ours need not.
      if (this.#underWay.get(number) === underWay) this.#underWay.delete(number)
    }
    const asking = Promise.resolve(source.get(number))
    this.#underWay.set(number, asking)
    try {
      const piece = await asking
      this.#incoming.put(number, piece)
      this.#placeIfWhole()
      return piece
    } finally {
      if (this.#underWay.get(number) === asking) this.#underWay.delete(number)
    }
  }

  #placeIfWhole(): void {
    if (this.#isWhole || this.#incoming.count < pieceCount(this.shape)) return
    this.#isWhole = true
    this.#users++
    void this.#incoming.place(this.#key).then(() => this.leave())
  }
}
