/**
 * The two-phase commit over a base storage.
 *
 * Until the vote everything is kept here and nothing is locked. The vote takes the commit lock, checks every object
 * against its current revision and merges what can be merged; finish writes. Because the lock is held in between,
 * what the vote found is still true when finish writes, and what `readCurrent` asked for stays current.
 *
 * One object plays both parts, `Transaction` and `VotedTransaction`: the types tell the caller when to call what, and
 * the state tells whoever does it wrong.
 */

import {
  ClosedError,
  ConflictError,
  ObjectNotFoundError,
  ReadConflictError,
  StorageTransactionError,
} from '../../core/errors.ts'
import { after, maxTid, nextTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { Awaitable, BlobSource, Transaction, TransactionMetadata, VotedTransaction } from '../storage.ts'
import type { BaseBlob, BaseRecord, BaseRevision } from './base-storage.ts'
import type { Committer, Reader } from './committer.ts'
import { undo } from './undo.ts'

/** One object that the transaction writes. */
export interface Change {
  readonly oid: Oid
  /** The revision that the change started from. */
  serial: Tid
  /** Null deletes the object. */
  data: Uint8Array | null
  readonly blob?: BaseBlob | undefined
}

type State = 'open' | 'storing' | 'voting' | 'voted' | 'finishing' | 'finished' | 'failed' | 'aborted'

export class MvccTransaction implements Transaction, VotedTransaction {
  readonly resolvedOids: Oid[] = []
  readonly changes = new Map<Oid, Change>()
  readonly undo?: (tid: Tid) => Promise<readonly Oid[]>
  readonly storeBlob?: (oid: Oid, serial: Tid, data: Uint8Array, source: BlobSource) => Promise<void>
  readonly #committer: Committer
  readonly #reader: Reader
  readonly #metadata: TransactionMetadata
  readonly #onEnd: () => void
  #read: Map<Oid, Tid> | undefined
  #state: State = 'open'

  constructor(committer: Committer, reader: Reader, metadata: TransactionMetadata, onEnd: () => void) {
    this.#committer = committer
    this.#reader = reader
    this.#metadata = metadata
    this.#onEnd = onEnd
    if (committer.base.changedBy !== undefined) this.undo = (tid) => this.#undo(tid)
    const { takeBlob } = committer.base
    if (takeBlob !== undefined) {
      this.storeBlob = async (oid, serial, data, source) => {
        this.#expect('open', 'storeBlob')
        this.#state = 'storing'
        const blob = await this.#take(source)
        this.changes.set(oid, { oid, serial, data, blob })
      }
    }
  }

  store(oid: Oid, serial: Tid, data: Uint8Array): void {
    this.#expect('open', 'store')
    this.changes.set(oid, { oid, serial, data })
  }

  async #take(source: BlobSource): Promise<BaseBlob> {
    try {
      const blob = await this.#committer.base.takeBlob!(this.#whileStoring(source))
      this.#expect('storing', 'storeBlob')
      this.#state = 'open'
      return blob
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
    this.changes.set(oid, { oid, serial, data: null })
  }

  readCurrent(oid: Oid, serial: Tid): void {
    this.#expect('open', 'readCurrent')
    this.#read ??= new Map()
    const earlier = this.#read.get(oid)
    // Both cannot be current, so the one that is wrong must be kept.
    if (earlier === undefined || earlier > serial) this.#read.set(oid, serial)
  }

  async #undo(tid: Tid): Promise<readonly Oid[]> {
    this.#expect('open', 'undo')
    try {
      const undone = await undo(this.#committer, this.changes, tid)
      this.#expect('open', 'undo')
      for (const change of undone) this.changes.set(change.oid, change)
      const oids = undone.map((change) => change.oid)
      this.resolvedOids.push(...oids)
      return oids
    } catch (error) {
      if (this.#state === 'open') this.#state = 'failed'
      throw error
    }
  }

  vote(): Awaitable<VotedTransaction> {
    this.#expect('open', 'vote')
    this.#state = 'voting'
    const waiting = this.#committer.lock.acquire(this)
    return waiting === undefined ? this.#check() : this.#checkAfter(waiting)
  }

  async #checkAfter(waiting: Promise<void>): Promise<VotedTransaction> {
    try {
      await waiting
    } catch (error) {
      if (this.#state === 'voting') this.#state = 'failed'
      throw error
    }
    return this.#check()
  }

  /** Compares everything with what is current. The lock is held, so what is current stays so. */
  #check(): Awaitable<VotedTransaction> {
    try {
      const checking = this.#checkFrom(this.#read?.entries(), this.changes.values())
      if (checking === undefined) return this.#voted()
      return checking.then(
        () => this.#voted(),
        (error: unknown) => this.#fail(error),
      )
    } catch (error) {
      return this.#fail(error)
    }
  }

  /** Goes on synchronously for as long as the base storage answers with plain values. */
  #checkFrom(reads: Iterator<[Oid, Tid]> | undefined, changes: Iterator<Change>): Promise<void> | undefined {
    const { base } = this.#committer
    for (let read = reads?.next(); read !== undefined && read.done !== true; read = reads?.next()) {
      const [oid, serial] = read.value
      const current = base.loadBefore(oid, maxTid)
      if (current instanceof Promise) {
        return current.then((revision) => {
          this.#checkRead(oid, serial, revision)
          return this.#checkFrom(reads, changes)
        })
      }
      this.#checkRead(oid, serial, current)
    }
    for (let next = changes.next(); next.done !== true; next = changes.next()) {
      const change = next.value
      const current = base.loadBefore(change.oid, maxTid)
      const checked =
        current instanceof Promise
          ? current.then((c) => this.#checkChange(change, c))
          : this.#checkChange(change, current)
      if (checked !== undefined) return checked.then(() => this.#checkFrom(undefined, changes))
    }
    return undefined
  }

  #checkRead(oid: Oid, serial: Tid, current: BaseRevision | undefined): void {
    const currentSerial = current?.serial ?? noTid
    if (currentSerial === serial) return
    // Who found no object has no serial to name: "still not there" is current as well.
    if (serial === noTid && current?.data === null) return
    this.#committer.counters.conflicts++
    throw new ReadConflictError(oid, currentSerial, serial)
  }

  #checkChange(change: Change, current: BaseRevision | undefined): Promise<void> | undefined {
    const { oid, serial } = change
    const exists = current !== undefined && current.data !== null
    if (serial === (current?.serial ?? noTid) || (serial === noTid && !exists)) {
      if (change.data === null && !exists && !this.resolvedOids.includes(oid))
        throw new ObjectNotFoundError(oid)
      return undefined
    }
    if (current === undefined) {
      this.#committer.counters.conflicts++
      throw new ConflictError(oid, noTid, serial)
    }
    if (serial === noTid) {
      this.#resolve(change, current, undefined)
      return undefined
    }
    const base = this.#committer.base.loadBefore(oid, after(serial))
    if (base instanceof Promise) return base.then((revision) => this.#resolve(change, current, revision))
    this.#resolve(change, current, base)
    return undefined
  }

  #resolve(change: Change, committed: BaseRevision, base: BaseRevision | undefined): void {
    const { counters, context } = this.#committer
    const { oid, serial } = change
    try {
      const hasBlob = change.blob !== undefined || committed.blob !== undefined
      change.data = resolveOrThrow(hasBlob ? undefined : context.resolveConflict, {
        oid,
        baseSerial: serial,
        base: base?.serial === serial ? (base.data ?? undefined) : undefined,
        committed,
        mine: change.data,
      })
    } catch (error) {
      counters.conflicts++
      throw error
    }
    change.serial = committed.serial
    counters.resolvedConflicts++
    this.resolvedOids.push(oid)
  }

  #voted(): VotedTransaction {
    this.#expect('voting', 'vote')
    this.#state = 'voted'
    return this
  }

  #fail(error: unknown): never {
    if (this.#state !== 'aborted') this.#state = 'failed'
    this.#committer.lock.release(this)
    throw error
  }

  finish(onTid?: (tid: Tid) => void): Awaitable<Tid> {
    this.#expect('voted', 'finish')
    this.#state = 'finishing'
    const { lastTid, context } = this.#committer
    const tid = nextTid(lastTid, context.clock.wallUs())
    const transaction = { tid, metadata: this.#metadata, records: [...this.changes.values()].map(record) }
    try {
      const committing = this.#committer.commit(transaction, this.#reader, onTid)
      if (committing instanceof Promise)
        return committing.then(() => tid).finally(() => this.#end('finished'))
    } catch (error) {
      this.#end('finished')
      throw error
    }
    this.#end('finished')
    return tid
  }

  abort(): void {
    // What has been handed to the base storage can no longer be called back.
    if (this.#state === 'finishing' || this.#state === 'finished' || this.#state === 'aborted') return
    this.#end('aborted')
  }

  #end(state: State): void {
    this.#state = state
    this.#committer.lock.release(this)
    this.#onEnd()
  }

  #expect(state: State, call: string): void {
    if (state === 'open' && this.#committer.isClosed) throw new ClosedError('the storage')
    if (this.#state === state) return
    throw new StorageTransactionError(`${call}: the transaction is ${described[this.#state]}`)
  }
}

/** A change as it is committed. */
function record({ oid, data, blob }: Change): BaseRecord {
  return blob === undefined ? { oid, data } : { oid, data, blob }
}

const described: Readonly<Record<State, string>> = {
  open: 'open but has not voted',
  storing: 'storing a blob',
  voting: 'voting',
  voted: 'voted already; finish or abort it',
  finishing: 'being finished',
  finished: 'finished',
  failed: 'broken by an earlier error; abort it',
  aborted: 'aborted',
}
