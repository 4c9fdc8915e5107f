/**
 * The only file that imports `mysql2`. A session runs one statement at a time; a stored procedure makes several of them
 * one round trip. It counts what it does and raises coded errors.
 */

import type { Connection, ConnectionOptions } from 'mysql2/promise'
import { CommitLockTimeoutError, DisconnectedError, ShootoutError } from '../../../core/errors.ts'
import type { MutableCounters } from '../../storage.ts'
import { cancelledError } from '../adapter.ts'
import { importDriver } from '../driver.ts'

const driverPackage = { name: 'mysql2', install: 'npm install mysql2@3' }

/** Values of columns: BIGINT as number (all of ours are below 2⁵³), blobs as bytes, everything else as text. */
export type MyValue = number | string | Uint8Array | null
export type MyRow = Readonly<Record<string, MyValue>>

export interface MySettings {
  /** For messages; never contains a password. */
  readonly title: string
  readonly counters: MutableCounters
  /** The database to use; undefined for none. */
  readonly database?: string
  /** Statements that set the session up. */
  readonly prepare: readonly string[]
}

export interface MyDriver {
  /** @param url `mysql://user:password@host:port/`; `?socketPath=` names a unix socket. @throws ShootoutError `cannot-connect` */
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
        throw connectError(error, settings.title)
      }
      // A part of connecting, and like it not counted as work.
      for (const statement of settings.prepare) await connection.query(statement)
      return new MySession(connection, settings)
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
  #isBroken = false
  #bytesRead = 0
  #bytesWritten = 0

  constructor(connection: Connection, settings: MySettings) {
    this.#connection = connection
    this.#settings = settings
    // Said when an idle connection is lost. Whoever uses it next is told; without a listener the process would end.
    connection.on('error', () => {
      this.#isBroken = true
    })
    connection.on('end', () => {
      this.#isBroken = true
    })
  }

  /** The connection is lost; only `close` is of use. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** The server's number for this session. */
  get threadId(): number {
    return this.#connection.threadId
  }

  /** This session will not be used again. */
  condemn(): void {
    this.#isBroken = true
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
    this.#connection.query(statement).catch(() => {
      this.#isBroken = true
    })
  }

  async #guard(run: () => Promise<readonly [unknown, unknown]>): Promise<unknown> {
    const { counters, title } = this.#settings
    counters.roundTrips++
    counters.statements++
    try {
      const [answer] = await run()
      return answer
    } catch (error) {
      const coded = queryError(error, title)
      if (coded instanceof DisconnectedError) this.#isBroken = true
      throw coded
    } finally {
      const { stream } = (this.#connection as unknown as Wire).connection
      counters.bytesRead += stream.bytesRead - this.#bytesRead
      counters.bytesWritten += stream.bytesWritten - this.#bytesWritten
      this.#bytesRead = stream.bytesRead
      this.#bytesWritten = stream.bytesWritten
    }
  }

  async close(): Promise<void> {
    const wasBroken = this.#isBroken
    this.#isBroken = true
    if (wasBroken) this.#connection.destroy()
    // A connection that is lost meanwhile cannot say goodbye.
    else await this.#connection.end().catch(() => this.#connection.destroy())
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as { readonly code?: unknown }).code : undefined
  return typeof code === 'string' ? code : ''
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  // Node says nothing itself when every address of a host refused.
  return message === '' ? codeOf(error) : message
}

function connectError(cause: unknown, title: string): ShootoutError {
  const code = codeOf(cause)
  const advice: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'start the server, or check host and port',
    ENOENT: 'start the server, or check the path of its socket',
    ENOTFOUND: 'check the host name',
    ER_ACCESS_DENIED_ERROR: 'check user and password',
    ER_BAD_DB_ERROR: 'create the database, or name another one',
    ER_CON_COUNT_ERROR: 'raise max_connections of the server',
  }
  return new ShootoutError(
    'cannot-connect',
    `${title}: cannot connect (${messageOf(cause)}); ${advice[code] ?? 'check the url'}`,
    { cause, details: { mysqlCode: code }, transient: code === 'ER_CON_COUNT_ERROR' },
  )
}

const lostCodes = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ER_SERVER_SHUTDOWN',
  'ER_CONNECTION_KILLED',
  'ER_NET_READ_INTERRUPTED',
])

function queryError(cause: unknown, title: string): Error {
  const code = codeOf(cause)
  const message = `${title}: ${messageOf(cause)}`
  const options = { cause, details: { mysqlCode: code } }
  const isLost =
    lostCodes.has(code) || /closed state|Connection lost|connection was killed/i.test(messageOf(cause))
  if (isLost) return new DisconnectedError(`${message}; repeat the transaction`, options)
  if (code === 'ER_QUERY_INTERRUPTED') return cancelledError()
  if (code === 'ER_LOCK_WAIT_TIMEOUT') {
    return new CommitLockTimeoutError(`${message}; repeat the transaction`, options)
  }
  if (code === 'ER_LOCK_DEADLOCK') {
    return new ShootoutError('deadlock', `${message}; repeat the transaction`, {
      ...options,
      transient: true,
    })
  }
  if (code === 'ER_CHECKREAD') {
    return new ShootoutError('serialization-failure', `${message}; repeat the transaction`, {
      ...options,
      transient: true,
    })
  }
  if (code === 'ER_DISK_FULL' || code === 'ER_RECORD_FILE_FULL') {
    return new ShootoutError('disk-full', `${message}; make room and repeat`, options)
  }
  if (code === 'ER_NET_PACKET_TOO_LARGE') {
    return new ShootoutError('too-large', `${message}; raise max_allowed_packet of the server`, options)
  }
  if (code === 'ER_TABLEACCESS_DENIED_ERROR' || code === 'ER_DBACCESS_DENIED_ERROR') {
    return new ShootoutError('cannot-write', `${message}; grant the right to the user`, options)
  }
  return new ShootoutError('mysql', code === '' ? message : `${message} (${code})`, options)
}
