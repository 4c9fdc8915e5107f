/**
 * What a transaction of a client has changed and read, sent to the server as it comes, one-way; and all of it once more
 * where the vote failed and is repeated with merged states.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { TransactionMetadata } from '../storage.ts'
import type { Link } from './link.ts'
import { writeMetadata } from './messages.ts'
import { types } from './protocol.ts'

export interface Change {
  readonly oid: Oid
  serial: Tid
  /** Null deletes. */
  data: Uint8Array | null
  /** What `serial` looked like, where a merge has left it. */
  base?: Uint8Array
  /** A blob was streamed with it, which cannot be sent again. */
  hasBlob?: true
}

export class ClientChanges {
  readonly byOid = new Map<Oid, Change>()
  readonly #link: Link
  readonly #view: number
  readonly #metadata: TransactionMetadata
  readonly #nextNumber: () => number
  readonly #reads: { readonly oid: Oid; readonly serial: Tid }[] = []
  #number = 0

  /** @param nextNumber of this client's transactions */
  constructor(link: Link, view: number, metadata: TransactionMetadata, nextNumber: () => number) {
    this.#link = link
    this.#view = view
    this.#metadata = metadata
    this.#nextNumber = nextNumber
    this.#sendBegin()
  }

  /** By which the server knows the transaction; another one when it was sent again. */
  get number(): number {
    return this.#number
  }

  get hasBlobs(): boolean {
    for (const { hasBlob } of this.byOid.values()) if (hasBlob === true) return true
    return false
  }

  put(change: Change): void {
    this.byOid.set(change.oid, change)
    this.#sendChange(change)
  }

  readCurrent(oid: Oid, serial: Tid): void {
    const read = { oid, serial }
    this.#reads.push(read)
    this.#sendRead(read)
  }

  sendAgain(): void {
    this.#sendBegin()
    for (const change of this.byOid.values()) this.#sendChange(change)
    for (const read of this.#reads) this.#sendRead(read)
  }

  #sendBegin(): void {
    this.#number = this.#nextNumber()
    const fields = this.#link.fields.id(this.#number as Tid)
    this.#link.gather(types.begin, this.#view, writeMetadata(fields, this.#metadata).take())
  }

  #sendChange({ oid, serial, data }: Change): void {
    const fields = this.#link.fields.id(oid).id(serial).take()
    if (data === null) this.#link.gather(types.delete, this.#view, fields)
    else this.#link.gather(types.store, this.#view, fields, data)
  }

  #sendRead({ oid, serial }: { readonly oid: Oid; readonly serial: Tid }): void {
    this.#link.gather(types.readCurrent, this.#view, this.#link.fields.id(oid).id(serial).take())
  }
}
