/** The blobs that were written down for one transaction, until its commit takes them over. */

import { type Awaitable, attempt } from '../../core/awaitable.ts'
import type { Tid } from '../../core/ids.ts'
import type { IncomingBlob } from '../cache/blobs/incoming-blob.ts'
import type { BlobSource } from '../storage.ts'
import type { Change } from './adapter.ts'
import type { StoredBlob } from './blobs.ts'
import type { SqlStore } from './sql-storage.ts'

export class TransactionBlobs {
  readonly #store: SqlStore
  readonly #ids: number[] = []
  /** What the cache of blobs has of them, by their ids. */
  readonly #copies = new Map<number, IncomingBlob>()

  constructor(store: SqlStore) {
    this.#store = store
  }

  /** @param assertWanted as for `uploadBlob` */
  async upload(source: BlobSource, assertWanted: () => void): Promise<StoredBlob> {
    const blob = await this.#store.uploadBlob(source, assertWanted, this.#copies)
    this.#ids.push(blob.id)
    return blob
  }

  /** Nobody waits for it: whoever reads one of them before it is in its place asks the database. */
  place(changes: readonly Change[], life: number, tid: Tid): void {
    if (this.#copies.size === 0) return
    for (const { oid, blob } of changes) {
      const copy = blob && this.#copies.get(blob.id)
      if (copy === undefined) continue
      this.#copies.delete(blob!.id)
      void copy.place(this.#store.blobKey(life, oid, tid)).then(() => copy.close())
    }
  }

  /** Those that the commit has not taken over: all of them after an abort. */
  drop(): Awaitable<void> {
    if (this.#ids.length === 0) return
    const ids = this.#ids.splice(0)
    for (const copy of this.#copies.values()) copy.drop()
    this.#copies.clear()
    return attempt(
      () => this.#store.dropBlobs(ids),
      // They are swept by a later pack.
      (error) =>
        this.#store.context.log(`${this.#store.adapter.title}: blobs were left behind (${String(error)})`),
    )
  }
}
