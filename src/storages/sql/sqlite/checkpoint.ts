/**
 * Keeps the write-ahead log short. SQLite would checkpoint within a commit, but then the committing connection's own
 * snapshot is still open and keeps the log from ever being emptied. So we do it where a snapshot has just ended.
 */

import type { MutableCounters } from '../../storage.ts'
import { isBusy, type SqliteConnection, type SqliteStatement } from './driver.ts'

/** Pages in the log that make a checkpoint worth its syncs; SQLite's own default. */
const pagesMax = 1000
/** After a checkpoint that some reader kept from completing, this many more pages pass before the next. */
const pagesUntilRetry = 250

export class Checkpointer {
  readonly #open: () => SqliteConnection
  readonly #counters: MutableCounters
  #connection: SqliteConnection | undefined
  #statement: SqliteStatement | undefined
  /** Written by this isolate since the log was last moved to the database; a rough count. */
  #pages = 0

  constructor(open: () => SqliteConnection, counters: MutableCounters) {
    this.#open = open
    this.#counters = counters
  }

  wrote(pages: number): void {
    this.#pages += pages
  }

  /** A snapshot has ended: a good moment. */
  runIfDue(): void {
    if (this.#pages < pagesMax) return
    // A connection of its own: one inside a transaction cannot checkpoint.
    this.#connection ??= this.#open()
    this.#statement ??= this.#connection.prepare('PRAGMA wal_checkpoint(PASSIVE)')
    try {
      const [isBusyNow, logged, moved] = this.#statement.get() as readonly number[]
      // The log is synced before its pages move, the database after.
      if (moved! > 0) this.#counters.syncs += 2
      this.#pages = isBusyNow === 0 && logged === moved ? 0 : pagesMax - pagesUntilRetry
    } catch (error) {
      if (!isBusy(error)) throw error
      this.#pages = pagesMax - pagesUntilRetry
    }
  }

  close(): void {
    this.#connection?.close()
  }
}
