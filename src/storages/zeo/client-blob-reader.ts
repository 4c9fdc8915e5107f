/** A blob that the server holds open for us. Pieces are asked for a few at a time, whatever length is wanted. */

import { ClosedError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { BlobReader } from '../storage.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { types } from './protocol.ts'

const pieceBytesMax = 256 * 1024
/** Pieces asked for at once. */
const piecesAhead = 4

export class ClientBlobReader implements BlobReader {
  readonly serial: Tid
  readonly bytes: number
  readonly #storage: ClientStorage
  readonly #link: Link
  readonly #number: number
  readonly #onClose: (reader: ClientBlobReader) => void
  #isClosed = false

  constructor(
    storage: ClientStorage,
    link: Link,
    opened: { readonly serial: Tid; readonly bytes: number; readonly number: number },
    onClose: (reader: ClientBlobReader) => void,
  ) {
    this.#storage = storage
    this.#link = link
    this.serial = opened.serial
    this.bytes = opened.bytes
    this.#number = opened.number
    this.#onClose = onClose
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#checkOpen()
    const end = Math.min(position + length, this.bytes)
    if (position >= end) return new Uint8Array(0)
    if (end - position <= pieceBytesMax) return await this.#ask(position, end - position)
    const whole = new Uint8Array(end - position)
    for (let from = position; from < end; from += pieceBytesMax * piecesAhead) {
      const starts = Array.from({ length: piecesAhead }, (_, index) => from + index * pieceBytesMax)
      await Promise.all(
        starts
          .filter((start) => start < end)
          .map(async (start) => {
            whole.set(await this.#ask(start, Math.min(pieceBytesMax, end - start)), start - position)
          }),
      )
    }
    return whole
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose(this)
    if (!this.#link.isLost) this.#link.tell(types.closeBlob, 0, this.#link.fields.u32(this.#number).take())
  }

  async #ask(position: number, length: number): Promise<Uint8Array> {
    this.#storage.counted.roundTrips++
    const link = this.#link
    const fields = link.fields.u32(this.#number).f64(position).u32(length).take()
    const piece = await link.call(types.readBlob, 0, fields, (body) => body.rest())
    this.#checkOpen()
    return piece
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new ClosedError('the blob reader')
    this.#storage.checkOpen()
  }
}
