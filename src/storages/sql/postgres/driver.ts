/**
 * The only file that imports `pg`. A session sends several statements at once and gets all their rows in one round
 * trip; it counts what it does and raises coded errors.
 */

import { EventEmitter } from 'node:events'
import type { Client, ClientConfig, Submittable } from 'pg'
import {
  type ConnectionSettings,
  ConnectionState,
  connectError,
  type ErrorDialect,
  type Fault,
  importDriver,
  lostCodes,
} from '../driver.ts'
import {
  type PgStatement,
  type PgStep,
  Preparations,
  type RequestClass,
  requestClass,
  type Wire,
} from './request.ts'
import { type PgRow, type PgValue, RowSplitter } from './rows.ts'

export type { PgStatement, PgStep } from './request.ts'
export type { PgRow, PgValue } from './rows.ts'

const driverPackage = { name: 'pg', install: 'npm install pg@8' }

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
  const { default: pg } = await importDriver(driverPackage, () => import('pg'))
  const Request = requestClass(pg.Query as unknown as Parameters<typeof requestClass>[0])
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
      }
      const client = new pg.Client(config)
      takeRows(wireOf(client))
      const session = new PgSession(client, Request, settings)
      try {
        await client.connect()
      } catch (error) {
        throw connectError(errors, error, settings.title)
      }
      return session
    },
  }
}

/** The parts of `pg` that its types do not show. */
interface Internals {
  readonly processID: number
  readonly connection: Wire
}

function wireOf(client: Client): Wire {
  return (client as unknown as Internals).connection
}

/** Rows go to the request that is being answered as they came; `pg` parses everything else. */
function takeRows(wire: Wire): void {
  const attach = wire.attachListeners.bind(wire)
  wire.attachListeners = (stream) => {
    const others = new EventEmitter()
    attach(others)
    const splitter = new RowSplitter(
      (bytes, at) => wire.emit('dataRow', { bytes, at }),
      (messages) => others.emit('data', messages),
    )
    stream.on('data', (chunk: Buffer) => splitter.push(chunk))
    stream.on('end', () => others.emit('end'))
  }
}

export class PgSession {
  readonly #client: Client
  readonly #Request: RequestClass
  readonly #preparations = new Preparations()
  readonly #settings: PgSettings
  readonly #state: ConnectionState

  constructor(client: Client, Request: RequestClass, settings: PgSettings) {
    this.#client = client
    this.#Request = Request
    this.#settings = settings
    this.#state = new ConnectionState(client, settings, errors)
  }

  /** The connection is lost; only `close` is of use. */
  get isBroken(): boolean {
    return this.#state.isBroken
  }

  /** The server's process for this session. */
  get processId(): number {
    return (this.#client as unknown as Internals).processID
  }

  /** This session will not be used again. */
  condemn(): void {
    this.#state.condemn()
  }

  /**
   * Sends all steps at once, waits for all answers: one round trip. When a step fails, those after it are not done.
   * @throws the error of the step that failed
   */
  request(...steps: readonly PgStep[]): Promise<readonly (readonly PgRow[])[]> {
    this.#settings.counters.roundTrips++
    return this.#send(steps)
  }

  /** As `request` with one step. */
  async rows(statement: PgStatement, ...values: readonly PgValue[]): Promise<readonly PgRow[]> {
    const [rows] = await this.request(values.length === 0 ? { statement } : { statement, values })
    return rows!
  }

  /** Sends without waiting; what is requested later is answered later. A failure breaks the session. */
  post(statement: PgStatement): void {
    this.#send([{ statement }]).catch(() => this.#state.condemn())
  }

  #send(steps: readonly PgStep[]): Promise<readonly (readonly PgRow[])[]> {
    this.#settings.counters.statements += steps.length
    return new Promise((resolve, reject) => {
      const request = new this.#Request(steps, {
        preparations: this.#preparations,
        resolve: (results) => {
          this.#state.countBytes(wireOf(this.#client).stream)
          resolve(results)
        },
        reject: (error) => {
          this.#state.countBytes(wireOf(this.#client).stream)
          reject(this.#state.coded(error))
        },
      })
      this.#client.query(request as unknown as Submittable)
    })
  }

  /** Ends the connection without a word, for a server that does not answer. What was asked of it fails. */
  destroy(): void {
    this.#state.condemn()
    wireOf(this.#client).stream.destroy()
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
  // The server ends sessions that were idle for too long, in a transaction or not, and those whose transaction takes too long.
  ['57P05', 'lost'],
  ['25P03', 'lost'],
  ['25P04', 'lost'],
  ['57014', 'interrupted'],
  ['55P03', 'lock-timeout'],
  ['40P01', 'deadlock'],
  ['40001', 'serialization-failure'],
  // What is asked after that in the same transaction: a replica may end one that stands in its way.
  ['25P02', 'serialization-failure'],
  ['25006', 'server-is-replica'],
  ['53100', 'disk-full'],
  ['42501', 'cannot-write'],
])
