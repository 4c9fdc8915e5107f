/**
 * The only file that imports `better-sqlite3`. Statements here count themselves and raise coded errors; `SQLITE_BUSY`
 * stays recognisable (`isBusy`), because it is answered with patience, not with an error.
 */

import type DatabaseConstructor from 'better-sqlite3'
import { CorruptDataError, ShootoutError } from '../../../core/errors.ts'
import type { MutableCounters } from '../../storage.ts'
import { importDriver } from '../driver.ts'

const driverPackage = { name: 'better-sqlite3', install: 'npm install better-sqlite3@12' }

/** Values of columns and parameters. Integers are below 2⁵³, blobs are fresh copies. */
export type SqlValue = number | string | Uint8Array | null

/** A prepared statement. Rows are arrays, in the order of the columns. */
export interface SqliteStatement {
  /** Returns how many rows it changed. */
  run(...values: SqlValue[]): number
  get(...values: SqlValue[]): readonly SqlValue[] | undefined
  all(...values: SqlValue[]): readonly (readonly SqlValue[])[]
}

export interface SqliteConnection {
  prepare(sql: string): SqliteStatement
  /** Statements without parameters and results. */
  execute(sql: string): void
  /** The first column of the first row of `PRAGMA …`. */
  pragma(text: string): SqlValue | undefined
  readonly inTransaction: boolean
  close(): void
}

export interface ConnectOptions {
  readonly readOnly: boolean
  readonly counters: MutableCounters
  /** How long SQLite itself may wait for locks, with the thread. Default: not at all. */
  readonly waitMs?: number
}

export interface SqliteDriver {
  /**
   * Creates the file where it may and there is none. What is busy is busy: SQLite's own waiting would freeze whoever
   * holds the lock in this event loop, and signals, as of a profiler, cut it to a hundredth.
   */
  connect(path: string, options: ConnectOptions): SqliteConnection
}

/** @throws ShootoutError `driver-missing` */
export async function loadDriver(): Promise<SqliteDriver> {
  const module = await importDriver(driverPackage, () => import('better-sqlite3'))
  const Database = module.default
  return {
    connect(path, { readOnly, counters, waitMs = 0 }) {
      let database: DatabaseConstructor.Database | undefined
      try {
        database = new Database(path, { timeout: waitMs, readonly: readOnly, fileMustExist: readOnly })
        // The first read joins the log.
        database.pragma('schema_version')
        return new Connection(database, path, counters)
      } catch (error) {
        database?.close()
        throw sqliteError(error, path)
      }
    },
  }
}

class Connection implements SqliteConnection {
  readonly #database: DatabaseConstructor.Database
  readonly #path: string
  readonly #counters: MutableCounters

  constructor(database: DatabaseConstructor.Database, path: string, counters: MutableCounters) {
    this.#database = database
    this.#path = path
    this.#counters = counters
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction
  }

  prepare(sql: string): SqliteStatement {
    const statement = this.#guard(() => this.#database.prepare<SqlValue[], SqlValue[]>(sql))
    return new Statement(statement.reader ? statement.raw() : statement, this.#path, this.#counters)
  }

  execute(sql: string): void {
    this.#counters.statements++
    this.#guard(() => this.#database.exec(sql))
  }

  pragma(text: string): SqlValue | undefined {
    this.#counters.statements++
    return this.#guard(() => this.#database.pragma(text, { simple: true })) as SqlValue | undefined
  }

  close(): void {
    this.#guard(() => this.#database.close())
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw sqliteError(error, this.#path)
    }
  }
}

class Statement implements SqliteStatement {
  readonly #statement: DatabaseConstructor.Statement<SqlValue[], SqlValue[]>
  readonly #path: string
  readonly #counters: MutableCounters

  constructor(
    statement: DatabaseConstructor.Statement<SqlValue[], SqlValue[]>,
    path: string,
    counters: MutableCounters,
  ) {
    this.#statement = statement
    this.#path = path
    this.#counters = counters
  }

  run(...values: SqlValue[]): number {
    this.#counters.statements++
    try {
      return this.#statement.run(...values).changes
    } catch (error) {
      throw sqliteError(error, this.#path)
    }
  }

  get(...values: SqlValue[]): readonly SqlValue[] | undefined {
    this.#counters.statements++
    try {
      return this.#statement.get(...values)
    } catch (error) {
      throw sqliteError(error, this.#path)
    }
  }

  all(...values: SqlValue[]): readonly (readonly SqlValue[])[] {
    this.#counters.statements++
    try {
      return this.#statement.all(...values)
    } catch (error) {
      throw sqliteError(error, this.#path)
    }
  }
}

const busyCode = 'sqlite-busy'

/** Somebody else holds a lock; trying again will do. */
export function isBusy(error: unknown): boolean {
  return error instanceof ShootoutError && error.code === busyCode
}

function sqliteError(cause: unknown, path: string): unknown {
  const code = cause instanceof Error ? (cause as { readonly code?: unknown }).code : undefined
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) return cause
  const { message } = cause as Error
  const options = { cause, details: { path, sqliteCode: code } }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new ShootoutError(busyCode, `sqlite ${path}: ${message}`, { ...options, transient: true })
  }
  if (code.startsWith('SQLITE_CORRUPT')) {
    return new CorruptDataError(
      `sqlite ${path}: ${message}; put a backup in its place, or save what can be read with: sqlite3 ${path} .recover`,
      options,
    )
  }
  if (code === 'SQLITE_NOTADB') {
    return new ShootoutError(
      'foreign-database',
      `${path} is not a SQLite database; nothing was changed. Name another file`,
      options,
    )
  }
  if (code.startsWith('SQLITE_CANTOPEN')) {
    return new ShootoutError(
      'cannot-open',
      `sqlite ${path}: cannot open (${message}); check that the folder exists and may be written to`,
      options,
    )
  }
  if (code.startsWith('SQLITE_READONLY')) {
    return new ShootoutError(
      'cannot-write',
      `sqlite ${path}: ${message}; check the rights of the file`,
      options,
    )
  }
  if (code.startsWith('SQLITE_FULL')) {
    return new ShootoutError('disk-full', `sqlite ${path}: ${message}; make room and repeat`, options)
  }
  return new ShootoutError('sqlite', `sqlite ${path}: ${message} (${code})`, options)
}
