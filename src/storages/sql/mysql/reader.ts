/** A loading session over MySQL or MariaDB: one connection, whose snapshot is a repeatable-read transaction. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { HistoryEntry, TransactionRecord } from '../../storage.ts'
import type { PastRow, Poll, Reader, Row } from '../adapter.ts'
import { changesLimit, pastRowOf, pollOf, recordsOf, type StateRow } from '../answers.ts'
import { LoadBatch } from '../load-batch.ts'
import { MysqlBlobReading } from './blobs.ts'
import type { MyRow, MySession, MyValue } from './driver.ts'
import { calls, historyFree, historyPreserving } from './statements.ts'

export const readerPreparation = ['SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ'] as const

export class MysqlReader implements Reader {
  readonly blobs: MysqlBlobReading
  readonly #session: MySession
  readonly #sql: typeof historyFree
  readonly #batch: LoadBatch
  #inSnapshot = false

  constructor(session: MySession, history: boolean) {
    this.#session = session
    this.blobs = new MysqlBlobReading(session)
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
    this.#inSnapshot = true
    const [states, changes = []] =
      seen === undefined
        ? await this.#session.results(calls.first)
        : await this.#session.results(calls.poll, seen, changesLimit)
    const state = states![0] as unknown as StateRow
    return pollOf(state, seen, changes as unknown as readonly { readonly oid: Oid; readonly tid: Tid }[])
  }

  load(oid: Oid): Promise<Row | undefined> {
    return this.#batch.load(oid)
  }

  async #loadOne(oid: Oid): Promise<Row | undefined> {
    const [row] = await this.#session.rows(this.#sql.load, oid)
    return row === undefined ? undefined : { oid, serial: row['tid'] as Tid, data: bytesOf(row['data']) }
  }

  async loadMany(oids: readonly Oid[]): Promise<readonly Row[]> {
    const rows = await this.#session.rows(this.#sql.loadMany, JSON.stringify(oids))
    return rows.map(({ oid, tid, data }) => ({ oid: oid as Oid, serial: tid as Tid, data: bytesOf(data) }))
  }

  /** Not waited for: whatever this session is asked next comes after it. */
  endSnapshot(): void {
    if (!this.#inSnapshot) return
    this.#inSnapshot = false
    this.#session.post('COMMIT')
  }

  async loadBefore(oid: Oid, before: Tid): Promise<PastRow | undefined> {
    const [row] = await this.#session.rows(this.#sql.loadBefore, oid, before)
    const { tid = null, data = null, next_tid: nextTid = null } = row ?? {}
    return pastRowOf(tid as Tid | null, bytesOf(data), nextTid as Tid | null)
  }

  async history(oid: Oid, count: number): Promise<readonly HistoryEntry[]> {
    const rows = await this.#session.rows(historyPreserving.history, oid, count)
    return rows.map((row) => ({
      tid: row['tid'] as Tid,
      metadata: metadataOf(row),
      bytes: Number(row['bytes']),
    }))
  }

  async packed(): Promise<Tid> {
    const [row] = await this.#session.rows(historyPreserving.packed)
    return row!['packed'] as Tid
  }

  async changedBy(tid: Tid): Promise<readonly Oid[] | undefined> {
    const found = await this.#session.rows(historyPreserving.isThere, tid)
    if (found.length === 0) return undefined
    return (await this.#session.rows(historyPreserving.changedBy, tid)).map(({ oid }) => oid as Oid)
  }

  async transactions(from: Tid, to: Tid, count: number): Promise<readonly TransactionRecord[]> {
    const rows = await this.#session.rows(historyPreserving.transactions, from, to, count)
    const log = rows.map((row) => ({ tid: row['tid'] as Tid, metadata: metadataOf(row) }))
    const last = log.at(-1)
    if (last === undefined) return []
    const revisions = await this.#session.rows(historyPreserving.records, log[0]!.tid, last.tid)
    return recordsOf(
      log,
      revisions.map(({ tid, oid, data }) => ({ tid: tid as Tid, oid: oid as Oid, data: bytesOf(data) })),
    )
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** The driver's bytes are a part of what came over the wire; a copy does not keep all of that alive. */
export function bytesOf(data: MyValue | undefined): Uint8Array | null {
  return data === null || data === undefined ? null : Buffer.from(data as Uint8Array)
}

function metadataOf(row: MyRow): HistoryEntry['metadata'] {
  return {
    user: row['user_name'] as string,
    description: row['description'] as string,
    extension: bytesOf(row['extension'])!,
  }
}
