/**
 * A committing session over MySQL or MariaDB: a commit is one round trip, and where somebody is in its way the vote is one
 * and finish another. The data go in one piece; only commits that do not fit into one message take several.
 */

import type { Clock } from '../../../core/clock.ts'
import { ConflictError, DisconnectedError, ReadConflictError, ShootoutError } from '../../../core/errors.ts'
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
import { isInterruption } from '../driver.ts'
import { packRows } from '../row-pack.ts'
import { linkBlobs, MysqlBlobWriting } from './blobs.ts'
import type { MyRow, MySession, MyValue } from './driver.ts'
import { isRefusal, whileRefused } from './galera.ts'
import { slotOf } from './procedures.ts'
import { bytesOf } from './reader.ts'
import { calls } from './statements.ts'

export interface MysqlWriterSettings {
  readonly clock: Clock
  /** Bytes of data that are sent in one message, unless one object has more. */
  readonly messageBytesMax: number
  /** Bytes of one message that the server accepts. */
  readonly packetBytesMax: number
  /** Oids up to this one have been leased by this process and need not be told to the database. */
  leasedOidMax(): number
  /** Interrupts what the server does for another session. */
  cancel(threadId: number): Promise<void>
}

/** Rows of one message: cutting them out takes the server longer the more there are. */
const rowsPerMessage = 1000

/** What else is in the message of one large object. */
const messageOverheadBytes = 1024

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
    this.#assertFit(changes)
    const rows = await this.#vote(changes, expectations)
    this.#voted = { changes, expectations, rows }
    return rows
  }

  async #vote(changes: readonly Change[], expectations: readonly Expectation[]): Promise<readonly Row[]> {
    this.#inTransaction = true
    const absent = [
      ...changes.filter(({ base }) => base === noTid),
      ...expectations.filter(({ serial }) => serial === noTid),
    ]
    const [differing = [], shared = [], reads = []] = await this.#lockAndDetect(
      JSON.stringify(changes.map(({ oid, base }) => [oid, base])),
      JSON.stringify(expectations.map(({ oid, serial }) => [oid, serial])),
      JSON.stringify(slotsOf(absent)),
    )
    const rows: Row[] = differing.map(rowOf)
    const isShared = new Set(shared.map(({ oid }) => oid))
    for (const read of reads) {
      const serial = read['tid'] as Tid
      const isDeleted = Number(read['is_deleted']) === 1
      const isCurrent = serial === read['serial']
      // One that was deleted is as good as one that was never there, as long as nobody brings it back.
      const isLocked = serial !== noTid && !isShared.has(read['oid']!)
      if ((isCurrent || isDeleted) && isLocked) throw lockedError(read['oid'] as Oid, serial)
      if (!isCurrent)
        rows.push({ oid: read['oid'] as Oid, serial, data: isDeleted ? null : new Uint8Array(0) })
    }
    return rows
  }

  /**
   * InnoDB lets a share lock that skips what is locked wait behind an exclusive one that waits itself, and may then see
   * a deadlock in it. Whoever it picks out has lost its locks and nothing else: the vote is one call, made once more.
   */
  #lockAndDetect(...lists: readonly [string, string, string]): Promise<readonly (readonly MyRow[])[]> {
    return whileRefused(() => this.#session.results(calls.vote, ...lists))
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
    const hasBlobs = changes.some(({ blob }) => blob !== undefined)
    if (parts.length <= 1 && !hasBlobs) {
      const [row] = await concluded(
        this.#session.rows(calls.finish, clock, ...this.#values(changes), ...said),
      )
      this.#inTransaction = false
      return committedOf(row)
    }
    const [row] = await this.#session.rows(calls.finishBegin, clock, ...said)
    const committed = committedOf(row)
    await this.#putParts(committed.tid, parts)
    await linkBlobs(this.#session, committed.tid, changes)
    await concluded(this.#session.query('COMMIT'))
    this.#inTransaction = false
    return committed
  }

  /** Where a cluster refuses it, all is undone, and it begins anew. */
  async commit(
    changes: readonly Change[],
    expectations: readonly Expectation[],
    metadata: TransactionMetadata,
  ): Promise<Committed | undefined> {
    this.#assertFit(changes)
    if (this.#split(changes).length > 1) return undefined
    const { oids, starts, lengths, contents } = packRows(changes)
    const fresh = changes.filter(({ base }) => base === noTid)
    const slots = slotsOf(fresh)
    const values = [
      JSON.stringify(changes.map(({ oid, base }, index) => [oid, base, starts[index], lengths[index]])),
      changes.length - fresh.length,
      fresh.length,
      JSON.stringify(slots),
      slots.length,
      JSON.stringify(expectations.map(({ oid, serial }) => [oid, serial])),
      expectations.length,
      contents,
      this.#settings.clock.wallUs(),
      this.#oidMax(oids),
      ...metadataValues(metadata),
    ]
    this.#inTransaction = true
    const [row] = await whileRefused(() => concluded(this.#session.rows(calls.commit, ...values)))
    this.#inTransaction = false
    return row?.['tid'] === null ? undefined : committedOf(row)
  }

  restore(transactions: readonly StoredTransaction[], packed: Tid): Promise<void> {
    return whileRefused(() => this.#restore(transactions, packed))
  }

  async #restore(transactions: readonly StoredTransaction[], packed: Tid): Promise<void> {
    this.#inTransaction = true
    await this.#session.query('START TRANSACTION')
    for (const { tid, metadata, records } of transactions) {
      this.#assertFit(records)
      const changes = records
        .map(({ oid, data }) => ({ oid, base: noTid, data }))
        .sort((a, b) => a.oid - b.oid)
      const oids = JSON.stringify(changes.map(({ oid }) => oid))
      const said = metadataValues(metadata)
      const [row] = await this.#session.rows(
        calls.restoreBegin,
        tid,
        oids,
        JSON.stringify(slotsOf(changes)),
        ...said,
      )
      const previous = row!['previous'] as Tid
      if (tid <= previous) throw restoreOrderError(tid, previous)
      await this.#putParts(tid, this.#split(changes))
      await linkBlobs(this.#session, tid, records)
    }
    if (packed > noTid) await this.#session.rows(calls.setPacked, packed)
    await this.#session.query('COMMIT')
    this.#inTransaction = false
  }

  async #putParts(tid: Tid, parts: readonly (readonly Change[])[]): Promise<void> {
    for (const part of parts) await this.#session.rows(calls.putRows, tid, ...this.#values(part))
  }

  /**
   * The server ends the connection of whoever sends too much, and then a commit is as good as lost.
   * @throws ShootoutError `too-large`
   */
  #assertFit(changes: readonly Omit<Change, 'base'>[]): void {
    const { packetBytesMax } = this.#settings
    for (const { oid, data } of changes) {
      if (data === null || data.length + messageOverheadBytes <= packetBytesMax) continue
      throw new ShootoutError(
        'too-large',
        `object ${oid} has ${data.length} bytes, and the server takes messages of up to ${packetBytesMax}; raise max_allowed_packet of the server, or store it as a blob`,
        { details: { oid, bytes: data.length, bytesMax: packetBytesMax } },
      )
    }
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
    const rows = oids.map((oid, index) => [oid, starts[index], lengths[index]])
    return [JSON.stringify(rows), contents, this.#oidMax(oids)]
  }

  /** What the database must be told is not free any more. */
  #oidMax(oids: readonly number[]): number | null {
    const oidMax = oids.reduce((max, oid) => Math.max(max, oid), -1)
    return oidMax > this.#settings.leasedOidMax() ? oidMax : null
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

/** What locks these objects while they are not there; ascending, each once. */
function slotsOf(objects: readonly { readonly oid: Oid }[]): readonly number[] {
  return [...new Set(objects.map(({ oid }) => slotOf(oid)))].sort((a, b) => a - b)
}

function rowOf(row: MyRow): Row {
  return {
    oid: row['oid'] as Oid,
    serial: row['tid'] as Tid,
    data: bytesOf(row['data']),
    hasBlob: Number(row['has_blob']) === 1,
  }
}

/**
 * The answer to what ends with a commit. Interrupted in the midst of that, the server goes on to its end, and tells only of
 * the interruption.
 * @throws DisconnectedError where it was interrupted, which leaves it open whether the commit was made
 */
async function concluded<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!isInterruption(error)) throw error
    throw new DisconnectedError('the server was interrupted in a commit', { cause: error })
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
