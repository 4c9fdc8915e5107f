/**
 * One transaction of an instance: collects revisions in memory, votes, finishes.
 *
 * The vote checks serials and claims every object, under the mutex and without touching the disk; from then on no
 * other transaction can vote for these objects. `finish` takes the mutex again for one write, gives the claims up and
 * waits for the disk with everybody else. No lock is held between the two, and none during the flush.
 */

import {
  CommitLockTimeoutError,
  ConflictError,
  ObjectNotFoundError,
  ReadConflictError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { BlobSource, Transaction, VotedTransaction } from '../storage.ts'
import { buryDead, doubtMs } from './bury.ts'
import { claimAll, type Newer, unclaimAll } from './claims.ts'
import { recordTooLarge } from './file-errors.ts'
import { type EncodedMetadata, payloadBytesMax } from './format.ts'
import { PendingBlobs } from './pending-blobs.ts'
import { word } from './shared-state.ts'
import { StagedTransaction } from './staged-transaction.ts'
import type { FileStorage } from './storage.ts'
import { type Change, undo } from './undo.ts'
import { changeOf } from './wait.ts'

type State = 'open' | 'storing' | 'voting' | 'failed' | 'voted' | 'ended'

export class FileTransaction implements Transaction, VotedTransaction {
  readonly #storage: FileStorage
  readonly #metadata: EncodedMetadata
  readonly #onEnd: (tid?: Tid) => void
  readonly #writes = new Map<Oid, Change>()
  readonly #reads = new Map<Oid, Tid>()
  readonly #resolved = new Set<Oid>()
  #state: State = 'open'
  #blobs: PendingBlobs | undefined
  #staged: StagedTransaction | undefined
  /** Era of claims in which the vote was given. */
  #era = 0
  /** Number of rollbacks when the vote was given: it counted on what was in the log then. */
  #rollbacks = 0

  /** @param onEnd called once, when the transaction is over; with its tid when it has one */
  constructor(storage: FileStorage, metadata: EncodedMetadata, onEnd: (tid?: Tid) => void) {
    this.#storage = storage
    this.#metadata = metadata
    this.#onEnd = onEnd
  }

  get resolvedOids(): readonly Oid[] {
    return [...this.#resolved]
  }

  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#expect('open', 'store')
    if (data.length > payloadBytesMax) throw recordTooLarge(oid, data.length)
    this.#writes.set(oid, { oid, serial, data })
  }

  async storeBlob(oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource): Promise<void> {
    this.#expect('open', 'storeBlob')
    if (data.length > payloadBytesMax) throw recordTooLarge(oid, data.length)
    this.#state = 'storing'
    const { log, durability } = this.#storage
    this.#blobs ??= new PendingBlobs(log, durability === 'full')
    try {
      const blob = await this.#blobs.write(oid, this.#whileStoring(source))
      this.#expect('storing', 'storeBlob')
      this.#writes.set(oid, { oid, serial, data, blob })
      this.#state = 'open'
    } catch (error) {
      if (this.#state === 'storing') this.#state = 'failed'
      throw error
    }
  }

  /** The chunks of `source` for as long as this transaction is not aborted. */
  async *#whileStoring(source: BlobSource): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#expect('storing', 'storeBlob')
      yield chunk
    }
  }

  delete(oid: Oid, serial: Tid): void {
    this.#expect('open', 'delete')
    this.#writes.set(oid, { oid, serial, data: null })
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#expect('open', 'readCurrent')
    const earlier = this.#reads.get(oid)
    // Both cannot be current, so the one that is wrong must be kept.
    if (earlier === undefined || earlier > serial) this.#reads.set(oid, serial)
  }

  undo(tid: Tid): readonly Oid[] {
    this.#expect('open', 'undo')
    const { log, resolver, lastTid } = this.#storage
    try {
      const changes = undo(log, resolver, lastTid, this.#writes, tid)
      for (const change of changes) {
        this.#writes.set(change.oid, change)
        this.#resolved.add(change.oid)
      }
      return changes.map(({ oid }) => oid)
    } catch (error) {
      this.#state = 'failed'
      throw error
    }
  }

  async vote(): Promise<VotedTransaction> {
    this.#expect('open', 'vote')
    this.#state = 'voting'
    try {
      this.#blobs?.flush()
      await this.#claim()
    } catch (error) {
      if (this.#state === 'voting') this.#state = 'failed'
      throw error
    }
    this.#state = 'voted'
    this.#storage.voted(1)
    this.#staged = new StagedTransaction(this.#metadata, [...this.#writes.values()])
    return this
  }

  async finish(onTid?: (tid: Tid) => void): Promise<Tid> {
    this.#expect('voted', 'finish')
    const storage = this.#storage
    const { log } = storage
    let tid: Tid
    try {
      tid = log.locked(() => {
        try {
          log.assertWritable()
          this.#assertStillTrue()
          return storage.append(this.#staged!)
        } finally {
          unclaimAll(log, this.#wanted, this.#era)
        }
      })
    } catch (error) {
      this.#end()
      throw error
    }
    log.countCommit(this.#writes.values())
    const committed = storage.committed(tid, onTid)
    this.#end(tid)
    return committed
  }

  abort(): void {
    if (this.#state === 'ended') return
    if (this.#state === 'voted') {
      this.#storage.log.locked(() => unclaimAll(this.#storage.log, this.#wanted, this.#era))
      this.#end()
      return
    }
    this.#state = 'ended'
    this.#blobs?.end(new Set())
    this.#onEnd()
  }

  get #wanted() {
    return { writes: this.#writes, reads: this.#reads }
  }

  #end(tid?: Tid): void {
    this.#staged = undefined
    this.#state = 'ended'
    this.#blobs?.end(new Set(tid === undefined ? [] : this.#blobIds()))
    this.#storage.voted(-1)
    this.#onEnd(tid)
  }

  *#blobIds(): Generator<string> {
    for (const { blob } of this.#writes.values()) if (blob !== undefined) yield blob.id
  }

  // --- the vote ---

  /**
   * Each round claims everything, or finds who is in the way: another vote, whose end it waits for, or a newer
   * revision, which it merges with.
   */
  async #claim(): Promise<void> {
    const storage = this.#storage
    const { log, claimWaitMs } = storage
    const { words } = log
    for (const change of this.#writes.values()) this.#checkDeletion(change)
    const start = performance.now()
    for (;;) {
      const endings = Atomics.load(words, word.endings)
      const found = log.locked(() => {
        log.assertWritable()
        this.#rollbacks = Atomics.load(words, word.rollbacks)
        this.#era = Atomics.load(words, word.claimsEra)
        return claimAll(log, this.#wanted)
      })
      if (found === undefined) return
      if (found !== 'busy') await this.#meet(found)
      else if (performance.now() - start < claimWaitMs) {
        await changeOf(words, word.endings, endings)
        if (performance.now() - start > doubtMs) buryDead(log)
      } else throw waitedTooLong(log.path, claimWaitMs)
      if (this.#state !== 'voting')
        throw new StorageTransactionError('the transaction was aborted while it voted')
      storage.assertOpen()
    }
  }

  /** What does not exist cannot be deleted; undoing a creation twice may try. */
  #checkDeletion({ oid, serial, data }: Change): void {
    if (data !== null || this.#resolved.has(oid)) return
    const upTo = serial === noTid ? maxTid : serial
    const replaced = this.#storage.log.find(oid, upTo, maxTid)?.record
    if ((replaced?.data ?? null) === null) throw new ObjectNotFoundError(oid)
  }

  /** Goes along with one newer revision, or raises a conflict. */
  async #meet({ oid, current, isRead }: Newer): Promise<void> {
    const { log, resolver, group } = this.#storage
    const change = this.#writes.get(oid)
    const serial = isRead ? (this.#reads.get(oid) ?? noTid) : (change?.serial ?? noTid)
    const committed = log.find(oid, current, maxTid)?.record
    // Who found no object has no serial to name; a deletion is as good as nothing.
    if (serial === noTid && committed?.data === null) {
      if (isRead) this.#reads.set(oid, current)
      else change!.serial = current
      return
    }
    try {
      if (isRead) throw new ReadConflictError(oid, current, serial)
      if (committed?.serial !== current || change === undefined) throw new ConflictError(oid, current, serial)
      const base = serial === noTid ? undefined : log.find(oid, serial, maxTid)?.record
      const baseData = base?.serial === serial ? (base.data ?? undefined) : undefined
      const conflict = { oid, baseSerial: serial, base: baseData, committed, mine: change.data }
      const hasBlob = (change.blob ?? committed.blob) !== undefined
      change.data = resolveOrThrow(hasBlob ? undefined : resolver, conflict)
      change.serial = current
    } catch (error) {
      log.counters.conflicts++
      // The newer revision may not be visible yet. Who repeats the transaction needs a snapshot that shows it.
      await group.published(current)
      throw error
    }
    log.counters.resolvedConflicts++
    this.#resolved.add(oid)
  }

  /**
   * A revision we built on at the vote may have been taken back since, by a disk that failed; or our claims were given up
   * with those of a terminated thread, and somebody else has voted, or committed, in between.
   */
  #assertStillTrue(): void {
    const { index, words } = this.#storage.log
    const hasClaims = this.#era === Atomics.load(words, word.claimsEra)
    if (hasClaims && this.#rollbacks === Atomics.load(words, word.rollbacks)) return
    for (const { oid, serial } of this.#writes.values()) {
      const isTaken = !hasClaims && index.isClaimed(oid, true)
      if (isTaken || index.serial(oid) !== serial) throw new ConflictError(oid, index.serial(oid), serial)
    }
    for (const [oid, serial] of this.#reads) {
      if (index.serial(oid) !== serial) throw new ReadConflictError(oid, index.serial(oid), serial)
    }
  }

  #expect(state: State, call: string): void {
    // Closing waits for those that have voted, so they may still finish.
    this.#storage.assertOpen(this.#state === 'voted')
    if (this.#state === state) return
    throw new StorageTransactionError(`${call} was called on a transaction that ${stateWords[this.#state]}`)
  }
}

const stateWords: Readonly<Record<State, string>> = {
  open: 'has not voted',
  storing: 'is storing a blob',
  voting: 'is voting',
  failed: 'has failed and can only be aborted',
  voted: 'has voted',
  ended: 'has ended',
}

function waitedTooLong(path: string, claimWaitMs: number): CommitLockTimeoutError {
  return new CommitLockTimeoutError(
    `${path}: another transaction has voted to change the same objects, and has not ended within ${claimWaitMs / 1000} s; repeat the transaction`,
  )
}
