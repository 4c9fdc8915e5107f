/** One task's view of a database: a snapshot of objects, and at most one transaction that changes them. */

export interface Connection {
  /** Objects loaded from, and stored into, the storage by this connection. */
  readonly transferCounts: { readonly loads: number; readonly stores: number }
  close(): Promise<void>
}
