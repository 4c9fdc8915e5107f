/** What packing does in a PostgreSQL store. Rows are locked in oid order before they are removed, as votes do. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { PackSession, Removed } from '../pack.ts'
import { sweepBlobs } from './blobs.ts'
import type { PgRow, PgSession } from './driver.ts'
import { arrayOf } from './reader.ts'
import { packFree, packHistory, transaction } from './statements.ts'

export class PostgresPackSession implements PackSession {
  readonly #session: PgSession
  readonly #history: boolean
  readonly #sql: typeof packFree

  constructor(session: PgSession, history: boolean) {
    this.#session = session
    this.#history = history
    this.#sql = history ? packHistory : packFree
  }

  async survey(): Promise<{ readonly tid: Tid; readonly bytes: number; readonly objects: number }> {
    const [row] = await this.#session.rows(this.#sql.survey)
    const [tid, objects, bytes] = row as readonly [Tid, number, number]
    return { tid, objects, bytes }
  }

  async changedAfter(tid: Tid): Promise<readonly Oid[]> {
    return oidsOf(await this.#session.rows(this.#sql.changedAfter, tid))
  }

  async states(oids: readonly Oid[], before: Tid): Promise<readonly Uint8Array[]> {
    const rows = await this.#session.rows(this.#sql.states, arrayOf(oids), before)
    return rows.map((row) => row[0] as Uint8Array)
  }

  async objectsAfter(oid: number, count: number): Promise<readonly Oid[]> {
    return oidsOf(await this.#session.rows(this.#sql.objectsAfter, oid, count))
  }

  async begin(before: Tid): Promise<void> {
    await this.#session.rows(this.#sql.setPacked, before)
  }

  async remove(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Promise<Removed> {
    const all = arrayOf(oids)
    await this.#session.rows(transaction.begin)
    try {
      await this.#session.rows(this.#sql.lockGroups, all)
      await this.#session.rows(this.#sql.lock, all)
      const replaced = await this.#session.rows(this.#sql.dropReplaced, all, before)
      const deleted = await this.#session.rows(this.#sql.dropDeleted, all, before)
      const collected = await this.#session.rows(this.#sql.dropObjects, arrayOf(garbage), before)
      const gone = [...deleted, ...collected]
      const touched = new Set(oidsOf(gone))
      const left = await this.#session.rows(this.#sql.left, arrayOf([...touched]))
      if (this.#history) await this.#session.rows(packHistory.dropCurrent, all)
      // Whoever polls from before these changes cannot be told of them any more.
      const newest = gone.reduce((tid, row) => Math.max(tid, row[1] as number), 0)
      if (newest > 0) await this.#session.rows(this.#sql.raiseHorizon, newest)
      await this.#session.rows(transaction.commit)
      return { revisions: replaced.length + gone.length, objects: touched.size - left.length }
    } catch (error) {
      if (!this.#session.isBroken) await this.#session.rows(transaction.rollback)
      throw error
    }
  }

  async finish(before: Tid): Promise<void> {
    if (this.#history) await this.#session.rows(packHistory.dropTransactions, before)
  }

  sweepBlobs(): Promise<void> {
    return sweepBlobs(this.#session, this.#history)
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function oidsOf(rows: readonly PgRow[]): Oid[] {
  return rows.map((row) => row[0] as Oid)
}
