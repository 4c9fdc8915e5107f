/** PostgreSQL as the shared storage sees it: one SQL schema, any number of sessions of any machines. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { MutableCounters, OpenContext, PackOptions, PackResult } from '../../storage.ts'
import type { Reader } from '../adapter.ts'
import { pack } from '../pack.ts'
import type { InstallableAdapter } from '../sql-module.ts'
import type { PgDriver, PgSession } from './driver.ts'
import { groupBits } from './functions.ts'
import { PostgresPackSession } from './pack-session.ts'
import { PostgresReader, readerParameters } from './reader.ts'
import { type ReplicaAddress, Replicas } from './replicas.ts'
import { ReplicatedReader } from './replicated-reader.ts'
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
  /** Servers to read from, where they have what must be seen. */
  readonly replicas: readonly ReplicaAddress[]
  /** How long a replica that failed is left alone. */
  readonly replicaPauseNs: number
}

/** A replica that takes longer to accept a connection is not worth waiting for. */
const replicaConnectTimeoutMs = 2000

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
  /** Undefined: everything is read from the primary. */
  readonly #replicas: Replicas | undefined

  constructor(driver: PgDriver, settings: PostgresSettings, context: OpenContext, counters: MutableCounters) {
    this.title = `postgres ${settings.server} schema ${settings.schema}`
    this.keepsHistory = settings.history
    this.#driver = driver
    this.#settings = settings
    this.#context = context
    this.#counters = counters
    const { replicas: addresses, replicaPauseNs: pauseNs } = settings
    if (addresses.length > 0) {
      this.#replicas = new Replicas({
        title: this.title,
        addresses,
        pauseNs,
        clock: context.clock,
        connect: (address) => this.#connect(readerParameters, address),
        log: (message) => context.log(message),
      })
    }
  }

  async install(): Promise<void> {
    const { schema, history } = this.#settings
    const readOnly = this.#context.readOnly === true
    const control = await this.#controlSession()
    await installSchema(control, { title: this.title, schema, history, readOnly })
    await this.#replicas?.begin(control)
  }

  #connect(parameters: Readonly<Record<string, string>> = {}, replica?: ReplicaAddress): Promise<PgSession> {
    const { url, server, schema } = { ...this.#settings, ...replica }
    return this.#driver.connect(url, {
      title: `postgres ${server} schema ${schema}`,
      ...(replica === undefined ? {} : { connectTimeoutMs: replicaConnectTimeoutMs }),
      counters: this.#counters,
      parameters: {
        search_path: schema,
        client_encoding: 'UTF8',
        lock_timeout: String(this.#settings.lockTimeoutMs),
        // Each statement of a vote sees what was committed before it, not before the first one.
        default_transaction_isolation: 'read committed',
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

  async openReader(): Promise<Reader> {
    const replicas = this.#replicas
    if (replicas === undefined) return this.#openPrimaryReader()
    return new ReplicatedReader({
      replicas,
      openPrimary: () => this.#openPrimaryReader(),
      readerOf: (session) => new PostgresReader(session, this.keepsHistory),
    })
  }

  async #openPrimaryReader(): Promise<PostgresReader> {
    return new PostgresReader(await this.#connect(readerParameters), this.keepsHistory)
  }

  async openWriter(): Promise<PostgresWriter> {
    return new PostgresWriter(await this.#connect(), {
      history: this.keepsHistory,
      clock: this.#context.clock,
      leasedOidMax: () => this.#leasedOidMax,
      committed: (tid) => this.#replicas?.saw(tid),
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
    const [tid, horizon, life] = row as readonly [Tid, Tid, number]
    this.#replicas?.sawPrimary({ seen: Math.max(tid, horizon) as Tid, life })
    return { tid, life }
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
    await this.#replicas?.needAllOf(session)
  }

  async pack(options: PackOptions, removed: (oids: readonly Oid[]) => void): Promise<PackResult> {
    const result = await pack(
      new PostgresPackSession(await this.#connect(), this.keepsHistory),
      options,
      removed,
    )
    await this.#replicas?.needAllOf(await this.#controlSession())
    return result
  }

  async close(): Promise<void> {
    const control = await this.#control?.catch(() => undefined)
    await control?.close()
  }
}
