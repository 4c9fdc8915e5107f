/**
 * The only file that imports `mysql2`. A session runs one statement at a time; a stored procedure makes several of them
 * one round trip. It counts what it does and raises coded errors.
 */

import type { Connection, ConnectionOptions } from 'mysql2/promise'
import {
  type ConnectionSettings,
  ConnectionState,
  connectError,
  type ErrorDialect,
  type Fault,
  importDriver,
  lostCodes,
} from '../driver.ts'

const driverPackage = { name: 'mysql2', install: 'npm install mysql2@3' }

/** Values of columns: BIGINT as number (all of ours are below 2⁵³), blobs as bytes, everything else as text. */
export type MyValue = number | string | Uint8Array | null
export type MyRow = Readonly<Record<string, MyValue>>

export interface MySettings extends ConnectionSettings {
  /** The database to use; undefined for none. */
  readonly database?: string
  /** Statements that set the session up. */
  readonly prepare: readonly string[]
}

export interface MyDriver {
  /**
   * @param url `mysql://user:password@host:port/`; `?socketPath=` names a unix socket.
   * @throws ShootoutError `cannot-connect`, DisconnectedError when the connection is lost again at once
   */
  connect(url: string, settings: MySettings): Promise<MySession>
}

/** @throws ShootoutError `driver-missing` */
export async function loadDriver(): Promise<MyDriver> {
  const driver = await importDriver(driverPackage, () => import('mysql2/promise'))
  return {
    async connect(url, settings) {
      const options: ConnectionOptions = {
        uri: url,
        ...(settings.database === undefined ? {} : { database: settings.database }),
        charset: 'utf8mb4',
        connectTimeout: 10_000,
        supportBigNumbers: true,
        // Only statements that are written here are prepared, and there are some dozens of them.
        maxPreparedStatements: 200,
      }
      let connection: Connection
      try {
        connection = await driver.createConnection(options)
      } catch (error) {
        throw connectError(errors, error, settings.title)
      }
      const session = new MySession(connection, settings)
      try {
        await session.setUp()
        return session
      } catch (error) {
        await session.close()
        throw error
      }
    },
  }
}

/** The parts of `mysql2` that its types do not show. */
interface Wire {
  readonly connection: { readonly stream: { readonly bytesRead: number; readonly bytesWritten: number } }
}

export class MySession {
  readonly #connection: Connection
  readonly #settings: MySettings
  readonly #state: ConnectionState

  constructor(connection: Connection, settings: MySettings) {
    this.#connection = connection
    this.#settings = settings
    this.#state = new ConnectionState(connection, settings, errors)
  }

  /** A part of connecting, and like it not counted as work. */
  async setUp(): Promise<void> {
    try {
      for (const statement of this.#settings.prepare) await this.#connection.query(statement)
    } catch (error) {
      throw this.#state.coded(error)
    }
  }

  /** The connection is lost; only `close` is of use. */
  get isBroken(): boolean {
    return this.#state.isBroken
  }

  /** The server's number for this session. */
  get threadId(): number {
    return this.#connection.threadId
  }

  /** This session will not be used again. */
  condemn(): void {
    this.#state.condemn()
  }

  /** A prepared statement. @returns the rows of its first result */
  async rows(statement: string, ...values: readonly MyValue[]): Promise<readonly MyRow[]> {
    const answer = await this.#guard(() => this.#connection.execute(statement, values as MyValue[]))
    if (!Array.isArray(answer)) return []
    return (Array.isArray(answer[0]) ? answer[0] : answer) as readonly MyRow[]
  }

  /** A prepared `CALL`: the rows of each of its results. */
  async results(statement: string, ...values: readonly MyValue[]): Promise<readonly (readonly MyRow[])[]> {
    const answer = await this.#guard(() => this.#connection.execute(statement, values as MyValue[]))
    if (!Array.isArray(answer)) return []
    const isMany = Array.isArray(answer[0])
    return (isMany ? answer.filter((one) => Array.isArray(one)) : [answer]) as (readonly MyRow[])[]
  }

  /** A statement that changes one row and gives a number through LAST_INSERT_ID(…). */
  async number(statement: string, ...values: readonly MyValue[]): Promise<number> {
    const answer = await this.#guard(() => this.#connection.execute(statement, values as MyValue[]))
    return (answer as { readonly insertId: number }).insertId
  }

  /** A statement as it is, unprepared, with nothing to bind. */
  async query(statement: string): Promise<readonly MyRow[]> {
    const answer = await this.#guard(() => this.#connection.query(statement))
    return Array.isArray(answer) ? (answer as readonly MyRow[]) : []
  }

  /** Sends without waiting; what is asked next is answered after it. A failure breaks the session. */
  post(statement: string): void {
    this.#settings.counters.statements++
    this.#connection.query(statement).catch(() => this.#state.condemn())
  }

  async #guard(run: () => Promise<readonly [unknown, unknown]>): Promise<unknown> {
    const { counters } = this.#settings
    counters.roundTrips++
    counters.statements++
    try {
      const [answer] = await run()
      return answer
    } catch (error) {
      throw this.#state.coded(error)
    } finally {
      this.#state.countBytes((this.#connection as unknown as Wire).connection.stream)
    }
  }

  async close(): Promise<void> {
    const wasBroken = this.#state.isBroken
    this.#state.condemn()
    if (wasBroken) this.#connection.destroy()
    // A connection that is lost meanwhile cannot say goodbye.
    else await this.#connection.end().catch(() => this.#connection.destroy())
  }
}

const errors: ErrorDialect = {
  name: 'mysql',
  codeName: 'mysqlCode',
  connectAdvice: {
    ER_ACCESS_DENIED_ERROR: 'check user and password',
    ER_BAD_DB_ERROR: 'create the database, or name another one',
    ER_CON_COUNT_ERROR: 'raise max_connections of the server',
  },
  transientCodes: new Set(['ER_CON_COUNT_ERROR']),
  faultOf(code, message) {
    if (/closed state|Connection lost/i.test(message)) return 'lost'
    if (code === 'ER_UNKNOWN_COM_ERROR' && message.includes('WSREP')) return 'node-not-ready'
    return faults.get(code)
  },
}

/** Numbers of errors for which `mysql2` has no names. */
const mariadbCodes = { connectionKilled: 1927, statementTimeout: 1969 } as const

const faults: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ...lostCodes.map((code) => [code, 'lost'] as const),
  ['PROTOCOL_CONNECTION_LOST', 'lost'],
  ['ER_SERVER_SHUTDOWN', 'lost'],
  ['ER_CONNECTION_KILLED', 'lost'],
  [String(mariadbCodes.connectionKilled), 'lost'],
  ['ER_NET_READ_INTERRUPTED', 'lost'],
  // MySQL says so before it ends a session that was idle for too long.
  ['ER_CLIENT_INTERACTION_TIMEOUT', 'lost'],
  // A node that loses the others while it commits cannot tell whether they have the transaction.
  ['ER_ERROR_DURING_COMMIT', 'lost'],
  ['ER_QUERY_INTERRUPTED', 'interrupted'],
  ['ER_QUERY_TIMEOUT', 'interrupted'],
  [String(mariadbCodes.statementTimeout), 'interrupted'],
  ['ER_LOCK_WAIT_TIMEOUT', 'lock-timeout'],
  ['ER_LOCK_DEADLOCK', 'deadlock'],
  ['ER_CHECKREAD', 'serialization-failure'],
  ['ER_DISK_FULL', 'disk-full'],
  ['ER_RECORD_FILE_FULL', 'disk-full'],
  ['ER_NET_PACKET_TOO_LARGE', 'too-large'],
  ['ER_TABLEACCESS_DENIED_ERROR', 'cannot-write'],
  ['ER_DBACCESS_DENIED_ERROR', 'cannot-write'],
])
