/** A reader over a blob of the base storage: checks the calls, and ends once. */

import { ClosedError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { Awaitable, BlobReader } from '../storage.ts'
import type { BaseBlobReader } from './base-storage.ts'

const empty = new Uint8Array(0)

export class MvccBlobReader implements BlobReader {
  readonly serial: Tid
  readonly bytes: number
  readonly #base: BaseBlobReader
  readonly #onClose: () => void
  #isClosed = false

  constructor(base: BaseBlobReader, serial: Tid, bytes: number, onClose: () => void) {
    this.#base = base
    this.serial = serial
    this.bytes = bytes
    this.#onClose = onClose
  }

  read(position: number, length: number): Awaitable<Uint8Array> {
    if (this.#isClosed) throw new ClosedError('the blob reader')
    const end = Math.min(position + length, this.bytes)
    return position >= end ? empty : this.#base.read(position, end - position)
  }

  close(): Awaitable<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
    return this.#base.close()
  }
}
