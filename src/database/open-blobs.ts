/** The blobs that a connection has open: whoever forgets to close one has it closed with the connection. */

import { settled } from '../core/settled.ts'
import type { BlobReader } from '../storages/storage.ts'

export class OpenBlobs {
  readonly #readers = new Set<BlobReader>()

  /** The same reader, for as long as it is open one of these. */
  add(reader: BlobReader): BlobReader {
    const { serial, bytes } = reader
    const own: BlobReader = {
      serial,
      bytes,
      read: (position, length) => reader.read(position, length),
      close: () => {
        this.#readers.delete(own)
        return reader.close()
      },
    }
    this.#readers.add(own)
    return own
  }

  /** Closes all of them, whatever becomes of the others. @throws the first error */
  async closeAll(): Promise<void> {
    await settled([...this.#readers].map(async (reader) => reader.close()))
  }
}
