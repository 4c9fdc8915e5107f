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
  ReadConflictError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Transaction, VotedTransaction } from '../storage.ts'
import { recordTooLarge } from './file-errors.ts'
import { type EncodedMetadata, payloadBytesMax } from './format.ts'
import { word } from './shared-state.ts'
import { StagedTransaction } from './staged-transaction.ts'
import type { FileStorage } from './storage.ts'
import { changeOf } from './wait.ts'

interface StagedRecord {
  readonly oid: Oid
  /** The revision it replaces. */
  serial: Tid
  /** Null: a deletion. */
  data: Uint8Array | null
}

type State = 'open' | 'voting' | 'voted' | 'finishing' | 'ended'

export class FileTransaction implements Transaction, VotedTransaction {
  readonly #storage: FileStorage
  readonly #metadata: EncodedMetadata
  readonly #ended: (tid?: Tid) => void
  readonly #staged = new Map<Oid, StagedRecord>()
  readonly #read = new Map<Oid, Tid>()
  readonly #resolved = new Set<Oid>()
  #state: State = 'open'
  #voted: StagedTransaction | undefined
  /** Number of rollbacks when the vote was given: it counted on what was in the log then. */
  #rollbacks = 0

  /** @param ended called once, when the transaction is over; with its tid as soon as it has one */
  constructor(storage: FileStorage, metadata: EncodedMetadata, ended: (tid?: Tid) => void) {
    this.#storage = storage
    this.#metadata = metadata
    this.#ended = ended
  }

  get resolvedOids(): readonly Oid[] {
    return [...this.#resolved]
  }

  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#expect('open', 'store')
    if (data.length > payloadBytesMax) throw recordTooLarge(oid, data.length)
    this.#staged.set(oid, { oid, serial, data })
  }

  delete(oid: Oid, serial: Tid): void {
    this.#expect('open', 'delete')
    this.#staged.set(oid, { oid, serial, data: null })
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#expect('open', 'readCurrent')
    this.#read.set(oid, serial)
  }

  async vote(): Promise<VotedTransaction> {
    this.#expect('open', 'vote')
    const storage = this.#storage
    storage.assertOpen()
    this.#state = 'voting'
    const { words } = storage.log
    const until = performance.now() + storage.claimWaitMs
    // Each round either claims everything, or finds who is in the way: another vote (wait for its end), or a newer
    // revision (merge with it, or give up).
    for (;;) {
      const endings = Atomics.load(words, word.endings)
      const found = storage.log.locked(() => this.#claim())
      if (found === undefined) break
      if (found === 'claimed') {
        if (performance.now() > until) throw this.#waitedTooLong()
        await changeOf(words, word.endings, endings)
      } else await this.#meet(found)
      if (this.#state !== 'voting')
        throw new StorageTransactionError('the transaction was aborted while it voted')
      storage.assertOpen()
    }
    this.#state = 'voted'
    storage.voted(1)
    this.#voted = new StagedTransaction(this.#metadata, [...this.#staged.values()])
    return this
  }

  finish(onTid?: (tid: Tid) => void): Promise<Tid> {
    this.#expect('voted', 'finish')
    const storage = this.#storage
    const { log } = storage
    const { counters } = log
    this.#state = 'finishing'
    let tid: Tid
    try {
      tid = log.locked(() => {
        try {
          log.assertWritable()
          this.#assertStillTrue()
          const own = log.append(this.#voted!)
          if (storage.durability !== 'full') log.numbers.lastTid = own
          return own
        } finally {
          this.#unclaim()
        }
      })
    } catch (error) {
      this.#end()
      return Promise.reject(error)
    }
    counters.commits++
    counters.stores += this.#staged.size
    for (const { data } of this.#staged.values()) counters.storedBytes += data?.length ?? 0
    this.#end(tid)
    return storage.committed(tid, onTid)
  }

  abort(): void {
    if (this.#state === 'voted') {
      this.#storage.log.locked(() => this.#unclaim())
      this.#end()
    } else if (this.#state === 'open' || this.#state === 'voting') {
      this.#state = 'ended'
      this.#ended()
    }
  }

  #end(tid?: Tid): void {
    this.#voted = undefined
    this.#state = 'ended'
    this.#storage.voted(-1)
    this.#ended(tid)
  }

  // --- with the mutex held ---

  /** Claims all objects, or none. */
  #claim(): 'claimed' | { readonly oid: Oid; readonly current: Tid; readonly reading: boolean } | undefined {
    const { log } = this.#storage
    const { index } = log
    log.assertWritable()
    for (const oid of this.#staged.keys()) if (index.isClaimed(oid, true)) return 'claimed'
    for (const oid of this.#read.keys()) {
      if (!this.#staged.has(oid) && index.isClaimed(oid, false)) return 'claimed'
    }
    for (const [oid, serial] of this.#read) {
      const current = index.serial(oid)
      if (current !== serial) return { oid, current, reading: true }
    }
    for (const { oid, serial } of this.#staged.values()) {
      const current = index.serial(oid)
      if (current !== serial) return { oid, current, reading: false }
    }
    for (const oid of this.#staged.keys()) index.claim(oid, true)
    for (const oid of this.#read.keys()) if (!this.#staged.has(oid)) index.claim(oid, false)
    this.#rollbacks = Atomics.load(log.words, word.rollbacks)
    return undefined
  }

  #unclaim(): void {
    const { index, words } = this.#storage.log
    for (const oid of this.#staged.keys()) index.unclaim(oid, true)
    for (const oid of this.#read.keys()) if (!this.#staged.has(oid)) index.unclaim(oid, false)
    Atomics.add(words, word.endings, 1)
    Atomics.notify(words, word.endings)
  }

  /** A revision we built on at the vote may have been taken back since, by a disk that failed. */
  #assertStillTrue(): void {
    const { log } = this.#storage
    if (this.#rollbacks === Atomics.load(log.words, word.rollbacks)) return
    for (const { oid, serial } of this.#staged.values()) {
      if (log.index.serial(oid) !== serial) throw new ConflictError(oid, log.index.serial(oid), serial)
    }
  }

  // --- conflicts ---

  /** Merges one object with the revision that is in the way. */
  async #meet(found: { oid: Oid; current: Tid; reading: boolean }): Promise<void> {
    const { oid, current, reading } = found
    const storage = this.#storage
    const staged = this.#staged.get(oid)
    const merged =
      reading || staged === undefined ? undefined : storage.merge(oid, staged.serial, staged.data, current)
    if (merged !== undefined && staged !== undefined) {
      staged.data = merged
      staged.serial = current
      if (!this.#resolved.has(oid)) storage.log.counters.resolvedConflicts++
      this.#resolved.add(oid)
      return
    }
    // The newer revision may not be visible yet. Who repeats the transaction needs a snapshot that shows it.
    await storage.group.published(current)
    storage.log.counters.conflicts++
    if (reading) throw new ReadConflictError(oid, current, this.#read.get(oid) ?? noTid)
    throw new ConflictError(oid, current, staged?.serial ?? noTid)
  }

  #waitedTooLong(): CommitLockTimeoutError {
    const seconds = this.#storage.claimWaitMs / 1000
    return new CommitLockTimeoutError(
      `${this.#storage.log.path}: another transaction has voted to change the same objects, and has not ended within ${seconds} s; repeat the transaction`,
    )
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
  voting: 'is voting',
  voted: 'has voted',
  finishing: 'is being finished',
  ended: 'has ended',
}
