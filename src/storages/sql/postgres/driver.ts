/**
 * The only file that imports `pg`. A session sends several statements at once and gets all their rows in one round
 * trip; it counts what it does and raises coded errors.
 *
 * Results come in text format, because `pg` decodes what should be binary as UTF-8. Parameters that are bytes go in
 * binary.
 */

import type { Client, ClientConfig } from 'pg'
import { CommitLockTimeoutError, DisconnectedError, ShootoutError } from '../../../core/errors.ts'
import type { MutableCounters } from '../../storage.ts'
import { cancelledError } from '../adapter.ts'
import { importDriver } from '../driver.ts'

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

export interface PgSettings {
  /** For messages; never contains a password. */
  readonly title: string
  readonly counters: MutableCounters
  /** Settings of the session, by name. */
  readonly parameters: Readonly<Record<string, string>>
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
        connectionTimeoutMillis: 10_000,
        pipeline: true,
        types: { getTypeParser: (type) => parsers.get(type as number) ?? String },
      }
      const client = new pg.default.Client(config)
      const session = new PgSession(client, settings)
      try {
        await client.connect()
      } catch (error) {
        throw connectError(error, settings.title)
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
    }
  }
}

export class PgSession {
  readonly #client: Client
  readonly #settings: PgSettings
  #isBroken = false
  #bytesRead = 0
  #bytesWritten = 0

  constructor(client: Client, settings: PgSettings) {
    this.#client = client
    this.#settings = settings
    // Said when an idle connection is lost. Whoever uses it next is told; without a listener the process would end.
    client.on('error', () => {
      this.#isBroken = true
    })
    client.on('end', () => {
      this.#isBroken = true
    })
  }

  /** The connection is lost; only `close` is of use. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** The server's process for this session. */
  get processId(): number {
    return (this.#client as unknown as Wire).processID
  }

  /** This session will not be used again. */
  condemn(): void {
    this.#isBroken = true
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
    sent!.catch(() => {
      this.#isBroken = true
    })
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
      const coded = queryError(error, this.#settings.title)
      if (coded instanceof DisconnectedError) this.#isBroken = true
      throw coded
    }
  }

  #countBytes(): void {
    const { stream } = (this.#client as unknown as Wire).connection
    this.#settings.counters.bytesRead += stream.bytesRead - this.#bytesRead
    this.#settings.counters.bytesWritten += stream.bytesWritten - this.#bytesWritten
    this.#bytesRead = stream.bytesRead
    this.#bytesWritten = stream.bytesWritten
  }

  async close(): Promise<void> {
    this.#isBroken = true
    // A connection that is lost already cannot say goodbye.
    await this.#client.end().catch(() => {})
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
    '28P01': 'check user and password',
    '28000': 'check user and password',
    '3D000': 'create the database, or name another one',
    '53300': 'raise max_connections of the server',
  }
  return new ShootoutError(
    'cannot-connect',
    `${title}: cannot connect (${messageOf(cause)}); ${advice[code] ?? 'check the url'}`,
    { cause, details: { sqlState: code }, transient: code === '53300' || code === '57P03' },
  )
}

const lostCodes = new Set(['57P01', '57P02', '57P03', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])

function queryError(cause: unknown, title: string): Error {
  const code = codeOf(cause)
  const message = `${title}: ${messageOf(cause)}`
  const options = { cause, details: { sqlState: code } }
  const isLost =
    lostCodes.has(code) ||
    code.startsWith('08') ||
    /^(Connection terminated|Client has encountered a connection error|Client was closed)/.test(
      messageOf(cause),
    )
  if (isLost) return new DisconnectedError(`${message}; repeat the transaction`, options)
  if (code === '57014') return cancelledError()
  if (code === '55P03') return new CommitLockTimeoutError(`${message}; repeat the transaction`, options)
  if (code === '40P01')
    return new ShootoutError('deadlock', `${message}; repeat the transaction`, {
      ...options,
      transient: true,
    })
  if (code === '40001') {
    return new ShootoutError('serialization-failure', `${message}; repeat the transaction`, {
      ...options,
      transient: true,
    })
  }
  if (code === '53100') return new ShootoutError('disk-full', `${message}; make room and repeat`, options)
  if (code === '42501')
    return new ShootoutError('cannot-write', `${message}; grant the right to the user`, options)
  return new ShootoutError('postgres', code === '' ? message : `${message} (${code})`, options)
}
