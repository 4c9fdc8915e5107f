/**
 * A committing session over SQLite. The vote takes the one write lock of the file and compares; finish writes the rows
 * and commits. The data wait in memory until then, so the lock is held for no longer than it must be.
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
import type { StoreState, WriteSession } from './write-session.ts'

/** SQLite's default; only an estimate depends on it. */
const pageBytes = 4096

export class SqliteWriter implements Writer {
  readonly blobs: SqliteBlobWriting
  readonly #session: WriteSession
  /** Present while this writer holds the write lock. */
  #state: StoreState | undefined

  #wait: Wait | undefined

  constructor(session: WriteSession) {
    this.#session = session
    this.blobs = new SqliteBlobWriting(session)
  }

  vote(changes: readonly Change[], expectations: readonly Expectation[]): Awaitable<readonly Row[]> {
    this.#wait = new Wait()
    return chain(this.#session.begin(this.#wait), () => {
      try {
        this.#state = this.#session.state()
        return this.#compare(changes, expectations)
      } catch (error) {
        this.#state = undefined
        this.#session.rollback()
        throw error
      }
    })
  }

  cancelVote(): void {
    this.#wait?.cancel()
  }

  #compare(changes: readonly Change[], expectations: readonly Expectation[]): readonly Row[] {
    if (changes.length + expectations.length === 0) return []
    const oids = [...changes, ...expectations].map(({ oid }) => oid)
    const serials = new Map<Oid, Tid>()
    for (const [oid, tid] of this.#session.current.all(`[${oids.join()}]`))
      serials.set(oid as Oid, tid as Tid)
    const differing: Row[] = []
    for (const { oid, base } of changes) {
      const serial = serials.get(oid) ?? noTid
      if (serial === base) continue
      const hasBlob = this.#session.blob.get(oid, serial) !== undefined
      differing.push({ oid, serial, data: this.#load(oid), hasBlob })
    }
    for (const expectation of expectations) {
      const serial = serials.get(expectation.oid) ?? noTid
      if (serial !== expectation.serial) {
        differing.push({ oid: expectation.oid, serial, data: this.#load(expectation.oid) })
      }
    }
    return differing
  }

  #load(oid: Oid): Uint8Array | null {
    const data = (this.#session.load.get(oid)?.[1] ?? null) as Uint8Array | null
    this.#session.settings.counters.bytesRead += data?.length ?? 0
    return data
  }

  finish(changes: readonly Change[], metadata: TransactionMetadata): Committed {
    const state = this.#state!
    this.#state = undefined
    const previous = Math.max(state.tid, state.horizon) as Tid
    const tid = nextTid(previous, this.#session.settings.clock.wallUs())
    this.#commit(() => this.#put(state, { tid, metadata, records: changes }))
    return { tid, previous }
  }

  restore(transactions: readonly StoredTransaction[]): Awaitable<void> {
    return chain(this.#session.begin(), () =>
      this.#commit(() => {
        let pages = 0
        for (const transaction of transactions) {
          const state = this.#session.state()
          if (transaction.tid <= state.tid) throw restoreOrderError(transaction.tid, state.tid)
          pages += this.#put(state, transaction)
        }
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

  #put(state: StoreState, { tid, metadata, records }: StoredTransaction): number {
    const session = this.#session
    let bytes = 0
    let oidMax = -1
    for (const { oid, data } of records) {
      session.put.run(oid, tid, data)
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
    if (this.#state === undefined) return
    this.#state = undefined
    this.#session.rollback()
  }

  close(): void {
    this.abort()
  }
}
