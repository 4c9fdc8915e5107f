/** What packing does in a SQLite file: reads on a connection of its own, removals through the one that writes. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { Awaitable } from '../../storage.ts'
import type { PackSession, Removed } from '../pack.ts'
import { sweepBlobs } from './blobs.ts'
import { type Patience, whileBusy } from './busy.ts'
import type { SqliteConnection, SqliteStatement } from './driver.ts'
import { type PackStatements, packHistory, packHistoryFree } from './statements.ts'
import type { WriteSession } from './write-session.ts'

export interface SqlitePackSettings {
  readonly connection: SqliteConnection
  readonly writing: WriteSession
  readonly patience: Patience
  readonly history: boolean
}

export class SqlitePackSession implements PackSession {
  readonly #settings: SqlitePackSettings
  readonly #sql: PackStatements
  readonly #changedAfter: SqliteStatement
  readonly #states: SqliteStatement
  readonly #objectsAfter: SqliteStatement

  constructor(settings: SqlitePackSettings) {
    this.#settings = settings
    this.#sql = settings.history ? packHistory : packHistoryFree
    this.#changedAfter = settings.connection.prepare(this.#sql.changedAfter)
    this.#states = settings.connection.prepare(this.#sql.states)
    this.#objectsAfter = settings.connection.prepare(this.#sql.objectsAfter)
  }

  survey(): Awaitable<{ readonly tid: Tid; readonly bytes: number; readonly objects: number }> {
    return this.#read(({ connection }) => {
      const [tid, objects] = connection.prepare(this.#sql.survey).get() as readonly [Tid, number]
      const pages =
        (connection.pragma('page_count') as number) - (connection.pragma('freelist_count') as number)
      return { tid, objects, bytes: pages * (connection.pragma('page_size') as number) }
    })
  }

  changedAfter(tid: Tid): Awaitable<readonly Oid[]> {
    return this.#read(() => this.#changedAfter.all(tid).map((row) => row[0] as Oid))
  }

  states(oids: readonly Oid[], before: Tid): Awaitable<readonly Uint8Array[]> {
    return this.#read(() => this.#states.all(`[${oids.join()}]`, before).map((row) => row[0] as Uint8Array))
  }

  objectsAfter(oid: number, count: number): Awaitable<readonly Oid[]> {
    return this.#read(() => this.#objectsAfter.all(oid, count).map((row) => row[0] as Oid))
  }

  begin(before: Tid): Awaitable<void> {
    return this.#write(this.#sql.begin, before)
  }

  #read<T>(work: (settings: SqlitePackSettings) => T): Awaitable<T> {
    return whileBusy(this.#settings.patience, () => work(this.#settings))
  }

  remove(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Awaitable<Removed> {
    const { writing } = this.#settings
    return writing.transaction(() => {
      const all = `[${oids.join()}]`
      const drop = (sql: string, list: string) => writing.connection.prepare(sql).all(list, before)
      const replaced = this.#sql.dropReplaced === undefined ? [] : drop(this.#sql.dropReplaced, all)
      const gone = [
        ...drop(this.#sql.dropDeleted, all),
        ...drop(this.#sql.dropObjects, `[${garbage.join()}]`),
      ]
      // Whoever polls from before these changes cannot be told of them any more.
      const newest = gone.reduce((tid, row) => Math.max(tid, row[1] as number), 0)
      if (newest > 0) writing.connection.prepare(this.#sql.raiseHorizon).run(newest)
      const ids = `[${[...new Set(gone.map((row) => row[0]))].join()}]`
      const left = writing.connection.prepare(this.#sql.countLeft).get(ids)![0] as number
      return {
        revisions: replaced.length + gone.length,
        objects: new Set(gone.map((row) => row[0])).size - left,
      }
    })
  }

  finish(before: Tid): Awaitable<void> {
    if (this.#sql.finish !== undefined) return this.#write(this.#sql.finish, before)
  }

  #write(sql: string, before: Tid): Awaitable<void> {
    const { writing } = this.#settings
    return writing.transaction(() => {
      writing.connection.prepare(sql).run(before)
    })
  }

  sweepBlobs(): Promise<void> {
    return sweepBlobs(this.#settings.writing, this.#settings.history)
  }

  close(): void {
    this.#settings.connection.close()
  }
}
