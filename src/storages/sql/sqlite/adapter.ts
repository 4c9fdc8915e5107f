/** SQLite as the shared storage sees it: one file in WAL mode, many readers, one writer at a time. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { Awaitable, MutableCounters, OpenContext, PackOptions, PackResult } from '../../storage.ts'
import { pack } from '../pack.ts'
import { noStoreError } from '../schema-check.ts'
import type { InstallableAdapter } from '../sql-module.ts'
import { type Patience, whileBusy } from './busy.ts'
import { Checkpointer } from './checkpoint.ts'
import type { SqliteConnection, SqliteDriver } from './driver.ts'
import { SqlitePackSession } from './pack-session.ts'
import { SqliteReader } from './reader.ts'
import { createSchema, readSchema } from './schema.ts'
import { newLife } from './statements.ts'
import { WriteSession } from './write-session.ts'
import { SqliteWriter } from './writer.ts'

/** Opening waits at least so long, whatever a commit does: moving a long log takes seconds. */
const joinNsMin = 5e9

export interface SqliteSettings {
  readonly path: string
  readonly history: boolean
  readonly durability: 'full' | 'os'
  readonly lockTimeoutNs: number
}

export class SqliteAdapter implements InstallableAdapter {
  readonly title: string
  readonly keepsHistory: boolean
  readonly oidGroup = 1
  readonly #connect: () => SqliteConnection
  readonly #settings: SqliteSettings
  readonly #context: OpenContext
  readonly #counters: MutableCounters
  readonly #patience: Patience
  readonly #checkpointer: Checkpointer
  #writing: WriteSession | undefined
  /**
   * Stays from `install` to `close`. While this process has the file open in WAL mode, nobody can lock it as a whole, so
   * no other connection of ours finds it locked when it joins. It makes the checkpoints.
   */
  #resident: SqliteConnection | undefined

  constructor(
    driver: SqliteDriver,
    settings: SqliteSettings,
    context: OpenContext,
    counters: MutableCounters,
  ) {
    this.title = `sqlite ${settings.path}`
    this.keepsHistory = settings.history
    this.#settings = settings
    this.#context = context
    this.#counters = counters
    this.#patience = { clock: context.clock, timeoutNs: settings.lockTimeoutNs, what: this.title }
    const readOnly = context.readOnly === true
    this.#connect = () => driver.connect(settings.path, { readOnly, counters })
    this.#checkpointer = new Checkpointer(`${settings.path}-wal`, () => this.#resident!, counters)
  }

  /** Waits for others who just make the store or, as the last to leave, move their log into it. */
  async install(): Promise<void> {
    const patience = { ...this.#patience, timeoutNs: Math.max(this.#patience.timeoutNs, joinNsMin) }
    const connection = await whileBusy(patience, () => this.#connect())
    this.#resident = connection
    const wanted = { path: this.#settings.path, history: this.#settings.history }
    const isEmpty = await whileBusy(patience, () => readSchema(connection, wanted))
    if (isEmpty && this.#context.readOnly === true) throw noStoreError(this.title)
    if (this.#context.readOnly === true) return
    await whileBusy(patience, () => connection.pragma('journal_mode = WAL'))
    if (isEmpty) await whileBusy(patience, () => createSchema(connection, wanted))
  }

  openReader(): SqliteReader {
    return new SqliteReader(this.#connect(), {
      history: this.keepsHistory,
      patience: this.#patience,
      counters: this.#counters,
      onSnapshotEnd: () => this.#checkpointer.runIfDue(),
    })
  }

  openWriter(): SqliteWriter {
    return new SqliteWriter(this.#session())
  }

  #session(): WriteSession {
    this.#writing ??= this.#openSession()
    return this.#writing
  }

  #openSession(): WriteSession {
    const { history, durability } = this.#settings
    const connection = this.#connect()
    connection.pragma(`synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'}`)
    // Where a plain sync does not reach the disk (macOS), ask for the one that does. Elsewhere this changes nothing.
    if (durability === 'full') connection.pragma('fullfsync = ON')
    connection.pragma('wal_autocheckpoint = 0')
    return new WriteSession(connection, {
      history,
      durability,
      clock: this.#context.clock,
      patience: this.#patience,
      counters: this.#counters,
      onCommit: (pages) => this.#checkpointer.wrote(pages),
      isLogLong: () => this.#checkpointer.isLogLong(),
    })
  }

  leaseOids(count: number): Awaitable<Oid> {
    return this.#session().leaseOids(count)
  }

  async state(): Promise<{ readonly tid: Tid; readonly life: number }> {
    const reader = this.openReader()
    try {
      return await reader.poll(undefined)
    } finally {
      reader.endSnapshot()
      reader.close()
    }
  }

  async zap(): Promise<void> {
    const session = this.#session()
    const tables = this.keepsHistory ? ['revision', 'transaction_log'] : ['object_state']
    tables.push('object_blob', 'blob_chunk', 'pending_blob')
    await session.transaction(() => {
      for (const table of tables) session.connection.execute(`DELETE FROM ${table}`)
      // Whoever has seen anything of before must drop it. Tids and oids go on, so that none ever means two things.
      session.connection.execute(
        `UPDATE store_state SET horizon = max(tid, horizon) + 1, tid = 0, packed = 0, life = ${newLife}`,
      )
    })
    this.#checkpointer.runIfDue()
  }

  async pack(options: PackOptions, removed: (oids: readonly Oid[]) => void): Promise<PackResult> {
    const session = new SqlitePackSession({
      connection: this.#connect(),
      writing: this.#session(),
      patience: this.#patience,
      history: this.keepsHistory,
    })
    const result = await pack(session, options, removed)
    this.#checkpointer.runIfDue()
    return result
  }

  close(): void {
    this.#writing?.connection.close()
    this.#resident?.close()
  }
}
