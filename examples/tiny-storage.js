// A storage of your own in one file. Try it:
//   shootout check ./examples/tiny-storage.js
//   shootout run --storage memory --storage ./examples/tiny-storage.js
// It keeps all transactions in one array, the oldest first, and finds a revision by searching from the end. That is
// slow, and it is correct: the adapter does the rest (snapshots, invalidations, conflicts, the two-phase commit).

import { defineStorage, mvccAdapter, noTid } from 'shootout/storage'

/**
 * @import { BaseStorage, Oid, Tid, TransactionRecord } from 'shootout/storage'
 * @implements {BaseStorage}
 */
class TinyStore {
  /** @type {TransactionRecord[]} */
  #transactions = []
  /** The next object id to give out. 0 is the root's. */
  #nextOid = 1

  /** The newest committed transaction. */
  get lastTid() {
    return this.#transactions.at(-1)?.tid ?? noTid
  }

  /** Object ids that nobody has been given before, ascending. @param {number} count */
  newOids(count) {
    return Array.from({ length: count }, () => /** @type {Oid} */ (this.#nextOid++))
  }

  /**
   * The newest revision older than `before`, and which transaction replaced it. A deletion is a revision without data.
   * @param {Oid} oid @param {Tid} before
   */
  loadBefore(oid, before) {
    /** @type {Tid | undefined} */
    let nextSerial
    for (const { tid, records } of this.#transactions.toReversed()) {
      const record = records.find((one) => one.oid === oid)
      if (record === undefined) continue
      if (tid < before) return { data: record.data, serial: tid, nextSerial }
      nextSerial = tid
    }
    return undefined
  }

  /** All records of a transaction or none, and they must not get lost. Here: one push. @param {TransactionRecord} transaction */
  commit(transaction) {
    this.#transactions.push(transaction)
    for (const { oid } of transaction.records) this.#nextOid = Math.max(this.#nextOid, oid + 1)
  }

  /** As new. */
  zap() {
    this.#transactions = []
    this.#nextOid = 1
  }

  close() {}
}

export default defineStorage({
  name: 'tiny',
  summary: 'an example: all transactions in one array',
  options: {},
  // What it can do. The conformance suite checks that this is the truth.
  capabilities: () => ({
    reach: 'isolate', // one event loop
    durability: 'memory', // gone when the process ends
    persistent: false,
    blocking: false,
    history: true, // old revisions can be read
    conflictResolution: true, // the adapter does it
    deletion: true, // the adapter does it
    undo: false, // would need `changedBy` and `history`
    iteration: false, // would need `iterate`
    pack: false, // would need `pack`
    blobs: false, // would need `takeBlob`
    prefetch: false,
  }),
  open: (_options, context) => mvccAdapter(new TinyStore(), context),
})
