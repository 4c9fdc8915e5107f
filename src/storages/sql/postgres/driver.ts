/**
 * The only file that imports `pg`. A session sends several statements at once and gets all their rows in one round
 * trip; it counts what it does and raises coded errors.
 *
 * Results come in text format, because `pg` decodes what should be binary as UTF-8. Parameters that are bytes go in
 * binary.
 */

import type { Client, ClientConfig } from 'pg'
import {
  type ConnectionSettings,
  ConnectionState,
  connectError,
  type ErrorDialect,
  type Fault,
  importDriver,
  lostCodes,
} from '../driver.ts'

const driverPackage = { name: 'pg', install: 'npm install pg@8' }

/** Values of columns: bigint as number (all of ours are below 2⁵³), bytea as bytes, everything else as text. */
export type PgValue = number | string | Uint8Array | null
export type PgRow = readonly PgValue[]

/** A statement, prepared once for each session under its name; without a name it is sent as it is. */
export interface PgStatement {
  readonly name?: string
  readonly text: string
}

export interface PgStep {
  readonly statement: PgStatement
  readonly values?: readonly PgValue[]
}

export interface PgSettings extends ConnectionSettings {
  /** Settings of the session, by name. */
  readonly parameters: Readonly<Record<string, string>>
  /** How long the server may take to accept the connection. Default ten seconds. */
  readonly connectTimeoutMs?: number
}

export interface PgDriver {
  /**
   * @param url `postgresql://user:password@host:port/name`; `?host=` names the folder of a unix socket.
   * @throws ShootoutError `cannot-connect`
   */
  connect(url: string, settings: PgSettings): Promise<PgSession>
}

/** @throws ShootoutError `driver-missing` */
export async function loadDriver(): Promise<PgDriver> {
  const pg = await importDriver(driverPackage, () => import('pg'))
  return {
    async connect(url, settings) {
      const options = Object.entries(settings.parameters)
        .map(([name, value]) => `-c ${name}=${value.replaceAll(/[\\ ]/g, '\\$&')}`)
        .join(' ')
      const config: ClientConfig & { readonly pipeline: boolean } = {
        connectionString: url,
        application_name: 'shootout',
        options,
        connectionTimeoutMillis: settings.connectTimeoutMs ?? 10_000,
        pipeline: true,
        types: { getTypeParser: (type) => parsers.get(type as number) ?? String },
      }
      const client = new pg.default.Client(config)
      const session = new PgSession(client, settings)
      try {
        await client.connect()
      } catch (error) {
        throw connectError(errors, error, settings.title)
      }
      return session
    },
  }
}

const bigintType = 20
const byteaType = 17

const parsers: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [bigintType, Number],
  // Hexadecimal after `\x`.
  [byteaType, (text) => Buffer.from(text.slice(2), 'hex')],
])

/** The parts of `pg` that its types do not show. */
interface Wire {
  readonly processID: number
  readonly connection: {
    readonly stream: {
      cork(): void
      uncork(): void
      readonly bytesRead: number
      readonly bytesWritten: number
      destroy(): void
    }
  }
}

export class PgSession {
  readonly #client: Client
  readonly #settings: PgSettings
  readonly #state: ConnectionState

  constructor(client: Client, settings: PgSettings) {
    this.#client = client
    this.#settings = settings
    this.#state = new ConnectionState(client, settings, errors)
  }

  /** The connection is lost; only `close` is of use. */
  get isBroken(): boolean {
    return this.#state.isBroken
  }

  /** The server's process for this session. */
  get processId(): number {
    return (this.#client as unknown as Wire).processID
  }

  /** This session will not be used again. */
  condemn(): void {
    this.#state.condemn()
  }

  /**
   * Sends all steps at once, waits for all answers: one round trip. When a step fails, the steps after it have been
   * sent all the same; inside a transaction the server refuses them.
   * @throws the error of the first step that failed
   */
  async request(...steps: readonly PgStep[]): Promise<readonly (readonly PgRow[])[]> {
    this.#settings.counters.roundTrips++
    const results = await Promise.allSettled(this.#send(steps))
    this.#countBytes()
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return results.map((result) => (result as PromiseFulfilledResult<readonly PgRow[]>).value)
  }

  /** As `request` with one step. */
  async rows(statement: PgStatement, ...values: readonly PgValue[]): Promise<readonly PgRow[]> {
    this.#settings.counters.roundTrips++
    const [answer] = this.#send([{ statement, values }])
    const rows = await answer!
    this.#countBytes()
    return rows
  }

  /** Sends without waiting; what is requested later is answered later. A failure breaks the session. */
  post(statement: PgStatement): void {
    const [sent] = this.#send([{ statement }])
    sent!.catch(() => this.#state.condemn())
  }

  #send(steps: readonly PgStep[]): readonly Promise<readonly PgRow[]>[] {
    const { stream } = (this.#client as unknown as Wire).connection
    this.#settings.counters.statements += steps.length
    stream.cork()
    try {
      return steps.map((step) => this.#query(step))
    } finally {
      stream.uncork()
    }
  }

  async #query({ statement, values }: PgStep): Promise<readonly PgRow[]> {
    try {
      const result = await this.#client.query<PgValue[]>({
        ...(statement.name === undefined ? {} : { name: statement.name }),
        text: statement.text,
        ...(values === undefined ? {} : { values: values as PgValue[] }),
        rowMode: 'array',
      })
      return result.rows
    } catch (error) {
      throw this.#state.coded(error)
    }
  }

  #countBytes(): void {
    this.#state.countBytes((this.#client as unknown as Wire).connection.stream)
  }

  /** Ends the connection without a word, for a server that does not answer. What was asked of it fails. */
  destroy(): void {
    this.#state.condemn()
    ;(this.#client as unknown as Wire).connection.stream.destroy()
  }

  async close(): Promise<void> {
    this.#state.condemn()
    // A connection that is lost already cannot say goodbye.
    await this.#client.end().catch(() => {})
  }
}

const errors: ErrorDialect = {
  name: 'postgres',
  codeName: 'sqlState',
  connectAdvice: {
    '28P01': 'check user and password',
    '28000': 'check user and password',
    '3D000': 'create the database, or name another one',
    '53300': 'raise max_connections of the server',
  },
  transientCodes: new Set(['53300', '57P03']),
  faultOf(code, message) {
    const isLost =
      code.startsWith('08') ||
      /^(Connection terminated|Client has encountered a connection error|Client was closed)/.test(message)
    return isLost ? 'lost' : faults.get(code)
  },
}

const faults: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ...lostCodes.map((code) => [code, 'lost'] as const),
  ['57P01', 'lost'],
  ['57P02', 'lost'],
  ['57P03', 'lost'],
  ['57014', 'cancelled'],
  ['55P03', 'lock-timeout'],
  ['40P01', 'deadlock'],
  ['40001', 'serialization-failure'],
  // What is asked after that in the same transaction: a replica may end one that stands in its way.
  ['25P02', 'serialization-failure'],
  ['25006', 'server-is-replica'],
  ['53100', 'disk-full'],
  ['42501', 'cannot-write'],
])
