/** A loading session over SQLite: one connection, whose snapshot is a read transaction. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { Awaitable, HistoryEntry, MutableCounters, TransactionRecord } from '../../storage.ts'
import type { PastRow, Poll, Reader, Row } from '../adapter.ts'
import { changesLimit, newestOf, pastRowOf, pollOf, recordsOf } from '../answers.ts'
import { SqliteBlobReading } from './blobs.ts'
import { type Patience, whileBusy } from './busy.ts'
import type { SqliteConnection, SqliteStatement, SqlValue } from './driver.ts'
import { historyFree, historyPreserving } from './statements.ts'

export interface ReaderSettings {
  readonly history: boolean
  readonly patience: Patience
  readonly counters: MutableCounters
  /** Told whenever a snapshot of this isolate has ended. */
  onSnapshotEnd(): void
}

export class SqliteReader implements Reader {
  readonly blobs: SqliteBlobReading
  readonly #connection: SqliteConnection
  readonly #settings: ReaderSettings
  readonly #begin: SqliteStatement
  readonly #commit: SqliteStatement
  readonly #state: SqliteStatement
  readonly #load: SqliteStatement
  readonly #statements: ReturnType<typeof prepareOthers>
  #inSnapshot = false

  constructor(connection: SqliteConnection, settings: ReaderSettings) {
    this.#connection = connection
    this.#settings = settings
    const sql = settings.history ? historyPreserving : historyFree
    this.#begin = connection.prepare('BEGIN')
    this.#commit = connection.prepare('COMMIT')
    this.#state = connection.prepare(sql.state)
    this.#load = connection.prepare(sql.load)
    this.blobs = new SqliteBlobReading(connection, settings.patience, settings.counters)
    this.#statements = prepareOthers(connection, settings.history)
  }

  poll(seen: Tid | undefined): Awaitable<Poll> {
    if (this.#inSnapshot) this.endSnapshot()
    // Only recovery after a crash, or the last closing of the file, keeps a reader out, and only for a moment.
    return whileBusy(this.#settings.patience, () => this.#poll(seen))
  }

  #poll(seen: Tid | undefined): Poll {
    this.#begin.run()
    this.#inSnapshot = true
    try {
      const [tid, horizon, life] = this.#state.get() as readonly [Tid, Tid, number]
      const state = { tid, horizon, life }
      const isAsked = seen !== undefined && seen !== newestOf(state)
      const rows = isAsked ? this.#statements.changedSince.all(seen, changesLimit) : []
      return pollOf(
        state,
        seen,
        rows.map((row) => ({ oid: row[0] as Oid, tid: row[1] as Tid })),
      )
    } catch (error) {
      this.#end()
      throw error
    }
  }

  load(oid: Oid): Row | undefined {
    const row = this.#load.get(oid)
    return row === undefined ? undefined : this.#row(oid, row[0], row[1])
  }

  loadMany(oids: readonly Oid[]): readonly Row[] {
    const rows = this.#statements.loadMany.all(`[${oids.join()}]`)
    return rows.map((row) => this.#row(row[0] as Oid, row[1], row[2]))
  }

  #row(oid: Oid, serial: SqlValue | undefined, data: SqlValue | undefined): Row {
    return { oid, serial: serial as Tid, data: this.#read(data) }
  }

  #read(data: SqlValue | undefined): Uint8Array | null {
    const bytes = data as Uint8Array | null
    if (bytes !== null) this.#settings.counters.bytesRead += bytes.length
    return bytes
  }

  endSnapshot(): void {
    this.#end()
    this.#settings.onSnapshotEnd()
  }

  #end(): void {
    if (!this.#inSnapshot) return
    this.#inSnapshot = false
    this.#commit.run()
  }

  loadBefore(oid: Oid, before: Tid): Awaitable<PastRow | undefined> {
    return whileBusy(this.#settings.patience, () => {
      const row = this.#statements.loadBefore.get(oid, before)
      const [serial = null, data = null, nextSerial = null] = row ?? []
      return pastRowOf(serial as Tid | null, this.#read(data), nextSerial as Tid | null)
    })
  }

  history(oid: Oid, count: number): Awaitable<readonly HistoryEntry[]> {
    return whileBusy(this.#settings.patience, () =>
      this.#statements.history!.all(oid, count).map((row) => ({
        tid: row[0] as Tid,
        metadata: metadataOf(row),
        bytes: row[4] as number,
      })),
    )
  }

  packed(): Awaitable<Tid> {
    return whileBusy(this.#settings.patience, () => this.#packed())
  }

  #packed(): Tid {
    return this.#statements.packed!.get()![0] as Tid
  }

  changedBy(tid: Tid): Awaitable<readonly Oid[] | undefined> {
    return whileBusy(this.#settings.patience, () => {
      const packed = this.#packed()
      const isThere = this.#statements.transactions!.all((tid - 1) as Tid, tid, 1).length > 0
      if (tid <= packed || !isThere) return undefined
      return this.#statements.changedBy!.all(tid).map((row) => row[0] as Oid)
    })
  }

  transactions(from: Tid, to: Tid, count: number): readonly TransactionRecord[] {
    const log = this.#statements.transactions!.all(from, to, count).map((row) => ({
      tid: row[0] as Tid,
      metadata: metadataOf(row),
    }))
    const last = log.at(-1)
    if (last === undefined) return []
    const revisions = this.#statements.records!.all(log[0]!.tid, last.tid)
    return recordsOf(
      log,
      revisions.map(([tid, oid, data]) => ({ tid: tid as Tid, oid: oid as Oid, data: this.#read(data) })),
    )
  }

  close(): void {
    this.#connection.close()
  }
}

function metadataOf(row: readonly SqlValue[]): HistoryEntry['metadata'] {
  return { user: row[1] as string, description: row[2] as string, extension: row[3] as Uint8Array }
}

function prepareOthers(connection: SqliteConnection, history: boolean) {
  const sql = history ? historyPreserving : historyFree
  const prepare = (text: string | undefined): SqliteStatement | undefined =>
    text === undefined ? undefined : connection.prepare(text)
  const past = history ? historyPreserving : undefined
  return {
    changedSince: connection.prepare(sql.changedSince),
    loadMany: connection.prepare(sql.loadMany),
    loadBefore: connection.prepare(sql.loadBefore),
    history: prepare(past?.history),
    changedBy: prepare(past?.changedBy),
    transactions: prepare(past?.transactions),
    records: prepare(past?.records),
    packed: prepare(past?.packed),
  }
}
