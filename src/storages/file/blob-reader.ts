/** A blob that an instance has open. The file stays readable for it even when a pack removes its name. */

import { ClosedError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { BlobReader } from '../storage.ts'
import type { BlobFile } from './blob-file.ts'

const empty = new Uint8Array(0)

export class FileBlobReader implements BlobReader {
  readonly serial: Tid
  readonly bytes: number
  readonly #blob: BlobFile
  readonly #onClose: () => void
  #isClosed = false

  constructor(blob: BlobFile, serial: Tid, onClose: () => void) {
    this.#blob = blob
    this.serial = serial
    this.bytes = blob.bytes
    this.#onClose = onClose
  }

  read(position: number, length: number): Uint8Array {
    if (this.#isClosed) throw new ClosedError('the blob reader')
    const end = Math.min(position + length, this.bytes)
    return position >= end ? empty : this.#blob.read(position, end - position)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
    this.#blob.close()
  }
}
