/** A loading session over PostgreSQL: one connection, whose snapshot is a repeatable-read transaction. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { HistoryEntry, TransactionRecord } from '../../storage.ts'
import type { PastRow, Poll, Reader, Row } from '../adapter.ts'
import { changesLimit, pastRowOf, pollOf, recordsOf } from '../answers.ts'
import { LoadBatch } from '../load-batch.ts'
import { PostgresBlobReading } from './blobs.ts'
import type { PgRow, PgSession, PgStep } from './driver.ts'
import { historyFree, historyPreserving, transaction } from './statements.ts'

/** Session settings of a reader: each transaction is a snapshot. */
export const readerParameters = {
  default_transaction_isolation: 'repeatable read',
  default_transaction_read_only: 'on',
} as const

interface PollAfter {
  /** The rows of each statement that was to be asked first. */
  readonly answers: readonly (readonly PgRow[])[]
  readonly poll: Poll
}

export class PostgresReader implements Reader {
  readonly blobs: PostgresBlobReading
  readonly #session: PgSession
  readonly #sql: typeof historyFree
  readonly #batch: LoadBatch
  #inSnapshot = false

  constructor(session: PgSession, history: boolean) {
    this.#session = session
    this.blobs = new PostgresBlobReading(session)
    this.#sql = history ? historyPreserving : historyFree
    this.#batch = new LoadBatch(
      (oid) => this.#loadOne(oid),
      (oids) => this.loadMany(oids),
    )
  }

  get isBroken(): boolean {
    return this.#session.isBroken
  }

  async poll(seen: Tid | undefined): Promise<Poll> {
    return (await this.pollAfter(seen)).poll
  }

  /** As `poll`, in one round trip with what else is to be asked, which is answered before the snapshot is taken. */
  async pollAfter(seen: Tid | undefined, ...first: readonly PgStep[]): Promise<PollAfter> {
    const steps: PgStep[] = this.#inSnapshot ? [{ statement: transaction.commit }] : []
    const ended = steps.length
    this.#inSnapshot = true
    // BEGIN alone takes no snapshot; the statement after it does.
    const asked =
      seen === undefined
        ? { statement: this.#sql.state }
        : { statement: this.#sql.poll, values: [seen, changesLimit] }
    steps.push(...first, { statement: transaction.begin }, asked)
    const answers = await this.#session.request(...steps)
    const rows = answers.at(-1)!
    const [tid, horizon, life] = rows[0] as readonly [Tid, Tid, number]
    const poll = pollOf({ tid, horizon, life }, seen, seen === undefined ? [] : changesOf(rows))
    return { answers: answers.slice(ended, ended + first.length), poll }
  }

  load(oid: Oid): Promise<Row | undefined> {
    return this.#batch.load(oid)
  }

  async #loadOne(oid: Oid): Promise<Row | undefined> {
    const [row] = await this.#session.rows(this.#sql.load, oid)
    return row === undefined ? undefined : { oid, serial: row[0] as Tid, data: row[1] as Uint8Array | null }
  }

  async loadMany(oids: readonly Oid[]): Promise<readonly Row[]> {
    const rows = await this.#session.rows(this.#sql.loadMany, arrayOf(oids))
    return rows.map((row) => ({
      oid: row[0] as Oid,
      serial: row[1] as Tid,
      data: row[2] as Uint8Array | null,
    }))
  }

  /** Not waited for: whatever this session is asked next comes after it. */
  endSnapshot(): void {
    if (!this.#inSnapshot) return
    this.#inSnapshot = false
    this.#session.post(transaction.commit)
  }

  async loadBefore(oid: Oid, before: Tid): Promise<PastRow | undefined> {
    const [row] = await this.#session.rows(this.#sql.loadBefore, oid, before)
    const [serial = null, data = null, nextSerial = null] = row ?? []
    return pastRowOf(serial as Tid | null, data as Uint8Array | null, nextSerial as Tid | null)
  }

  async history(oid: Oid, count: number): Promise<readonly HistoryEntry[]> {
    const rows = await this.#session.rows(historyPreserving.history, oid, count)
    return rows.map((row) => ({ tid: row[0] as Tid, metadata: metadataOf(row), bytes: row[4] as number }))
  }

  async packed(): Promise<Tid> {
    const [row] = await this.#session.rows(historyPreserving.packed)
    return row![0] as Tid
  }

  async changedBy(tid: Tid): Promise<readonly Oid[] | undefined> {
    const [found, changed] = await this.#session.request(
      { statement: historyPreserving.isThere, values: [tid] },
      { statement: historyPreserving.changedBy, values: [tid] },
    )
    return found!.length === 0 ? undefined : changed!.map((row) => row[0] as Oid)
  }

  async transactions(from: Tid, to: Tid, count: number): Promise<readonly TransactionRecord[]> {
    const rows = await this.#session.rows(historyPreserving.transactions, from, to, count)
    const log = rows.map((row) => ({ tid: row[0] as Tid, metadata: metadataOf(row) }))
    const last = log.at(-1)
    if (last === undefined) return []
    const revisions = await this.#session.rows(historyPreserving.records, log[0]!.tid, last.tid)
    return recordsOf(
      log,
      revisions.map(([tid, oid, data]) => ({
        tid: tid as Tid,
        oid: oid as Oid,
        data: data as Uint8Array | null,
      })),
    )
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** An array of numbers as PostgreSQL writes it. */
export function arrayOf(numbers: readonly number[]): string {
  return `{${numbers.join()}}`
}

function changesOf(rows: readonly PgRow[]): { oid: Oid; tid: Tid }[] {
  const changes: { oid: Oid; tid: Tid }[] = []
  for (const row of rows) if (row[3] !== null) changes.push({ oid: row[3] as Oid, tid: row[4] as Tid })
  return changes
}

function metadataOf(row: PgRow): HistoryEntry['metadata'] {
  return { user: row[1] as string, description: row[2] as string, extension: row[3] as Uint8Array }
}
