/**
 * The persistent cache: what the state cache knew when a storage was closed, in a SQLite file, so that the next process
 * begins warm.
 *
 * It is never stale, also after a crash, by construction. The file says: *snapshot `horizon` of store `identity` shows
 * exactly these revisions.* That stays true for ever. Who opens the file starts with `horizon` as the origin of its
 * cache, so the first poll asks the backend for the changes since, and that one answer is the validation of every
 * entry: an object that was not named in it has not changed. A backend that cannot tell answers `'all'`, and nothing
 * of the file is used. Horizon and entries are written in one transaction.
 *
 * Every row has a checksum over ids and bytes; a row that does not match is left out and reported. A file that is no
 * database, of another version, or of another store, is replaced. Losing it costs time, never data.
 *
 * What the user of this class must see to: `identity` differs for every life of a store, a zap included, and `clear`
 * is called on a zap of one's own.
 *
 * Tables:
 *
 *     about    (name TEXT PRIMARY KEY, value)     version, identity, horizon
 *     entries  (oid INTEGER PRIMARY KEY, tid INTEGER, checksum INTEGER, state BLOB)
 */

import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { describeError } from '../../core/errors.ts'
import { asOid, asTid, idBytes, type Oid, type Tid, writeId } from '../../core/ids.ts'
import type { SnapshotIndex } from './snapshot-index.ts'
import type { StateCache } from './state-cache.ts'

/** Values of columns and parameters. */
export type CacheFileValue = number | string | Uint8Array | null

/** The little of a SQLite driver that a cache file needs. Rows are arrays in the order of the columns. */
export interface CacheFileConnection {
  /** Statements without parameters and results. */
  execute(sql: string): void
  prepare(sql: string): {
    run(...values: CacheFileValue[]): void
    all(...values: CacheFileValue[]): readonly (readonly CacheFileValue[])[]
  }
  close(): void
}

export interface CacheFileOptions {
  /** Opens the file, creates it where there is none. May throw where it is no database. */
  connect(): CacheFileConnection
  /** Told of a connection when the file has been made, or found to be right. */
  made?(connection: CacheFileConnection): void
  /** Removes the file and what SQLite keeps beside it. */
  remove(): void
  /** Somebody else is just writing: no reason to begin the file anew. Left out: nothing is taken for that. */
  isBusy?(error: unknown): boolean
  /** Which store the entries are of: something that differs for a store that was emptied or made anew. */
  readonly identity: string
  log(message: string): void
}

export interface CacheFileLoad {
  readonly entries: number
  /** Rows whose checksum was wrong. */
  readonly damaged: number
  /** What the entries were valid for; undefined where nothing was loaded. */
  readonly horizon: Tid | undefined
}

export interface CacheFileSave {
  readonly entries: number
  readonly written: number
  readonly removed: number
}

const version = 1
const rowsAtATime = 256

export class CacheFile {
  readonly #options: CacheFileOptions
  #connection: CacheFileConnection | undefined
  #saving: Promise<CacheFileSave | undefined> | undefined
  #timer: NodeJS.Timeout | undefined

  /** Opens the file, or makes a new one in its place. @throws what the driver throws for a new file */
  constructor(options: CacheFileOptions) {
    this.#options = options
    try {
      this.#connection = this.#open()
    } catch (error) {
      if (options.isBusy?.(error) === true) {
        options.log(`the persistent cache is busy and is not used: ${describeError(error)}`)
      } else this.#beginAnew(error)
    }
  }

  #beginAnew(error: unknown): void {
    this.#options.log(`the persistent cache cannot be used and is begun anew: ${describeError(error)}`)
    this.#connection?.close()
    this.#connection = undefined
    this.#options.remove()
    this.#connection = this.#open()
  }

  #open(): CacheFileConnection {
    const connection = this.#options.connect()
    try {
      // Losing the last save to a power cut is fine: the one before is as true.
      connection.execute('PRAGMA journal_mode = WAL')
      connection.execute('PRAGMA synchronous = NORMAL')
      connection.execute(
        `CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value);
         CREATE TABLE IF NOT EXISTS entries (oid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, checksum INTEGER NOT NULL, state BLOB NOT NULL)`,
      )
      const found = readAbout(connection, 'version')
      if (found !== undefined && found !== version) throw new Error(`it is of version ${String(found)}`)
      this.#options.made?.(connection)
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /**
   * Fills an empty cache, to be called before the first poll of any index over it. Stops when the cache is full.
   * Takes a pause every few hundred rows, so that the event loop goes on.
   */
  async load(cache: StateCache): Promise<CacheFileLoad> {
    const connection = this.#connection
    const nothing = { entries: 0, damaged: 0, horizon: undefined }
    if (connection === undefined) return nothing
    try {
      // One snapshot of the file: another process may be saving, and its entries are not of our horizon.
      connection.execute('BEGIN')
      try {
        return (await this.#load(connection, cache)) ?? nothing
      } finally {
        connection.execute('COMMIT')
      }
    } catch (error) {
      if (this.#options.isBusy?.(error) === true) {
        this.#options.log(`the persistent cache is busy and is not read: ${describeError(error)}`)
      } else this.#beginAnew(error)
      return nothing
    }
  }

  async #load(connection: CacheFileConnection, cache: StateCache): Promise<CacheFileLoad | undefined> {
    const horizon = this.#savedHorizon(connection)
    if (horizon === undefined || cache.proposeOrigin(horizon) !== horizon) return undefined
    const page = connection.prepare(
      `SELECT oid, tid, checksum, state FROM entries WHERE oid > ? ORDER BY oid LIMIT ${rowsAtATime}`,
    )
    const { generation } = cache
    let entries = 0
    let damaged = 0
    const evictionsBefore = cache.statistics().evictions
    for (let last = -1; ; ) {
      const rows = page.all(last)
      for (const [oid, tid, checksum, state] of rows) {
        if (
          !isSound(oid, tid, state, horizon) ||
          checksum !== checksumOf(oid as Oid, tid as Tid, state as Uint8Array)
        ) {
          damaged++
          continue
        }
        if (cache.add(asOid(oid as number), asTid(tid as number), state as Uint8Array, horizon, generation))
          entries++
      }
      if (rows.length < rowsAtATime || cache.statistics().evictions > evictionsBefore) break
      last = rows.at(-1)![0] as number
      await setImmediate()
    }
    if (damaged > 0)
      this.#options.log(`the persistent cache has ${damaged} damaged entries, which are left out`)
    return { entries, damaged, horizon }
  }

  /**
   * Writes what the horizon of the index shows and the cache has, and removes from the file what is not among it.
   * Only the difference is written. Undefined where nothing is known yet, or the file is newer.
   * Failing to write is reported, not thrown: a full disk must not keep a storage from closing.
   */
  save(index: SnapshotIndex): Promise<CacheFileSave | undefined> {
    this.#saving ??= this.#save(index).finally(() => {
      this.#saving = undefined
    })
    return this.#saving
  }

  async #save(index: SnapshotIndex): Promise<CacheFileSave | undefined> {
    const connection = this.#connection
    const { horizon, cache, generation } = index
    if (connection === undefined || horizon === undefined || generation !== cache.generation) return undefined
    const current = currentRevisions(index)
    try {
      connection.execute('BEGIN IMMEDIATE')
      try {
        const saved = this.#savedHorizon(connection)
        // Another process was here, with news that we have not heard of.
        const result =
          saved !== undefined && saved > horizon
            ? undefined
            : await this.#write(connection, index, current, horizon)
        // The store may have been replaced while we paused: then nothing of this is true of the new one.
        const isTrue = generation === cache.generation
        connection.execute(result !== undefined && isTrue ? 'COMMIT' : 'ROLLBACK')
        return isTrue ? result : undefined
      } catch (error) {
        connection.execute('ROLLBACK')
        throw error
      }
    } catch (error) {
      this.#options.log(`the persistent cache could not be written: ${describeError(error)}`)
      return undefined
    }
  }

  async #write(
    connection: CacheFileConnection,
    { cache }: SnapshotIndex,
    current: Map<Oid, Tid>,
    horizon: Tid,
  ): Promise<CacheFileSave> {
    const isSameStore = readAbout(connection, 'identity') === this.#options.identity
    if (!isSameStore) connection.execute('DELETE FROM entries')
    const setAbout = connection.prepare('INSERT OR REPLACE INTO about (name, value) VALUES (?, ?)')
    setAbout.run('version', version)
    setAbout.run('identity', this.#options.identity)
    setAbout.run('horizon', horizon)
    const page = connection.prepare('SELECT oid, tid FROM entries WHERE oid > ? ORDER BY oid LIMIT 4096')
    const remove = connection.prepare('DELETE FROM entries WHERE oid = ?')
    const insert = connection.prepare(
      'INSERT OR REPLACE INTO entries (oid, tid, checksum, state) VALUES (?, ?, ?, ?)',
    )
    const entries = current.size
    let removed = 0
    for (let last = -1; ; ) {
      const rows = page.all(last)
      for (const [oid, tid] of rows) {
        if (current.get(oid as Oid) === tid) {
          current.delete(oid as Oid)
        } else {
          remove.run(oid!)
          removed++
        }
      }
      if (rows.length < 4096) break
      last = rows.at(-1)![0] as number
      await setImmediate()
    }
    let written = 0
    let sincePause = 0
    for (const [oid, tid] of current) {
      const data = cache.peek(oid, tid)
      // Evicted meanwhile.
      if (data === undefined) continue
      insert.run(oid, tid, checksumOf(oid, tid, data), data)
      written++
      if (++sincePause === rowsAtATime) {
        sincePause = 0
        await setImmediate()
      }
    }
    return { entries: entries - (current.size - written), written, removed }
  }

  /** Saves every so often, so that a crash loses little. The timer keeps no process alive. */
  saveEvery(periodMs: number, index: SnapshotIndex): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => {
      this.save(index).catch((error: unknown) => this.#giveUp(error))
    }, periodMs)
    this.#timer.unref()
  }

  /** Forgets everything: the store was emptied. */
  clear(): void {
    try {
      this.#connection?.execute('DELETE FROM about; DELETE FROM entries')
    } catch (error) {
      this.#giveUp(error)
      this.#options.remove()
    }
  }

  /** @param index to be saved before. Closing twice is fine */
  async close(index?: SnapshotIndex): Promise<void> {
    clearInterval(this.#timer)
    await this.#saving
    if (index !== undefined) await this.save(index)
    this.#connection?.close()
    this.#connection = undefined
  }

  #savedHorizon(connection: CacheFileConnection): Tid | undefined {
    if (readAbout(connection, 'version') !== version) return undefined
    if (readAbout(connection, 'identity') !== this.#options.identity) return undefined
    const horizon = readAbout(connection, 'horizon')
    return typeof horizon === 'number' && Number.isSafeInteger(horizon) && horizon > 0
      ? asTid(horizon)
      : undefined
  }

  #giveUp(error: unknown): void {
    this.#options.log(`the persistent cache is not used any more: ${describeError(error)}`)
    clearInterval(this.#timer)
    this.#connection?.close()
    this.#connection = undefined
  }
}

/** What the horizon of the index shows, as far as the cache has it. */
function currentRevisions(index: SnapshotIndex): Map<Oid, Tid> {
  const current = new Map<Oid, Tid>()
  for (const keys of index.cache.keys()) {
    for (const { oid, tid, through } of keys) if (index.isCurrent(oid, tid, through)) current.set(oid, tid)
  }
  return current
}

function readAbout(connection: CacheFileConnection, name: string): CacheFileValue | undefined {
  return connection.prepare('SELECT value FROM about WHERE name = ?').all(name)[0]?.[0]
}

function isSound(
  oid: CacheFileValue | undefined,
  tid: CacheFileValue | undefined,
  state: CacheFileValue | undefined,
  horizon: Tid,
): boolean {
  return (
    Number.isSafeInteger(oid) &&
    Number.isSafeInteger(tid) &&
    (tid as number) <= horizon &&
    state instanceof Uint8Array
  )
}

const ids = new Uint8Array(2 * idBytes)

function checksumOf(oid: Oid, tid: Tid, state: Uint8Array): number {
  writeId(ids, oid, 0)
  writeId(ids, tid, idBytes)
  return crc32(state, crc32(ids))
}
