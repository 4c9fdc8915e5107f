/**
 * One open log in one isolate: serves instances, and does what concerns the whole store. What it shares with the
 * storages of other threads is in `Log`; what becomes durable and visible when is in `GroupCommit`.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../core/clock.ts'
import { ClosedError, describeError, ReadOnlyError, ShootoutError } from '../../core/errors.ts'
import type { FileSystem } from '../../core/file-system.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { settled } from '../../core/settled.ts'
import {
  type ConflictResolver,
  type HistoryEntry,
  type OpenContext,
  type PackOptions,
  type PackResult,
  type Storage,
  type StorageCounters,
  type TransactionRecord,
  zeroCounters,
} from '../storage.ts'
import { buryDead, doubtMs } from './bury.ts'
import { writeCheckpoint } from './checkpoint.ts'
import { writeFailed } from './file-errors.ts'
import { readFileHeader } from './file-header.ts'
import { GroupCommit } from './group-commit.ts'
import { FileInstance } from './instance.ts'
import { Log } from './log.ts'
import { reserveOids } from './oid-reserve.ts'
import { pack } from './pack.ts'
import { assertNewer, restoreTransaction, wholeSinceOf } from './restore.ts'
import { type SharedLog, word } from './shared-state.ts'
import type { StagedTransaction } from './staged-transaction.ts'
import { historyOf, transactions } from './transactions.ts'
import { changeOf } from './wait.ts'
import { zap } from './zap.ts'

export type FileDurability = 'full' | 'os' | 'none'

export interface FileStorageOptions {
  readonly durability: FileDurability
  /** How long a vote waits for another one to end. */
  readonly claimWaitMs: number
  /** How much the log grows between checkpoints. */
  readonly checkpointBytes: number
}

export class FileStorage implements Storage {
  readonly log: Log
  readonly group: GroupCommit
  readonly durability: FileDurability
  readonly claimWaitMs: number
  readonly #checkpointBytes: number
  readonly #report: (message: string) => void
  readonly #counters = zeroCounters()
  readonly resolver: ConflictResolver | undefined
  #votedCount = 0
  #checkpointing = false
  /** Packs and zaps of this isolate. */
  #busyAlone = 0
  readonly #clock: Clock
  readonly #instances = new Set<FileInstance>()
  #state: 'open' | 'closing' | 'closed' = 'open'
  #idle: (() => void) | undefined
  #closing: Promise<void> | undefined

  constructor(shared: SharedLog, files: FileSystem, context: OpenContext, options: FileStorageOptions) {
    this.log = new Log(shared, files, context.clock, this.#counters, context.log)
    this.group = new GroupCommit(this.log, context.log)
    this.durability = options.durability
    this.claimWaitMs = options.claimWaitMs
    this.#checkpointBytes = options.checkpointBytes
    this.#report = context.log
    this.#clock = context.clock
    this.resolver = context.resolveConflict
  }

  get lastTid(): Tid {
    return this.group.visibleTid
  }

  get readOnly(): boolean {
    return this.log.shared.readOnly
  }

  newInstance(): FileInstance {
    this.assertOpen()
    const instance = new FileInstance(this)
    this.#instances.add(instance)
    return instance
  }

  counters(): StorageCounters {
    return { ...this.#counters }
  }

  async zap(): Promise<void> {
    this.assertOpen()
    this.assertWritable()
    await this.#alone(async () => zap(this.log, this.#clock))
  }

  async pack({ before, references, signal, onProgress }: PackOptions): Promise<PackResult> {
    this.assertOpen()
    this.assertWritable()
    signal?.throwIfAborted()
    let progress = 0
    const pause = async (fraction: number) => {
      if (fraction > progress) {
        progress = fraction
        onProgress?.(fraction)
      }
      await this.#breathe()
      signal?.throwIfAborted()
    }
    const result = await this.#alone(async () => {
      this.assertOpen()
      const cutoff = this.#packCutoff(before)
      const options = { before: cutoff, wholeSince: noTid, ...(references && { references }) }
      const done = await pack(this.log, options, pause)
      if (done.removedRevisions > 0) await this.#checkpoint()
      return done
    })
    onProgress?.(1)
    return result
  }

  /** Not later than what is published, nor than the oldest snapshot that is open in any thread. */
  #packCutoff(before: Tid): Tid {
    const { numbers, snapshots } = this.log
    buryDead(this.log)
    // First the limit, then the look at the open snapshots: who opens one in between sees the limit.
    const limit = Math.max(numbers.packCutoff, Math.min(before, this.lastTid)) as Tid
    numbers.packCutoff = limit
    return Math.min(before, limit, snapshots.oldest()) as Tid
  }

  /** Runs `body` while nobody else, in any thread, packs, zaps or writes a checkpoint. */
  async #alone<T>(body: () => Promise<T>): Promise<T> {
    const { log } = this
    const { words } = log
    this.#busyAlone++
    const held: number[] = []
    try {
      for (const at of [word.packing, word.checkpointing]) {
        await this.#turn(at)
        held.push(at)
      }
      return await body()
    } finally {
      for (const at of held) {
        Atomics.store(words, at, 0)
        Atomics.notify(words, at)
      }
      this.#busyAlone--
      this.#wakeCloser()
    }
  }

  /** Waits for a word that only one may hold. */
  async #turn(at: number): Promise<void> {
    const { words, seats } = this.log
    for (let start = performance.now(); ; ) {
      const holder = Atomics.compareExchange(words, at, 0, seats.own)
      if (holder === 0) return
      await changeOf(words, at, holder)
      if (performance.now() - start < doubtMs) continue
      buryDead(this.log)
      start = performance.now()
    }
  }

  iterate(from: Tid = noTid, to: Tid = maxTid): AsyncIterable<TransactionRecord> {
    this.assertOpen()
    return transactions(this.log, from, Math.min(to, this.lastTid) as Tid)
  }

  /** It is in the header, as of the pack that made the log. */
  wholeSince(): Tid {
    this.assertOpen()
    const { log } = this
    return log.undisturbed(() => readFileHeader(log.files, log.file, log.path).wholeSince)
  }

  restore(transaction: TransactionRecord): Promise<void> {
    return this.restoreMany([transaction])
  }

  /** Each is appended at once, in order, and all of them share one flush. */
  async restoreMany(transactions: readonly TransactionRecord[]): Promise<void> {
    this.assertOpen()
    this.assertWritable()
    const [first] = transactions
    if (first === undefined) return
    assertNewer(this.log, first.tid)
    await this.#raiseWholeSince(wholeSinceOf(transactions))
    await settled(transactions.map((transaction) => restoreTransaction(this, transaction)))
  }

  /** Before anything is restored: a log that says too early that it lacks something misleads nobody. */
  async #raiseWholeSince(wholeSince: Tid): Promise<void> {
    if (wholeSince <= this.wholeSince()) return
    await this.#alone(async () => {
      await pack(this.log, { before: noTid, wholeSince }, () => this.#breathe())
      await this.#checkpoint()
    })
  }

  async #breathe(): Promise<void> {
    await nextTurn()
    this.assertOpen()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  // --- for instances and their transactions ---

  /** @throws ClosedError; while closing only unless `finishing` */
  assertOpen(finishing = false): void {
    if (this.#state === 'open' || (finishing && this.#state === 'closing')) return
    throw new ClosedError(this.log.path)
  }

  assertWritable(): void {
    if (this.readOnly) throw new ReadOnlyError(this.log.path)
  }

  /** Ids above every one that was given out or stored. */
  newOids(count: number): readonly Oid[] {
    this.assertWritable()
    const { log } = this
    const first = log.locked(() => {
      const next = log.numbers.nextOid
      if (!Number.isSafeInteger(next + count)) {
        throw new ShootoutError(
          'no-oids-left',
          `${log.path}: an object with the highest possible id is stored; there are no new ids above it. Change the objects that there are, or begin another store`,
        )
      }
      if (next + count > log.numbers.reservedOids) this.#reserveOids(next + count)
      log.numbers.nextOid = next + count
      return next
    })
    return Array.from({ length: count }, (_, index) => (first + index) as Oid)
  }

  #reserveOids(next: number): void {
    const { files, path, numbers } = this.log
    try {
      numbers.reservedOids = reserveOids(files, path, next, this.durability === 'full')
    } catch (cause) {
      throw writeFailed(path, cause)
    }
  }

  history(oid: Oid, count: number): readonly HistoryEntry[] {
    const visible = this.lastTid
    return this.log.undisturbed(() => historyOf(this.log, oid, visible, count))
  }

  /** Appends, and publishes at once unless that has to wait for the disk. Call it with the mutex held. */
  append(staged: StagedTransaction, tid?: Tid): Tid {
    const own = this.log.append(staged, tid)
    if (this.durability === 'full') this.group.come()
    else this.log.numbers.lastTid = own
    return own
  }

  /** Resolves when a transaction that was appended is durable, announced and visible. */
  async committed(tid: Tid, onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    try {
      return await (this.durability === 'full'
        ? this.group.join(tid, onTid)
        : this.group.announce(tid, onTid))
    } finally {
      this.#checkpointWhenDue()
      this.#wakeCloser()
    }
  }

  released(instance: FileInstance): void {
    this.#instances.delete(instance)
  }

  /** Counts transactions between vote and end. */
  voted(change: 1 | -1): void {
    this.#votedCount += change
    this.#wakeCloser()
  }

  get #isIdle(): boolean {
    return this.#votedCount === 0 && !this.group.busy && !this.#checkpointing && this.#busyAlone === 0
  }

  #wakeCloser(): void {
    if (this.#isIdle) this.#idle?.()
  }

  /** One thread at a time writes a checkpoint, while commits go on. */
  #checkpointWhenDue(): void {
    const { words, numbers } = this.log
    const grown = numbers.tail - numbers.checkpointEnd
    // A large index is written less often, so that checkpoints never make up more than a fifth of all writing.
    if (this.durability === 'none' || grown < Math.max(this.#checkpointBytes, 4 * numbers.checkpointBytes))
      return
    if (Atomics.compareExchange(words, word.checkpointing, 0, this.log.seats.own) !== 0) return
    this.#checkpointing = true
    void this.#checkpoint().then(() => {
      Atomics.store(words, word.checkpointing, 0)
      this.#checkpointing = false
      this.#wakeCloser()
    })
  }

  /** The store is right without it; what keeps one from being written is for a person to know. */
  async #checkpoint(): Promise<void> {
    try {
      await writeCheckpoint(this.log, this.durability !== 'none')
    } catch (error) {
      this.#report(`${this.log.path}: no checkpoint was written: ${describeError(error)}`)
    }
  }

  async #close(): Promise<void> {
    this.#state = 'closing'
    if (!this.#isIdle) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.claimWaitMs)
        this.#idle = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#state = 'closed'
    for (const instance of [...this.#instances]) instance.release()
    this.log.leave()
  }
}
