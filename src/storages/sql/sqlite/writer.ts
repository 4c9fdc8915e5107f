/**
 * A committing session over SQLite. The vote takes the one write lock of the file, which is held until the commit, so it
 * can choose the tid; and it writes each row where the revision is the one that the change started from, so that no
 * object is looked up before it is written. Finish writes what was merged, and commits.
 */

import { chain } from '../../../core/awaitable.ts'
import { nextTid, noTid, type Oid, type Tid } from '../../../core/ids.ts'
import type { Awaitable, TransactionMetadata } from '../../storage.ts'
import {
  type Change,
  type Committed,
  type Expectation,
  type Row,
  restoreOrderError,
  type StoredTransaction,
  type Writer,
} from '../adapter.ts'
import { linkBlobs, SqliteBlobWriting } from './blobs.ts'
import { Wait } from './busy.ts'
import { writeState } from './statements.ts'
import type { StoreState, WriteSession } from './write-session.ts'

/** SQLite's default; only an estimate depends on it. */
const pageBytes = 4096

/** What a writer holds between its vote and the end. */
interface Voted {
  readonly state: StoreState
  readonly committed: Committed
  /** Objects that were at another revision: theirs are the only rows still to be written. */
  readonly differing: ReadonlySet<Oid>
}

export class SqliteWriter implements Writer {
  readonly blobs: SqliteBlobWriting
  readonly #session: WriteSession
  /** Present while this writer holds the write lock. */
  #voted: Voted | undefined
  #wait: Wait | undefined

  constructor(session: WriteSession) {
    this.#session = session
    this.blobs = new SqliteBlobWriting(session)
  }

  vote(
    changes: readonly Change[],
    expectations: readonly Expectation[],
    endSnapshot: () => void,
  ): Awaitable<readonly Row[]> {
    const { settings } = this.#session
    this.#wait = new Wait(() => {
      if (settings.isLogLong()) endSnapshot()
    })
    return chain(this.#session.begin(this.#wait), () => {
      try {
        return this.#vote(changes, expectations)
      } catch (error) {
        this.#session.rollback()
        throw error
      }
    })
  }

  cancelVote(): void {
    this.#wait?.cancel()
  }

  #vote(changes: readonly Change[], expectations: readonly Expectation[]): readonly Row[] {
    const state = this.#session.state()
    const previous = Math.max(state.tid, state.horizon) as Tid
    const tid = nextTid(previous, this.#session.settings.clock.wallUs())
    const rows: Row[] = []
    const differing = new Set<Oid>()
    for (const change of changes) {
      if (this.#write(change, tid)) continue
      const { oid } = change
      const serial = this.#current(oid)
      const hasBlob = this.#session.blob.get(oid, serial) !== undefined
      rows.push({ oid, serial, data: this.#load(oid), hasBlob })
      differing.add(oid)
    }
    for (const { oid, serial: expected } of expectations) {
      const serial = this.#current(oid)
      if (serial !== expected) rows.push({ oid, serial, data: this.#load(oid) })
    }
    this.#voted = { state, committed: { tid, previous }, differing }
    return rows
  }

  /** Where the object is at the revision that the change started from; elsewhere nothing happens. */
  #write({ oid, base, data }: Change, tid: Tid): boolean {
    const { add, change } = this.#session
    return (base === noTid ? add.run(tid, data, oid) : change.run(tid, data, oid, base)) === 1
  }

  #current(oid: Oid): Tid {
    return (this.#session.current.get(oid)?.[0] ?? noTid) as Tid
  }

  #load(oid: Oid): Uint8Array | null {
    const data = (this.#session.load.get(oid)?.[1] ?? null) as Uint8Array | null
    this.#session.settings.counters.bytesRead += data?.length ?? 0
    return data
  }

  finish(changes: readonly Change[], metadata: TransactionMetadata): Committed {
    const { state, committed, differing } = this.#voted!
    this.#voted = undefined
    const { tid } = committed
    this.#commit(() => {
      if (differing.size > 0) {
        for (const { oid, data } of changes) if (differing.has(oid)) this.#session.put.run(tid, data, oid)
      }
      return this.#complete(state, { tid, metadata, records: changes })
    })
    return committed
  }

  restore(transactions: readonly StoredTransaction[], packed: Tid): Awaitable<void> {
    return chain(this.#session.begin(), () =>
      this.#commit(() => {
        let pages = 0
        for (const transaction of transactions) {
          const state = this.#session.state()
          if (transaction.tid <= state.tid) throw restoreOrderError(transaction.tid, state.tid)
          for (const { oid, data } of transaction.records) this.#session.put.run(transaction.tid, data, oid)
          pages += this.#complete(state, transaction)
        }
        if (packed > noTid) this.#session.connection.prepare(writeState.setPacked).run(packed)
        return pages
      }),
    )
  }

  /** @param write returns a rough number of pages that it wrote */
  #commit(write: () => number): void {
    let pages: number
    try {
      pages = write()
      this.#session.commit(pages)
    } catch (error) {
      this.#session.rollback()
      throw error
    }
  }

  /** What a transaction needs beside its rows. @returns a rough number of pages */
  #complete(state: StoreState, { tid, metadata, records }: StoredTransaction): number {
    const session = this.#session
    let bytes = 0
    let oidMax = -1
    for (const { oid, data } of records) {
      bytes += data?.length ?? 0
      if (oid > oidMax) oidMax = oid
    }
    linkBlobs(session.connection, tid, records)
    session.log?.run(tid, metadata.user, metadata.description, metadata.extension)
    session.advance(state, tid, oidMax)
    session.settings.counters.bytesWritten += bytes
    return 2 + records.length + Math.ceil(bytes / pageBytes)
  }

  abort(): void {
    if (this.#voted === undefined) return
    this.#voted = undefined
    this.#session.rollback()
  }

  close(): void {
    this.abort()
  }
}
