/**
 * A committing session over PostgreSQL: the vote is one round trip, finish is another. The data go with finish alone,
 * all in one piece, so nothing is staged in tables and nothing is sent twice.
 */

import type { Clock } from '../../../core/clock.ts'
import { noTid, type Oid, type Tid } from '../../../core/ids.ts'
import type { TransactionMetadata } from '../../storage.ts'
import {
  type Change,
  type Committed,
  type Expectation,
  lockedError,
  type Row,
  restoreOrderError,
  type StoredTransaction,
  type Writer,
} from '../adapter.ts'
import { packRows } from '../row-pack.ts'
import { claimBlobs, linkSteps, PostgresBlobWriting } from './blobs.ts'
import type { PgSession, PgValue } from './driver.ts'
import { arrayOf } from './reader.ts'
import { transaction, write } from './statements.ts'

export interface PostgresWriterSettings {
  readonly history: boolean
  readonly clock: Clock
  /** Oids up to this one have been leased by this process and need not be told to the database. */
  leasedOidMax(): number
  /** Told of the newest transaction of each commit, before anybody else is. */
  committed(tid: Tid): void
  /** Interrupts what the server does for another session. */
  cancel(processId: number): Promise<void>
}

export class PostgresWriter implements Writer {
  readonly blobs: PostgresBlobWriting
  readonly #session: PgSession
  readonly #settings: PostgresWriterSettings
  #inTransaction = false

  constructor(session: PgSession, settings: PostgresWriterSettings) {
    this.#session = session
    this.blobs = new PostgresBlobWriting(session)
    this.#settings = settings
  }

  get isBroken(): boolean {
    return this.#session.isBroken
  }

  async vote(changes: readonly Change[], expectations: readonly Expectation[]): Promise<readonly Row[]> {
    const values = [
      arrayOf(changes.map(({ oid }) => oid)),
      arrayOf(changes.map(({ base }) => base)),
      arrayOf(expectations.map(({ oid }) => oid)),
      arrayOf(expectations.map(({ serial }) => serial)),
    ]
    this.#inTransaction = true
    const [, rows] = await this.#session.request(
      { statement: transaction.begin },
      { statement: write.vote, values },
    )
    const current = rows!.filter((row) => row[3] === false).map((row) => this.#row(row))
    const locked = rows!.find((row) => row[3] === true)
    const isKnown = current.some(({ oid }) => oid === locked?.[0])
    if (locked !== undefined && !isKnown) throw lockedError(locked[0] as Oid, locked[1] as Tid)
    return current
  }

  async cancelVote(): Promise<void> {
    // The signal may come late and hit whatever is done next, so nothing must be done next.
    this.#session.condemn()
    await this.#settings.cancel(this.#session.processId)
  }

  #row(row: readonly PgValue[]): Row {
    return {
      oid: row[0] as Oid,
      serial: row[1] as Tid,
      data: row[2] as Uint8Array | null,
      hasBlob: row[4] === true,
    }
  }

  async finish(changes: readonly Change[], metadata: TransactionMetadata): Promise<Committed> {
    const { history, clock } = this.#settings
    const { values, oidMax } = this.#pack(changes)
    await claimBlobs(this.#session, changes)
    const statement = history ? write.finishHistory : write.finish
    const [rows] = await this.#session.request(
      {
        statement,
        values: [...values, clock.wallUs(), oidMax, ...(history ? metadataValues(metadata) : [])],
      },
      ...linkSteps(changes),
      // Sent along: where finish fails, the server answers this with a rollback.
      { statement: transaction.commit },
    )
    this.#inTransaction = false
    const [tid, previous] = rows![0] as readonly [Tid, Tid]
    this.#settings.committed(tid)
    return { tid, previous }
  }

  async restore(transactions: readonly StoredTransaction[]): Promise<void> {
    this.#inTransaction = true
    const steps = transactions.flatMap(({ tid, metadata, records }) => {
      const { values, oidMax } = this.#pack(records.map(({ oid, data }) => ({ oid, base: noTid, data })))
      const restored = [tid, ...values, oidMax, ...metadataValues(metadata)]
      return [{ statement: write.restore, values: restored }, ...linkSteps(records)]
    })
    const [, first] = await this.#session.request({ statement: transaction.begin }, ...steps)
    const { tid } = transactions[0]!
    const previous = first![0]![0] as Tid
    if (tid <= previous) throw restoreOrderError(tid, previous)
    for (const { records } of transactions) await claimBlobs(this.#session, records)
    await this.#session.rows(transaction.commit)
    this.#inTransaction = false
    this.#settings.committed(transactions.at(-1)!.tid)
  }

  #pack(changes: readonly Change[]): { readonly values: readonly PgValue[]; readonly oidMax: number | null } {
    const { oids, starts, lengths, contents } = packRows(changes)
    const oidMax = oids.reduce((max, oid) => Math.max(max, oid), -1)
    return {
      values: [arrayOf(oids), arrayOf(starts), arrayOf(lengths), contents],
      oidMax: oidMax > this.#settings.leasedOidMax() ? oidMax : null,
    }
  }

  async abort(): Promise<void> {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    // A session that is closed is rolled back by the server.
    if (!this.#session.isBroken) await this.#session.rows(transaction.rollback)
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function metadataValues({ user, description, extension }: TransactionMetadata): readonly PgValue[] {
  return [user, description, extension]
}
