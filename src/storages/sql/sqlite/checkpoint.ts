/**
 * Keeps the write-ahead log short. SQLite would checkpoint within a commit, but then the committing connection's own
 * snapshot is still open and keeps the log from ever being emptied. So we do it where a snapshot has just ended.
 *
 * Where several isolates write all the time there is no such moment: somebody always waits for the write lock with a
 * snapshot that is older than the last commit, and the log begins anew only when nobody reads from it. It was seen to
 * grow by 185 MB in seconds. So where it is long, who waits ends their snapshot, and a checkpoint keeps writers out until
 * the log is empty.
 */

import { statSync } from 'node:fs'
import type { MutableCounters } from '../../storage.ts'
import { isBusy, type SqliteConnection } from './driver.ts'

/** Pages in the log that make a checkpoint worth its syncs; SQLite's own default. */
const pagesMax = 1000
/** After a checkpoint that some reader kept from moving much, at least so many more pages pass before the next. */
const pagesUntilRetry = 250
/** Several times what the log has where checkpoints complete. */
const longBytes = 32 * 1024 ** 2
/** How long an emptying may wait for writers and readers. The thread waits with it. */
const emptyingMs = 20

export class Checkpointer {
  readonly #logPath: string
  readonly #resident: () => SqliteConnection
  readonly #counters: MutableCounters
  #connection: SqliteConnection | undefined
  /** Written by this isolate since the log was last moved to the database; a rough count. */
  #pages = 0
  /** A log that a reader keeps from being emptied is left to grow that far before the next try. */
  #emptyAtBytes = longBytes

  /** @param resident a connection that never is in a transaction: inside one it could not checkpoint */
  constructor(logPath: string, resident: () => SqliteConnection, counters: MutableCounters) {
    this.#logPath = logPath
    this.#resident = resident
    this.#counters = counters
  }

  wrote(pages: number): void {
    this.#pages += pages
  }

  isLogLong(): boolean {
    return this.#logBytes() > longBytes
  }

  /** A snapshot has ended: a good moment. */
  runIfDue(): void {
    if (this.#pages < pagesMax) return
    const bytes = this.#logBytes()
    const empties = bytes > this.#emptyAtBytes
    const pagesLeft = this.#run(empties)
    if (empties) this.#emptyAtBytes = pagesLeft === 0 ? longBytes : bytes + longBytes
    // Beside others that write, a few are always left. To come back for them soon would sync for nothing.
    this.#pages = Math.min(pagesLeft, pagesMax - pagesUntilRetry)
  }

  /** @returns how many pages are not in the database yet; infinity where that is not known */
  #run(empties: boolean): number {
    this.#connection ??= this.#connect()
    try {
      const statement = this.#connection.prepare(`PRAGMA wal_checkpoint(${empties ? 'TRUNCATE' : 'PASSIVE'})`)
      const [isBusyNow, logged, moved] = statement.get() as readonly number[]
      const isComplete = isBusyNow === 0 && logged === moved
      // The log is synced before its pages move, the database after.
      if (moved! > 0 || (empties && isComplete)) this.#counters.syncs += 2
      if (isComplete) return 0
      return isBusyNow === 0 ? logged! - moved! : Number.POSITIVE_INFINITY
    } catch (error) {
      if (!isBusy(error)) throw error
      return Number.POSITIVE_INFINITY
    }
  }

  /** Passive checkpoints never wait. */
  #connect(): SqliteConnection {
    const connection = this.#resident()
    connection.pragma(`busy_timeout = ${emptyingMs}`)
    return connection
  }

  #logBytes(): number {
    return statSync(this.#logPath, { throwIfNoEntry: false })?.size ?? 0
  }
}
