/**
 * Bytes of any length as an object of their own, streamed both ways: a file that somebody uploaded, a picture. Other
 * objects refer to it and say what it is.
 *
 *     const picture = new PersistentBlob(() => createReadStream(path))
 *     album.set('first', picture)
 *     …
 *     for await (const chunk of (await connection.activate(picture)).chunks()) response.write(chunk)
 *
 * The content is replaced as a whole, and two concurrent replacements are a conflict.
 */

import { CorruptDataError, StorageTransactionError } from '../core/errors.ts'
import type { BlobReader, BlobSource } from '../storages/storage.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'

/**
 * Opens the new content. Called by each commit that is to store it, so by a transaction that is repeated once for each
 * attempt: it must begin from the start every time.
 */
export type OpenSource = () => BlobSource

const chunkBytes = 256 * 1024

/** Bytes of any length as an object of their own, streamed both ways. */
export class PersistentBlob extends Persistent {
  static readonly className: string = 'shootout.Blob'
  #source: OpenSource | undefined

  /** @param source where the first content comes from; empty when left out */
  constructor(source: OpenSource = () => []) {
    super()
    this.#source = source
  }

  /** The next commit replaces the content. @throws ShootoutError `object-not-loaded`, StorageTransactionError */
  replace(source: OpenSource): void {
    this.willChange()
    this.#source = source
  }

  /**
   * The content as this transaction sees it. The reader may be used after the transaction, until it is closed or the
   * connection is.
   * @throws ShootoutError `object-not-loaded`; StorageTransactionError while new content is not committed
   */
  async open(): Promise<BlobReader> {
    if (this.status === 'ghost') throw notLoaded(this)
    if (this.status !== 'saved' || this.owner === undefined) {
      throw new StorageTransactionError('the new content of a blob can be read when it is committed')
    }
    const reader = await this.owner.openBlob(this)
    if (reader !== undefined) return reader
    throw new CorruptDataError(`object ${this.oid} is a blob without content`, { details: { oid: this.oid } })
  }

  /** The whole content, from `position` on. @throws as `open` */
  async *chunks(position = 0): AsyncGenerator<Uint8Array> {
    const reader = await this.open()
    try {
      for (let at = position; at < reader.bytes; at += chunkBytes) yield await reader.read(at, chunkBytes)
    } finally {
      await reader.close()
    }
  }

  /** For the commit: what a new or replaced blob is to contain. */
  get newContent(): BlobSource {
    if (this.#source === undefined) throw new TypeError('a blob changed without getting new content')
    return this.#source()
  }

  override getState(): Value {
    return null
  }

  override setState(state: Value): void {
    if (state !== null) throw new CorruptDataError('the state of a blob is not null')
  }

  override dropState(): void {
    this.#source = undefined
  }
}
