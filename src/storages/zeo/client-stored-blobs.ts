/** The blobs that a transaction of a client stores: streamed to the server, with a copy for the cache of blobs, if any. */

import type { Oid, Tid } from '../../core/ids.ts'
import type { IncomingBlob } from '../cache/blobs/incoming-blob.ts'
import type { BlobSource } from '../storage.ts'
import { BlobSender } from './blob-sender.ts'
import type { BodyReader } from './body.ts'
import { cachedPieceBytes } from './client-blobs.ts'
import type { Change } from './client-changes.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Link } from './link.ts'
import { types } from './protocol.ts'

export class StoredBlobs {
  readonly #storage: ClientStorage
  readonly #link: Link
  readonly #view: number
  readonly #copies = new Map<Oid, IncomingBlob>()
  #sender: BlobSender | undefined
  #hasEnded = false

  constructor(storage: ClientStorage, link: Link, view: number) {
    this.#storage = storage
    this.#link = link
    this.#view = view
  }

  /** One is under way: nothing else may be asked of the transaction. */
  get isStoring(): boolean {
    return this.#sender !== undefined
  }

  /** Resolves when the served storage has all of it. */
  async store(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void> {
    const link = this.#link
    this.#storage.counted.roundTrips++
    const fields = link.fields.id(oid).id(serial).take()
    let sender: BlobSender | undefined
    const credit = (body: BodyReader) => sender?.credit(body.u32())
    const storing = link.call(types.storeBlob, this.#view, fields, () => {}, credit, data)
    sender = new BlobSender(link, this.#view, link.lastRequest)
    this.#sender = sender
    // A refusal ends the sending; what was sent in vain has no other effect.
    storing.catch((error: unknown) => sender.stop(error))
    const copy = this.#storage.blobCache?.incoming(cachedPieceBytes)
    try {
      await sender.send(copy?.copyOf(source) ?? source)
      await storing
      this.#keep(oid, copy)
    } catch (error) {
      copy?.drop()
      throw error
    } finally {
      this.#sender = undefined
    }
  }

  /** Takes no more of the source; `store` throws this. */
  stop(error: Error): void {
    this.#sender?.stop(error)
  }

  /** Nobody waits for it: whoever reads one of them before it is in its place asks the server. */
  place(tid: Tid, changes: Iterable<Change>): void {
    const store = this.#storage.blobStoreAt(this.#link)
    if (store === undefined) return
    for (const { oid, hasBlob } of changes) {
      const copy = hasBlob === true ? this.#copies.get(oid) : undefined
      if (copy === undefined) continue
      this.#copies.delete(oid)
      void copy.place({ store, oid, tid }).then(() => copy.close())
    }
  }

  /** The transaction has ended: copies that have no place are dropped. */
  end(): void {
    this.#hasEnded = true
    for (const copy of this.#copies.values()) copy.drop()
    this.#copies.clear()
  }

  #keep(oid: Oid, copy: IncomingBlob | undefined): void {
    this.#copies.get(oid)?.drop()
    if (copy === undefined) return
    // Aborted while the last of it was on its way.
    if (this.#hasEnded) copy.drop()
    else this.#copies.set(oid, copy)
  }
}
