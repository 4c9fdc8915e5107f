/** PostgreSQL as the shared storage sees it: one SQL schema, any number of sessions of any machines. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { MutableCounters, OpenContext, PackOptions, PackResult } from '../../storage.ts'
import { pack } from '../pack.ts'
import type { InstallableAdapter } from '../sql-module.ts'
import type { PgDriver, PgSession } from './driver.ts'
import { groupBits } from './functions.ts'
import { PostgresPackSession } from './pack-session.ts'
import { PostgresReader, readerParameters } from './reader.ts'
import { installSchema } from './schema.ts'
import { historyFree, newLife, write } from './statements.ts'
import { PostgresWriter } from './writer.ts'

export interface PostgresSettings {
  readonly url: string
  /** For messages; without password. */
  readonly server: string
  readonly schema: string
  readonly history: boolean
  readonly lockTimeoutMs: number
}

export class PostgresAdapter implements InstallableAdapter {
  readonly title: string
  readonly keepsHistory: boolean
  readonly oidGroup = 1 << groupBits
  readonly #driver: PgDriver
  readonly #settings: PostgresSettings
  readonly #context: OpenContext
  readonly #counters: MutableCounters
  /** For what concerns the whole store. Opened when it is first needed. */
  #control: Promise<PgSession> | undefined
  #leasedOidMax = -1

  constructor(driver: PgDriver, settings: PostgresSettings, context: OpenContext, counters: MutableCounters) {
    this.title = `postgres ${settings.server} schema ${settings.schema}`
    this.keepsHistory = settings.history
    this.#driver = driver
    this.#settings = settings
    this.#context = context
    this.#counters = counters
  }

  async install(): Promise<void> {
    const { schema, history } = this.#settings
    const readOnly = this.#context.readOnly === true
    await installSchema(await this.#controlSession(), { title: this.title, schema, history, readOnly })
  }

  #connect(parameters: Readonly<Record<string, string>> = {}): Promise<PgSession> {
    return this.#driver.connect(this.#settings.url, {
      title: this.title,
      counters: this.#counters,
      parameters: {
        search_path: this.#settings.schema,
        client_encoding: 'UTF8',
        lock_timeout: String(this.#settings.lockTimeoutMs),
        // Everything here is found by key. A plan made while a table was small must not scan it when it is large.
        enable_seqscan: 'off',
        jit: 'off',
        ...parameters,
      },
    })
  }

  async #controlSession(): Promise<PgSession> {
    const control = await this.#control?.catch(() => undefined)
    if (control !== undefined && !control.isBroken) return control
    this.#control = this.#connect()
    return this.#control
  }

  async openReader(): Promise<PostgresReader> {
    return new PostgresReader(await this.#connect(readerParameters), this.keepsHistory)
  }

  async openWriter(): Promise<PostgresWriter> {
    return new PostgresWriter(await this.#connect(), {
      history: this.keepsHistory,
      clock: this.#context.clock,
      leasedOidMax: () => this.#leasedOidMax,
      cancel: async (processId) => {
        await (await this.#controlSession()).rows({ text: 'SELECT pg_cancel_backend($1)' }, processId)
      },
    })
  }

  async leaseOids(count: number): Promise<Oid> {
    const session = await this.#controlSession()
    const [row] = await session.rows(write.lease, count)
    const first = row![0] as Oid
    this.#leasedOidMax = Math.max(this.#leasedOidMax, first + count - 1)
    return first
  }

  async state(): Promise<{ readonly tid: Tid; readonly life: number }> {
    const session = await this.#controlSession()
    const [row] = await session.rows(historyFree.state)
    return { tid: row![0] as Tid, life: row![2] as number }
  }

  async zap(): Promise<void> {
    const session = await this.#controlSession()
    const tables = this.keepsHistory ? 'revision, current_object, transaction_log' : 'object_state'
    // Whoever has seen anything of before must drop it. Tids and oids go on, so that none ever means two things.
    await session.rows({
      text: `BEGIN; TRUNCATE ${tables}, object_blob, blob_chunk, pending_blob;
        UPDATE store_state SET horizon = greatest(tid, horizon) + 1, tid = 0, packed = 0, life = ${newLife};
        COMMIT`,
    })
  }

  async pack(options: PackOptions, removed: (oids: readonly Oid[]) => void): Promise<PackResult> {
    return pack(new PostgresPackSession(await this.#connect(), this.keepsHistory), options, removed)
  }

  async close(): Promise<void> {
    const control = await this.#control?.catch(() => undefined)
    await control?.close()
  }
}
