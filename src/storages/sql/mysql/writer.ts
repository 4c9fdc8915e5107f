/**
 * A committing session over MySQL or MariaDB: the vote is one round trip, finish is another. The data go with finish
 * alone, in one piece; only commits that do not fit into one message take several.
 */

import type { Clock } from '../../../core/clock.ts'
import { ConflictError, DisconnectedError, ReadConflictError } from '../../../core/errors.ts'
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
import { linkBlobs, MysqlBlobWriting } from './blobs.ts'
import type { MyRow, MySession, MyValue } from './driver.ts'
import { isRefusal, whileRefused } from './galera.ts'
import { bytesOf } from './reader.ts'
import { calls } from './statements.ts'

export interface MysqlWriterSettings {
  readonly clock: Clock
  /** Bytes of one message that the server accepts. */
  readonly messageBytesMax: number
  /** Oids up to this one have been leased by this process and need not be told to the database. */
  leasedOidMax(): number
  /** Interrupts what the server does for another session. */
  cancel(threadId: number): Promise<void>
}

/** Rows of one message: cutting them out takes the server longer the more there are. */
const rowsPerMessage = 1000

/** A vote that was taken, in case its locks are lost and it must be taken again. */
interface Vote {
  readonly changes: readonly Change[]
  readonly expectations: readonly Expectation[]
  readonly rows: readonly Row[]
}

export class MysqlWriter implements Writer {
  readonly blobs: MysqlBlobWriting
  readonly #session: MySession
  readonly #settings: MysqlWriterSettings
  #inTransaction = false
  /** Oids of reads that found nothing; rows made for them are removed by finish. */
  #missing: readonly Oid[] = []
  #voted: Vote | undefined

  constructor(session: MySession, settings: MysqlWriterSettings) {
    this.#session = session
    this.blobs = new MysqlBlobWriting(session, settings.messageBytesMax)
    this.#settings = settings
  }

  get isBroken(): boolean {
    return this.#session.isBroken
  }

  async vote(changes: readonly Change[], expectations: readonly Expectation[]): Promise<readonly Row[]> {
    const rows = await this.#vote(changes, expectations)
    this.#voted = { changes, expectations, rows }
    return rows
  }

  async #vote(changes: readonly Change[], expectations: readonly Expectation[]): Promise<readonly Row[]> {
    this.#inTransaction = true
    this.#missing = expectations.filter(({ serial }) => serial === noTid).map(({ oid }) => oid)
    const [differing, shared = [], reads = []] = await this.#lockAndDetect(
      JSON.stringify(changes.map(({ oid, base }) => [oid, base])),
      JSON.stringify(expectations.map(({ oid, serial }) => [oid, serial])),
    )
    const rows: Row[] = differing!.map(rowOf)
    const isShared = new Set(shared.map(({ oid }) => oid))
    for (const read of reads) {
      const serial = read['tid'] as Tid
      if (serial !== read['serial']) {
        const data = Number(read['is_deleted']) === 1 ? null : new Uint8Array(0)
        rows.push({ oid: read['oid'] as Oid, serial, data })
      } else if (serial !== noTid && !isShared.has(read['oid']!))
        throw lockedError(read['oid'] as Oid, serial)
    }
    return rows
  }

  /**
   * InnoDB lets a share lock that skips what is locked wait behind an exclusive one that waits itself, and may then see
   * a deadlock in it. Whoever it picks out has lost its locks and nothing else: the vote is one call, made once more.
   */
  #lockAndDetect(changed: string, expected: string): Promise<readonly (readonly MyRow[])[]> {
    return whileRefused(() => this.#session.results(calls.vote, changed, expected))
  }

  async cancelVote(): Promise<void> {
    // The signal may come late and hit whatever is done next, so nothing must be done next.
    this.#session.condemn()
    await this.#settings.cancel(this.#session.threadId)
  }

  /**
   * In a cluster a commit is refused when another node committed at the same moment, whatever it changed. All is undone
   * then, the locks of the vote too. If a second vote finds what the first one found, nothing has come in between.
   */
  finish(changes: readonly Change[], metadata: TransactionMetadata): Promise<Committed> {
    return whileRefused(async (refusals) => {
      if (refusals > 0) await this.#voteAgain()
      return this.#commit(changes, metadata)
    })
  }

  /** @throws ConflictError, ReadConflictError when another transaction has changed what was voted on */
  async #voteAgain(): Promise<void> {
    const { changes, expectations, rows } = this.#voted!
    const before = new Map(rows.map(({ oid, serial }) => [oid, serial]))
    for (const { oid, serial } of await this.#vote(changes, expectations)) {
      const known = before.get(oid)
      if (known === serial) continue
      const change = changes.find((one) => one.oid === oid)
      if (change !== undefined) throw new ConflictError(oid, serial, known ?? change.base)
      const expected = expectations.find((one) => one.oid === oid)!
      throw new ReadConflictError(oid, serial, known ?? expected.serial)
    }
  }

  async #commit(changes: readonly Change[], metadata: TransactionMetadata): Promise<Committed> {
    const parts = this.#split(changes)
    const said = metadataValues(metadata)
    const clock = this.#settings.clock.wallUs()
    const missing = JSON.stringify(this.#missing)
    const hasBlobs = changes.some(({ blob }) => blob !== undefined)
    if (parts.length <= 1 && !hasBlobs) {
      const [row] = await this.#session.rows(calls.finish, clock, ...this.#values(changes), missing, ...said)
      this.#inTransaction = false
      return committedOf(row)
    }
    const [row] = await this.#session.rows(calls.finishBegin, clock, ...said)
    const committed = committedOf(row)
    await this.#putParts(committed.tid, parts)
    await linkBlobs(this.#session, committed.tid, changes)
    await this.#session.rows(calls.finishEnd, missing)
    this.#inTransaction = false
    return committed
  }

  restore(transactions: readonly StoredTransaction[]): Promise<void> {
    return whileRefused(() => this.#restore(transactions))
  }

  async #restore(transactions: readonly StoredTransaction[]): Promise<void> {
    this.#inTransaction = true
    await this.#session.query('START TRANSACTION')
    for (const { tid, metadata, records } of transactions) {
      const changes = records
        .map(({ oid, data }) => ({ oid, base: noTid, data }))
        .sort((a, b) => a.oid - b.oid)
      const oids = JSON.stringify(changes.map(({ oid }) => oid))
      const [row] = await this.#session.rows(calls.restoreBegin, tid, oids, ...metadataValues(metadata))
      const previous = row!['previous'] as Tid
      if (tid <= previous) throw restoreOrderError(tid, previous)
      await this.#putParts(tid, this.#split(changes))
      await linkBlobs(this.#session, tid, records)
    }
    await this.#session.query('COMMIT')
    this.#inTransaction = false
  }

  async #putParts(tid: Tid, parts: readonly (readonly Change[])[]): Promise<void> {
    for (const part of parts) await this.#session.rows(calls.putRows, tid, ...this.#values(part))
  }

  /** What fits into one message each. */
  #split(changes: readonly Change[]): readonly (readonly Change[])[] {
    const parts: Change[][] = []
    let bytes = 0
    for (const change of changes) {
      const size = change.data?.length ?? 0
      const part = parts.at(-1)
      if (
        part === undefined ||
        part.length >= rowsPerMessage ||
        bytes + size > this.#settings.messageBytesMax
      ) {
        parts.push([change])
        bytes = size
      } else {
        part.push(change)
        bytes += size
      }
    }
    return parts
  }

  #values(changes: readonly Change[]): readonly MyValue[] {
    const { oids, starts, lengths, contents } = packRows(changes)
    const oidMax = oids.reduce((max, oid) => Math.max(max, oid), -1)
    const rows = oids.map((oid, index) => [oid, starts[index], lengths[index]])
    return [JSON.stringify(rows), contents, oidMax > this.#settings.leasedOidMax() ? oidMax : null]
  }

  async abort(): Promise<void> {
    if (!this.#inTransaction) return
    this.#inTransaction = false
    // A session that is closed is rolled back by the server.
    if (this.#session.isBroken) return
    try {
      await this.#session.query('ROLLBACK')
    } catch (error) {
      // So the server has done it already, and says so now.
      if (!isRefusal(error)) throw error
    }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function rowOf(row: MyRow): Row {
  return {
    oid: row['oid'] as Oid,
    serial: row['tid'] as Tid,
    data: bytesOf(row['data']),
    hasBlob: Number(row['has_blob']) === 1,
  }
}

/** @throws DisconnectedError when there is no answer, which leaves it open whether the commit was made */
function committedOf(row: MyRow | undefined): Committed {
  // A node that must apply an older transaction first may commit without getting back to the procedure that asked.
  if (row === undefined) throw new DisconnectedError('the server did not tell the outcome of a commit')
  return { tid: row['tid'] as Tid, previous: row['previous'] as Tid }
}

function metadataValues({ user, description, extension }: TransactionMetadata): readonly MyValue[] {
  return [user, description, Buffer.from(extension)]
}
