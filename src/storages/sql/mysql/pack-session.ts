/** What packing does in a MySQL or MariaDB store. Rows are locked in oid order before they are removed, as votes do. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { PackSession, Removed } from '../pack.ts'
import { sweepBlobs } from './blobs.ts'
import type { MyRow, MySession } from './driver.ts'
import { isRefusal, whileRefused } from './galera.ts'
import type { Dialect } from './procedures.ts'
import { bytesOf } from './reader.ts'
import { calls, type PackStatements, packFree, packHistory } from './statements.ts'

export class MysqlPackSession implements PackSession {
  readonly #session: MySession
  readonly #history: boolean
  readonly #sql: PackStatements
  readonly #lock: string

  constructor(session: MySession, history: boolean, dialect: Dialect) {
    this.#session = session
    this.#history = history
    this.#sql = history ? packHistory : packFree
    this.#lock = this.#sql.lock(dialect.forUpdate)
  }

  async survey(): Promise<{ readonly tid: Tid; readonly bytes: number; readonly objects: number }> {
    const [row] = await this.#session.rows(this.#sql.survey)
    const [size] = await this.#session.query(
      'SELECT COALESCE(SUM(data_length + index_length), 0) AS bytes FROM information_schema.tables WHERE table_schema = DATABASE()',
    )
    return { tid: row!['tid'] as Tid, objects: Number(row!['objects']), bytes: Number(size!['bytes']) }
  }

  async changedAfter(tid: Tid): Promise<readonly Oid[]> {
    return oidsOf(await this.#session.rows(this.#sql.changedAfter, tid))
  }

  async states(oids: readonly Oid[], before: Tid): Promise<readonly Uint8Array[]> {
    const rows = await this.#session.rows(this.#sql.states, JSON.stringify(oids), before)
    return rows.map(({ data }) => bytesOf(data)!)
  }

  async objectsAfter(oid: number, count: number): Promise<readonly Oid[]> {
    return oidsOf(await this.#session.rows(this.#sql.objectsAfter, oid, count))
  }

  async begin(before: Tid): Promise<void> {
    await whileRefused(() => this.#session.rows(calls.setPacked, before))
  }

  /** Where nodes of a cluster commit all the time, only what is small gets in between: so halves are tried. */
  async remove(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Promise<Removed> {
    if (oids.length === 1) return whileRefused(() => this.#removeOnce(oids, garbage, before))
    try {
      return await whileRefused(() => this.#removeOnce(oids, garbage, before), 2)
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
    const unreachable = new Set(garbage)
    const middle = oids.length >> 1
    const removed = { revisions: 0, objects: 0 }
    for (const half of [oids.slice(0, middle), oids.slice(middle)]) {
      const own = half.filter((oid) => unreachable.has(oid))
      const { revisions, objects } = await this.remove(half, own, before)
      removed.revisions += revisions
      removed.objects += objects
    }
    return removed
  }

  async #removeOnce(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Promise<Removed> {
    await this.#session.query('START TRANSACTION')
    try {
      const removed = await this.#remove(oids, garbage, before)
      await this.#session.query('COMMIT')
      return removed
    } catch (error) {
      // What was refused has been rolled back, and a node may answer the next statement with that once more.
      if (!this.#session.isBroken && !isRefusal(error)) await this.#session.query('ROLLBACK')
      throw error
    }
  }

  async #remove(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Promise<Removed> {
    const all = JSON.stringify(oids)
    await this.#session.rows(this.#lock, all)
    const replaced = await this.#drop(this.#sql.findReplaced, before, all)
    const deleted = await this.#drop(this.#sql.findDeleted, before, all)
    const collected = await this.#drop(this.#sql.findObjects, before, JSON.stringify(garbage))
    const gone = [...deleted, ...collected]
    const touched = new Set(oidsOf(gone))
    const left = await this.#session.rows(this.#sql.left, JSON.stringify([...touched]))
    if (this.#history) await this.#session.rows(packHistory.dropCurrent, all)
    // Whoever polls from before these changes cannot be told of them any more.
    const newest = gone.reduce((tid, row) => Math.max(tid, row['tid'] as number), 0)
    if (newest > 0) await this.#session.rows('UPDATE store_state SET horizon = GREATEST(horizon, ?)', newest)
    return { revisions: replaced.length + gone.length, objects: touched.size - left.length }
  }

  async #drop(find: string | undefined, before: Tid, oids: string): Promise<readonly MyRow[]> {
    if (find === undefined) return []
    const rows = await this.#session.rows(find, before, oids)
    const victims = JSON.stringify(rows.map((row) => [row['oid'], row['tid']]))
    if (rows.length > 0) await this.#session.rows(this.#sql.remove, victims)
    return rows
  }

  async finish(before: Tid): Promise<void> {
    const { dropTransactions } = packHistory
    if (this.#history) await whileRefused(() => this.#session.rows(dropTransactions, before))
  }

  sweepBlobs(): Promise<void> {
    return sweepBlobs(this.#session, this.#history)
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function oidsOf(rows: readonly MyRow[]): Oid[] {
  return rows.map((row) => row['oid'] as Oid)
}
