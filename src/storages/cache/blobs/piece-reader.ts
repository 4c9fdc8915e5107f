/** Reads a blob that comes in pieces. */

import { ClosedError } from '../../../core/errors.ts'
import type { Tid } from '../../../core/ids.ts'
import type { BlobReader } from '../../storage.ts'
import type { BlobPieces, BlobShape } from './pieces.ts'

const empty = new Uint8Array(0)

export class PieceReader implements BlobReader {
  readonly serial: Tid
  readonly bytes: number
  readonly #pieceBytes: number
  readonly #pieces: BlobPieces
  readonly #onClose: (reader: PieceReader) => void
  /** Read last: who reads on in small steps finds the rest of it here. */
  #last: { readonly number: number; readonly data: Promise<Uint8Array> } | undefined
  #isClosed = false
  /** Reads that are under way; closing waits for them. */
  readonly #reading = new Set<Promise<unknown>>()

  constructor(
    serial: Tid,
    { bytes, pieceBytes }: BlobShape,
    pieces: BlobPieces,
    onClose: (reader: PieceReader) => void,
  ) {
    this.serial = serial
    this.bytes = bytes
    this.#pieceBytes = pieceBytes
    this.#pieces = pieces
    this.#onClose = onClose
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    if (this.#isClosed) throw new ClosedError('the blob reader')
    const reading = this.#read(position, Math.min(position + length, this.bytes))
    this.#reading.add(reading)
    try {
      return await reading
    } finally {
      this.#reading.delete(reading)
    }
  }

  async #read(position: number, end: number): Promise<Uint8Array> {
    if (position >= end) return empty
    const pieceBytes = this.#pieceBytes
    const result = new Uint8Array(end - position)
    for (let at = position; at < end; ) {
      const number = Math.floor(at / pieceBytes)
      const piece = await this.#piece(number)
      const start = at - number * pieceBytes
      const part = piece.subarray(start, Math.min(piece.length, start + end - at))
      result.set(part, at - position)
      at += part.length
    }
    return result
  }

  #piece(number: number): Promise<Uint8Array> {
    if (this.#last?.number === number) return this.#last.data
    const data = this.#ask(number)
    const last = { number, data }
    this.#last = last
    // What failed is asked for again.
    data.catch(() => {
      if (this.#last === last) this.#last = undefined
    })
    return data
  }

  async #ask(number: number): Promise<Uint8Array> {
    return await this.#pieces.get(number)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose(this)
    await Promise.allSettled(this.#reading)
    this.#last = undefined
    await this.#pieces.close()
  }
}
