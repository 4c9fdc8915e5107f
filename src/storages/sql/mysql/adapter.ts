/** MySQL and MariaDB as the shared storage sees them: one database, any number of sessions of any machines. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { MutableCounters, OpenContext, PackOptions, PackResult } from '../../storage.ts'
import { pack } from '../pack.ts'
import type { InstallableAdapter } from '../sql-module.ts'
import type { MyDriver, MySession } from './driver.ts'
import { isClusterNode, whileRefused } from './galera.ts'
import { MysqlPackSession } from './pack-session.ts'
import { clusterVariable, type Dialect, groupBits } from './procedures.ts'
import { MysqlReader, readerPreparation } from './reader.ts'
import { installSchema } from './schema.ts'
import { calls, historyFree, newLife } from './statements.ts'
import { MysqlWriter } from './writer.ts'

export interface MysqlSettings {
  readonly url: string
  /** For messages; without password. */
  readonly server: string
  readonly database: string
  readonly history: boolean
  readonly lockTimeoutSeconds: number
  /** Of a cluster's node: a snapshot shows whatever was committed before anywhere. */
  readonly causalReads: boolean
}

/**
 * What the statements here were written for, whatever the server's settings are. Without `autocommit`, object ids would be
 * leased, and blobs written, in transactions that nobody ends.
 */
const ownSettings = `SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',
  autocommit = 1, completion_type = 'NO_CHAIN', sql_safe_updates = 0`

export class MysqlAdapter implements InstallableAdapter {
  readonly title: string
  readonly keepsHistory: boolean
  readonly oidGroup = 1 << groupBits
  readonly #driver: MyDriver
  readonly #settings: MysqlSettings
  readonly #context: OpenContext
  readonly #counters: MutableCounters
  /** For what concerns the whole store. Opened when it is first needed. */
  #control: Promise<MySession> | undefined
  #messageBytesMax = 0
  #packetBytesMax = 0
  #leasedOidMax = -1
  /** What sessions are told that read, where the server is a node of a cluster. */
  #causality: readonly string[] = []
  /** What sessions are told that write, there. */
  #membership: readonly string[] = []
  #dialect: Dialect | undefined

  constructor(driver: MyDriver, settings: MysqlSettings, context: OpenContext, counters: MutableCounters) {
    this.title = `mysql ${settings.server} database ${settings.database}`
    this.keepsHistory = settings.history
    this.#driver = driver
    this.#settings = settings
    this.#context = context
    this.#counters = counters
  }

  async install(): Promise<void> {
    const session = await this.#connect([], undefined)
    this.#control = Promise.resolve(session)
    const { database, history, causalReads } = this.#settings
    if (await isClusterNode(session)) {
      this.#membership = [`SET ${clusterVariable} = TRUE`]
      // Before a transaction begins, its node waits until it has applied what the cluster had agreed on by then.
      if (causalReads) this.#causality = ['SET SESSION wsrep_sync_wait = 1']
      for (const statement of this.#causality) await session.query(statement)
    }
    const readOnly = this.#context.readOnly === true
    this.#dialect = await installSchema(session, { title: this.title, database, history, readOnly })
    const [row] = await session.query('SELECT @@max_allowed_packet AS bytes')
    // Half is for the data, so that their table of contents and the rest have room, and large messages stay moderate.
    this.#packetBytesMax = Number(row!['bytes'])
    this.#messageBytesMax = Math.min(this.#packetBytesMax / 2, 16 * 1024 * 1024)
  }

  #connect(preparation: readonly string[], database?: string): Promise<MySession> {
    const { url, lockTimeoutSeconds } = this.#settings
    return this.#driver.connect(url, {
      title: this.title,
      counters: this.#counters,
      ...(database === undefined ? {} : { database }),
      prepare: [
        ownSettings,
        `SET SESSION innodb_lock_wait_timeout = ${lockTimeoutSeconds}, lock_wait_timeout = ${lockTimeoutSeconds}`,
        ...preparation,
      ],
    })
  }

  #session(preparation: readonly string[]): Promise<MySession> {
    return this.#connect(preparation, this.#settings.database)
  }

  /** No gaps are locked, only rows: objects beside those of a commit stay free. */
  #writing(preparation: readonly string[] = []): Promise<MySession> {
    return this.#session([
      'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
      ...this.#membership,
      ...preparation,
    ])
  }

  async #controlSession(): Promise<MySession> {
    const control = await this.#control?.catch(() => undefined)
    if (control !== undefined && !control.isBroken) return control
    this.#control = this.#session(this.#causality)
    return this.#control
  }

  async openReader(): Promise<MysqlReader> {
    return new MysqlReader(await this.#session([...readerPreparation, ...this.#causality]), this.keepsHistory)
  }

  async openWriter(): Promise<MysqlWriter> {
    return new MysqlWriter(await this.#writing(), {
      clock: this.#context.clock,
      messageBytesMax: this.#messageBytesMax,
      packetBytesMax: this.#packetBytesMax,
      leasedOidMax: () => this.#leasedOidMax,
      cancel: async (threadId) => {
        await (await this.#controlSession()).query(`KILL QUERY ${Math.trunc(threadId)}`)
      },
    })
  }

  async leaseOids(count: number): Promise<Oid> {
    const session = await this.#controlSession()
    const first = (await whileRefused(() => session.number(calls.lease, count))) as Oid
    this.#leasedOidMax = Math.max(this.#leasedOidMax, first + count - 1)
    return first
  }

  async state(): Promise<{ readonly tid: Tid; readonly life: number }> {
    const [row] = await (await this.#controlSession()).rows(historyFree.state)
    return { tid: row!['tid'] as Tid, life: row!['life'] as number }
  }

  async zap(): Promise<void> {
    const session = await this.#controlSession()
    const tables = this.keepsHistory ? ['revision', 'current_object', 'transaction_log'] : ['object_state']
    // Whoever has seen anything of before must drop it, and TRUNCATE cannot be part of a transaction: so it is said
    // before, for whoever looks meanwhile, and after. Tids and oids go on, so that none ever means two things.
    await whileRefused(() => session.query('UPDATE store_state SET horizon = GREATEST(tid, horizon) + 1'))
    tables.push('object_blob', 'blob_chunk', 'pending_blob')
    for (const table of tables) await session.query(`TRUNCATE TABLE ${table}`)
    await whileRefused(() =>
      session.query(
        `UPDATE store_state SET horizon = GREATEST(tid, horizon) + 1, tid = 0, packed = 0, life = ${newLife}`,
      ),
    )
  }

  async pack(options: PackOptions, removed: (oids: readonly Oid[]) => void): Promise<PackResult> {
    const dialect = this.#dialect!
    const session = await this.#writing(dialect.freshSizes)
    return pack(new MysqlPackSession(session, this.keepsHistory, dialect), options, removed)
  }

  async close(): Promise<void> {
    const control = await this.#control?.catch(() => undefined)
    await control?.close()
  }
}
