/**
 * A storage as applications see it: connections that hold live objects, over any storage. The harness opens the storage
 * and hands a `Database` to scenarios; an application does the same for itself.
 */

import type { Storage } from '../storages/storage.ts'
import type { Connection } from './connection.ts'

export interface DatabaseOptions {
  /** Objects with state that each connection keeps after a transaction. */
  readonly cacheObjectsLimit?: number
  /** Bytes of records whose objects each connection keeps after a transaction. */
  readonly cacheBytesLimit?: number
  /** Closed connections that are kept to be opened again. */
  readonly poolSize?: number
}

export class Database {
  readonly storage: Storage
  readonly options: DatabaseOptions

  constructor(storage: Storage, options: DatabaseOptions = {}) {
    this.storage = storage
    this.options = options
  }

  openConnection(): Promise<Connection> {
    throw new Error('the object layer is not there yet')
  }

  /** Objects that all connections together loaded from, and stored into, the storage. */
  get transferCounts(): { readonly loads: number; readonly stores: number } {
    return { loads: 0, stores: 0 }
  }

  /** Closes every connection. The storage stays open; who opened it closes it. */
  close(): Promise<void> {
    throw new Error('the object layer is not there yet')
  }
}
