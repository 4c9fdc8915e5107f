/**
 * The log as one isolate sees it: reads records by position, and appends transactions under the mutex that all
 * threads share. It decides nothing about conflicts, durability or visibility; those are the callers' business.
 *
 * Everything here is synchronous, so nothing of this isolate can happen between two lines of it.
 */

import type { Clock } from '../../core/clock.ts'
import { type FileSystem, writeFully } from '../../core/file-system.ts'
import { nextTid, type Oid, type Tid } from '../../core/ids.ts'
import type { MutableCounters } from '../storage.ts'
import { RecentChanges } from './changes.ts'
import { logFailed, writeFailed } from './file-errors.ts'
import { formatVersionAt, formatVersionWithBlobs, noPosition } from './format.ts'
import { Mutex } from './mutex.ts'
import { movedPosition, PositionIndex } from './position-index.ts'
import { type LogRecord, RecordReader } from './record-reader.ts'
import { Seats } from './seats.ts'
import { type SharedLog, SharedNumbers, word } from './shared-state.ts'
import { OpenSnapshots } from './snapshots.ts'
import type { StagedTransaction } from './staged-transaction.ts'

export class Log {
  readonly shared: SharedLog
  readonly files: FileSystem
  readonly counters: MutableCounters
  readonly words: Int32Array
  readonly numbers: SharedNumbers
  readonly mutex: Mutex
  readonly seats: Seats
  readonly changes: RecentChanges
  readonly snapshots: OpenSnapshots
  readonly #indexes: readonly [PositionIndex, PositionIndex]
  readonly #clock: Clock
  readonly #reader: RecordReader
  /** Tells a person. */
  readonly report: (message: string) => void
  #file = 0
  #fileGeneration: number | undefined

  constructor(
    shared: SharedLog,
    files: FileSystem,
    clock: Clock,
    counters: MutableCounters,
    log: (message: string) => void,
  ) {
    this.shared = shared
    this.files = files
    this.counters = counters
    this.words = new Int32Array(shared.words)
    this.numbers = new SharedNumbers(shared)
    this.seats = new Seats(shared.seats)
    this.mutex = new Mutex(this.words, word.mutex, word.mutexOwner, this.seats)
    this.changes = new RecentChanges(shared.changes)
    this.snapshots = new OpenSnapshots(shared.snapshots)
    this.#indexes = [new PositionIndex(shared.index, 0), new PositionIndex(shared.index, 1)]
    this.#reader = new RecordReader(files, shared.path, counters)
    this.#clock = clock
    this.report = log
  }

  get path(): string {
    return this.shared.path
  }

  get generation(): number {
    return Atomics.load(this.words, word.generation)
  }

  get index(): PositionIndex {
    return this.#indexes[this.generation & 1]!
  }

  /** The side of the index that is not in use: for the log that takes this one's place. */
  get spareIndex(): PositionIndex {
    return this.#indexes[(this.generation + 1) & 1]!
  }

  /**
   * Descriptor of the log of this generation. Each isolate has one of its own: Node closes what a worker thread has
   * opened when the thread ends, so no thread can open a file for another.
   */
  get file(): number {
    return this.#fileGeneration === this.generation ? this.#file : this.#reopen()
  }

  #reopen(): number {
    for (;;) {
      const { generation } = this
      // Whoever was exchanging the files will not end any more: which of them has the name cannot be told.
      if (Atomics.load(this.words, word.failed) !== 0 && Atomics.load(this.words, word.switching) !== 0) {
        throw logFailed(this.path)
      }
      const file = this.files.open(this.path, this.shared.readOnly ? 'read' : 'write')
      // While files change places, it cannot be told which of them was opened.
      if (generation === this.generation && Atomics.load(this.words, word.switching) === 0) {
        this.adopt(file, generation)
        return file
      }
      this.files.close(file)
    }
  }

  /** Uses `file` for the log of `generation`, in place of what was used before. */
  adopt(file: number, generation: number): void {
    this.close()
    this.#file = file
    this.#fileGeneration = generation
  }

  /** The last call. */
  leave(): void {
    this.close()
    if (this.seats.count('pendingBlobs', this.seats.own) > 0) Atomics.store(this.words, word.sweepDue, 1)
    this.seats.leave()
  }

  /** Closes this isolate's descriptor. */
  close(): void {
    if (this.#fileGeneration === undefined) return
    this.#fileGeneration = undefined
    this.files.close(this.#file)
  }

  get seed(): number {
    return Atomics.load(this.words, word.seed) >>> 0
  }

  /** End of the newest published transaction. Call it with the mutex held. */
  get publishedEnd(): number {
    const { numbers } = this
    return numbers.lastTid === numbers.tailTid ? numbers.tail : numbers.durableEnd
  }

  /** Runs `body` with the mutex held. It must not wait for anything. */
  locked<T>(body: () => T): T {
    const outcome = this.mutex.lock()
    try {
      if (outcome === 'taken-over') this.#fail()
      return body()
    } finally {
      this.mutex.unlock()
    }
  }

  /**
   * A thread was terminated with the mutex held. What it was changing may be half done, in memory and in the file: nothing
   * more is written, and what waits for the disk fails, until opening the log has shown what is there.
   */
  #fail(): void {
    const { words, numbers } = this
    const rollback = Atomics.load(words, word.rollbacks) + 1
    numbers.noteRollback(rollback, numbers.lastTid, numbers.tailTid)
    Atomics.store(words, word.failed, 1)
    Atomics.store(words, word.rollbacks, rollback)
    this.report(`${this.path}: a thread was terminated in the middle of a change; no more is written`)
  }

  // --- Reading ------------------------------------------------------------------------------------------------------

  /**
   * The newest revision of `oid` whose serial is at most `upTo`, and the serial of the one that replaced it, as far
   * as that is at most `visible`. Undefined when there is none.
   * @throws CorruptDataError
   */
  find(oid: Oid, upTo: Tid, visible: Tid): { record: LogRecord; nextSerial: Tid | undefined } | undefined {
    for (;;) {
      const { generation, file } = this
      const index = this.#indexes[generation & 1]!
      const first = index.position(oid)
      if (first === movedPosition) {
        // Packing holds the mutex while it puts the new positions in place, or has just done so.
        if (generation === this.generation) this.locked(() => this.#assertNotLeft(generation, oid))
        continue
      }
      try {
        const found = this.#walk(file, first, oid, upTo, visible)
        if (generation === this.generation) return found
      } catch (error) {
        // The log was cut back or replaced under our feet: what we read was not damage, but the past.
        if (generation === this.generation && first === index.position(oid)) throw error
      }
    }
  }

  /** @throws ShootoutError `log-failed` when positions were left half exchanged: nobody will end that any more */
  #assertNotLeft(generation: number, oid: Oid): void {
    const isLeft = generation === this.generation && this.index.position(oid) === movedPosition
    if (isLeft) throw logFailed(this.path)
  }

  #walk(file: number, first: number, oid: Oid, upTo: Tid, visible: Tid) {
    let nextSerial: Tid | undefined
    for (let position = first; position !== noPosition; ) {
      const record = this.read(file, position, oid)
      if (record.serial <= upTo) return { record, nextSerial }
      if (record.serial <= visible) nextSerial = record.serial
      position = record.previous
    }
    return undefined
  }

  /**
   * Runs `body`, which reads the log by itself, again if packing put another log in its place meanwhile: a descriptor
   * that was closed may by then mean another file.
   */
  undisturbed<T>(body: () => T): T {
    for (;;) {
      const { generation } = this
      try {
        const result = body()
        if (generation === this.generation) return result
      } catch (error) {
        if (generation === this.generation) throw error
      }
    }
  }

  /**
   * Reads and verifies the record at `position`.
   * @throws CorruptDataError when it is not a record of `oid`, whole
   */
  read(file: number, position: number, oid: Oid): LogRecord {
    return this.#reader.read(file, position, oid)
  }

  /** A revision was handed to a caller. There is no cache above the file. */
  countLoad(bytes: number): void {
    this.counters.loads++
    this.counters.backendLoads++
    this.counters.loadedBytes += bytes
  }

  countCommit(changes: Iterable<{ readonly data: Uint8Array | null }>): void {
    this.counters.commits++
    for (const { data } of changes) {
      this.counters.stores++
      this.counters.storedBytes += data?.length ?? 0
    }
  }

  // --- Appending ----------------------------------------------------------------------------------------------------

  /** @throws ShootoutError `log-failed` */
  assertWritable(): void {
    if (Atomics.load(this.words, word.failed) !== 0) throw logFailed(this.path)
  }

  /**
   * Writes a transaction at the end of the log and makes it the newest revision of its objects, for commits. Readers
   * do not see it before `lastTid` says so. Call it with the mutex held.
   * @param tid given by `restore`; otherwise taken here, so that tids rise along the log
   * @throws ShootoutError `disk-full`, `write-failed`: nothing is left of it
   */
  append(staged: StagedTransaction, tid?: Tid): Tid {
    const { numbers, index } = this
    const own = tid ?? nextTid(numbers.tailTid, this.#clock.wallUs())
    if (staged.hasBlobs) this.#admitBlobs()
    const position = numbers.tail
    const bytes = staged.complete(position, own, numbers.durableEnd, this.seed, index)
    try {
      writeFully(this.files, this.file, bytes, 0, bytes.length, position)
    } catch (cause) {
      this.#cutBack(position)
      throw writeFailed(this.path, cause)
    }
    this.counters.bytesWritten += bytes.length
    let changeCount = numbers.changeCount
    for (const { oid, offset } of staged.entries) {
      index.set(oid, position + offset, own)
      this.changes.add(changeCount++, own, oid)
      numbers.keepAbove(oid)
    }
    numbers.changeCount = changeCount
    numbers.tailTid = own
    numbers.tail = position + bytes.length
    return own
  }

  /**
   * Before the first blob, the log becomes one of the version that has blobs: programs that know none would take its
   * records for damage.
   */
  #admitBlobs(): void {
    const { files, file, words } = this
    if (Atomics.load(words, word.formatVersion) >= formatVersionWithBlobs) return
    try {
      writeFully(files, file, Uint8Array.of(formatVersionWithBlobs), 0, 1, formatVersionAt)
      files.sync(file)
    } catch (cause) {
      throw writeFailed(this.path, cause)
    }
    this.counters.bytesWritten++
    this.counters.syncs++
    Atomics.store(words, word.formatVersion, formatVersionWithBlobs)
  }

  /** Removes what a failed write left behind. If even that fails, the next transaction overwrites it. */
  #cutBack(position: number): void {
    try {
      this.files.truncate(this.file, position)
    } catch (error) {
      this.report(
        `${this.path}: a partly written transaction at ${position} is left in the file: ${String(error)}`,
      )
    }
  }
}
