/**
 * A committing session over PostgreSQL: a commit is one round trip, and where somebody is in its way the vote is one and
 * finish another. The data go all in one piece, so nothing is staged in tables.
 */

import type { Clock } from '../../../core/clock.ts'
import { ShootoutError } from '../../../core/errors.ts'
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
import type { PgRow, PgSession, PgValue } from './driver.ts'
import { groupOf } from './functions.ts'
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

/** The server takes messages of less than 1 GiB. Room is left for the table of contents of some hundred thousand objects. */
const dataBytesMax = 1000 * 1024 * 1024

export class PostgresWriter implements Writer {
  readonly blobs: PostgresBlobWriting
  readonly #session: PgSession
  readonly #settings: PostgresWriterSettings
  #inTransaction = false
  /** What was voted on has no row from this oid on. */
  #freshFrom = Number.MAX_SAFE_INTEGER

  constructor(session: PgSession, settings: PostgresWriterSettings) {
    this.#session = session
    this.blobs = new PostgresBlobWriting(session)
    this.#settings = settings
  }

  get isBroken(): boolean {
    return this.#session.isBroken
  }

  async vote(changes: readonly Change[], expectations: readonly Expectation[]): Promise<readonly Row[]> {
    assertFit(changes)
    const changed = changes.filter(({ base }) => base !== noTid)
    const values = [
      arrayOf(changed.map(({ oid }) => oid)),
      arrayOf(changed.map(({ base }) => base)),
      arrayOf(changes.filter(({ base }) => base === noTid).map(({ oid }) => oid)),
      arrayOf(expectations.map(({ oid }) => oid)),
      arrayOf(expectations.map(({ serial }) => serial)),
    ]
    this.#inTransaction = true
    const [, rows] = await this.#session.request(
      { statement: transaction.begin },
      { statement: write.vote, values },
    )
    const current = rows!.filter((row) => row[3] === false).map((row) => this.#row(row))
    // One that was changed is a conflict anyway. One that was deleted is as good as one that was never there, as long as
    // nobody brings it back.
    const conflicting = new Set(current.filter(({ data }) => data !== null).map(({ oid }) => oid))
    const locked = rows!.find((row) => row[3] === true && !conflicting.has(row[0] as Oid))
    if (locked !== undefined) throw lockedError(locked[0] as Oid, locked[1] as Tid)
    this.#freshFrom = freshFrom(changes, current)
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
        values: [
          ...values,
          this.#freshFrom,
          clock.wallUs(),
          oidMax,
          ...(history ? metadataValues(metadata) : []),
        ],
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

  async commit(
    changes: readonly Change[],
    expectations: readonly Expectation[],
    metadata: TransactionMetadata,
  ): Promise<Committed | undefined> {
    assertFit(changes)
    const { history, clock } = this.#settings
    const fresh = changes.filter(({ base }) => base === noTid)
    const { values, oidMax } = this.#pack(changes)
    const [oids, ...data] = values
    let rows: readonly PgRow[]
    try {
      // A statement by itself is a transaction.
      rows = await this.#session.rows(
        history ? write.commitHistory : write.commit,
        oids!,
        arrayOf(changes.map(({ base }) => base)),
        changes.length - fresh.length,
        arrayOf(groupsOf(fresh)),
        arrayOf(expectations.map(({ oid }) => oid)),
        arrayOf(expectations.map(({ serial }) => serial)),
        ...data,
        clock.wallUs(),
        oidMax,
        ...(history ? metadataValues(metadata) : []),
      )
    } catch (error) {
      if (isThere(error)) return undefined
      throw error
    }
    const [tid, previous] = rows[0] as readonly [Tid | null, Tid]
    if (tid === null) return undefined
    this.#settings.committed(tid)
    return { tid, previous }
  }

  async restore(transactions: readonly StoredTransaction[], packed: Tid): Promise<void> {
    for (const { records } of transactions) assertFit(records)
    this.#inTransaction = true
    const steps = transactions.flatMap(({ tid, metadata, records }) => {
      const { values, oidMax } = this.#pack(records.map(({ oid, data }) => ({ oid, base: noTid, data })))
      const restored = [tid, ...values, Number.MAX_SAFE_INTEGER, oidMax, ...metadataValues(metadata)]
      return [{ statement: write.restore, values: restored }, ...linkSteps(records)]
    })
    if (packed > noTid) steps.push({ statement: write.setPacked, values: [packed] })
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

/**
 * The server ends the connection of whoever sends too much, and then a commit is as good as lost.
 * @throws ShootoutError `too-large`
 */
function assertFit(changes: readonly Omit<Change, 'base'>[]): void {
  const bytes = changes.reduce((sum, { data }) => sum + (data?.length ?? 0), 0)
  if (bytes <= dataBytesMax) return
  throw new ShootoutError(
    'too-large',
    `a transaction of ${bytes} bytes is too large: PostgreSQL takes messages of up to 1 GB; commit less at once, or store large objects as blobs`,
    { details: { bytes, bytesMax: dataBytesMax } },
  )
}

/** New objects mostly have the highest oids. @param current rows that the vote found */
function freshFrom(changes: readonly Change[], current: readonly Row[]): number {
  const known = new Set(current.map(({ oid }) => oid))
  const last = changes.findLastIndex(({ oid, base }) => base !== noTid || known.has(oid))
  return changes[last + 1]?.oid ?? Number.MAX_SAFE_INTEGER
}

/** Groups of new objects whose numbers are locked; each once. */
function groupsOf(objects: readonly Change[]): readonly number[] {
  return [...new Set(objects.map(({ oid }) => groupOf(oid)))]
}

/** A new object is there already. */
function isThere(error: unknown): boolean {
  return error instanceof ShootoutError && error.details['sqlState'] === '23505'
}

function metadataValues({ user, description, extension }: TransactionMetadata): readonly PgValue[] {
  return [user, description, extension]
}
