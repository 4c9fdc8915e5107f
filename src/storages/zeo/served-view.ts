/**
 * One client instance, as the server has it: an instance of the served storage, with its own snapshot. Whatever a
 * client loads is evaluated in this very snapshot, so its consistency is that of the served storage.
 *
 * Messages about a view take effect one after the other, in the order in which they were sent. No `await` separates
 * taking a snapshot from queueing its answer, or reading a revision from queueing its answer.
 */

import { ShootoutError, StorageTransactionError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Awaitable, Invalidations, Revision, Storage, StorageInstance, Transaction } from '../storage.ts'
import { BodyReader } from './body.ts'
import type { Channel } from './channel.ts'
import type { ServerLimits } from './limits.ts'
import {
  type Kept,
  type PollQuestion,
  readKept,
  readMetadata,
  readPollQuestion,
  writeHistory,
  writeSnapshot,
  writeSnapshotWithChanges,
} from './messages.ts'
import { absentLength, types } from './protocol.ts'
import type { ServedBlobs } from './served-blobs.ts'
import { type ChangedObject, changesIn, staleOf } from './served-changes.ts'
import { type Commits, ServedTransaction } from './served-transaction.ts'
import { Turns } from './turns.ts'

/** What a view asks of its connection. */
export interface ViewHost {
  readonly storage: Storage
  readonly channel: Channel
  readonly limits: ServerLimits
  fail(request: number, error: unknown): void
  /** An answer that shows transaction `tid` is about to be queued: finishes up to it must be answered before. */
  showing(tid: Tid): void
  /** Objects that changed after `since`, at least up to `upTo`. */
  changesSince(since: Tid, upTo: Tid): Awaitable<Invalidations>
  /** A snapshot is opened ahead of its use; the client wants to hear when it becomes old. */
  watch(): void
  /** A transaction holds locks and waits for its client; returns how to say that it no longer does. */
  holding(): () => void
  /** False when the client has given this transaction up. */
  begin(view: ServedView, number: number): boolean
  commitsOf(view: ServedView): Commits
  loaded(count: number): void
  readonly blobs: ServedBlobs
  /** Of the server's clock, ms. */
  now(): number
  /** A message was handled that arrived at `sinceMs`. */
  took(type: number, view: number, sinceMs: number): void
}

const nothing = new Uint8Array(0)

/** Objects that one part of a bulk answer is made of. */
const objectsPerPart = 128
/** A bulk answer goes on when less than this is waiting to be sent. */
const bulkQueuedBytes = 1024 * 1024

export class ServedView {
  readonly number: number
  readonly #host: ViewHost
  readonly #turns = new Turns()
  #instance: StorageInstance | undefined
  #transaction: ServedTransaction | undefined
  #stopHolding: (() => void) | undefined
  #isReleased = false

  constructor(number: number, host: ViewHost) {
    this.number = number
    this.#host = host
  }

  get waiting(): number {
    return this.#turns.waiting
  }

  /** One message of the client's. */
  handle(type: number, request: number, body: Uint8Array): void {
    // A vote that waits for its lock is told of the abort at once; everything else is in order.
    if ((type === types.abort || type === types.release) && this.#transaction?.isVoting === true) {
      void this.#endTransaction()
    }
    // Its blob follows at once, while it may still wait for its turn.
    if (type === types.storeBlob) this.#host.blobs.expect(request)
    const since = this.#host.now()
    this.#turns.run(() => this.#guard(type, request, body, since))
  }

  /** The client is gone, or has given the transaction up. */
  async abandon(): Promise<void> {
    await this.#endTransaction()
  }

  release(): void {
    this.handle(types.release, 0, nothing)
  }

  /** @param since when it arrived, ms: waiting for its turn is a part of what it took */
  #guard(type: number, request: number, body: Uint8Array, since: number): void | Promise<void> {
    try {
      const done = this.#carryOut(type, request, new BodyReader(body))
      if (done instanceof Promise) {
        return done
          .catch((error: unknown) => this.#host.fail(request, error))
          .then(() => this.#host.took(type, this.number, since))
      }
    } catch (error) {
      this.#host.fail(request, error)
    }
    this.#host.took(type, this.number, since)
  }

  #carryOut(type: number, request: number, body: BodyReader): Awaitable<void> {
    if (this.#isReleased) throw new StorageTransactionError('the view has been released')
    if (this.#instance === undefined) {
      const made = this.#host.storage.newInstance()
      if (made instanceof Promise) {
        return made.then((instance) => {
          this.#instance = instance
          return this.#dispatch(instance, type, request, body)
        })
      }
      this.#instance = made
    }
    return this.#dispatch(this.#instance, type, request, body)
  }

  #dispatch(instance: StorageInstance, type: number, request: number, body: BodyReader): Awaitable<void> {
    switch (type) {
      case types.poll:
        return this.#poll(instance, request, readPollQuestion(body))
      case types.renew:
        return this.#renew(instance, request, readPollQuestion(body))
      case types.complete:
        return instance.afterCompletion()
      case types.release:
        return this.#release(instance)
      case types.load:
        return this.#load(instance, request, body.oid())
      case types.loadMany:
        return this.#loadMany(instance, request, body.oids())
      case types.loadBefore:
        return this.#loadBefore(instance, request, body.oid(), body.tid())
      case types.newOids:
        return this.#newOids(instance, request, body.u32())
      case types.history:
        return this.#history(instance, request, body.oid(), body.u32())
      case types.openBlob:
        return this.#openBlob(instance, request, body.oid())
      case types.verify:
        return this.#verify(instance, request, readKept(body))
      case types.begin:
        return this.#begin(instance, body)
      case types.storeBlob:
        return this.#storeBlob(request, body)
      case types.store: {
        const oid = body.oid()
        const serial = body.tid()
        const data = body.rest()
        return this.#change(data.length, (transaction) => transaction.store(oid, serial, data))
      }
      case types.delete: {
        const oid = body.oid()
        const serial = body.tid()
        return this.#change(0, (transaction) => {
          if (transaction.delete === undefined) throw unsupported('delete')
          return transaction.delete(oid, serial)
        })
      }
      case types.readCurrent: {
        const oid = body.oid()
        const serial = body.tid()
        return this.#change(0, (transaction) => transaction.readCurrent(oid, serial))
      }
      case types.undo:
        return this.#undo(request, body.tid())
      case types.vote:
        return this.#vote(request)
      case types.finish:
        return this.#finish(request)
      case types.abort:
        return this.#endTransaction()
      default:
        throw unsupported(`message ${type}`)
    }
  }

  // --- Reading --------------------------------------------------------------------------------------------------------

  #poll(instance: StorageInstance, request: number, question: PollQuestion | undefined): Awaitable<void> {
    const polled = instance.pollInvalidations()
    const answer = (invalidations: Invalidations): Awaitable<void> => {
      if (question !== undefined) return this.#answerPoll(instance, request, invalidations, question)
      const { channel } = this.#host
      const tid = instance.snapshotTid
      this.#host.showing(tid)
      channel.send(types.reply, request, 0, writeSnapshot(channel.fields, tid, invalidations))
    }
    return polled instanceof Promise ? polled.then(answer) : answer(polled)
  }

  /**
   * With what changed since any snapshot. The view's own snapshot is taken and stays; whatever this waits for, no other
   * message of this view is looked at meanwhile.
   */
  #answerPoll(
    instance: StorageInstance,
    request: number,
    invalidations: Invalidations,
    { since, withStates }: PollQuestion,
  ): Awaitable<void> {
    const tid = instance.snapshotTid
    const answer = (changes: readonly ChangedObject[] | 'all'): void => {
      const { channel } = this.#host
      this.#host.showing(tid)
      const sent =
        changes === 'all' ? changes : withStates ? withSmallStates(changes) : withoutStates(changes)
      const pieces = sent === 'all' ? [] : sent.flatMap(({ data }) => data ?? [])
      const fields = writeSnapshotWithChanges(channel.fields, { tid, invalidations, changes: sent })
      channel.send(types.reply, request, 0, fields, pieces)
    }
    if (since === tid) return answer([])
    const describe = (oids: Invalidations): Awaitable<void> => {
      if (oids === 'all' || since === noTid) return answer('all')
      const changes = changesIn(instance, oids, since)
      return changes instanceof Promise ? changes.then(answer) : answer(changes)
    }
    // Also where nothing is asked yet: from here on it can be told.
    const changed = this.#host.changesSince(since, tid)
    return changed instanceof Promise ? changed.then(describe) : describe(changed)
  }

  #renew(instance: StorageInstance, request: number, question: PollQuestion | undefined): Awaitable<void> {
    // Before the snapshot is taken: no commit may fall between.
    this.#host.watch()
    const completed = instance.afterCompletion()
    if (completed instanceof Promise) return completed.then(() => this.#poll(instance, request, question))
    return this.#poll(instance, request, question)
  }

  #load(instance: StorageInstance, request: number, oid: Oid): Awaitable<void> {
    const loaded = instance.load(oid)
    const answer = ({ serial, data }: Revision): void => {
      const { channel } = this.#host
      this.#host.loaded(1)
      const fields = channel.fields.id(instance.snapshotTid).id(serial).take()
      channel.send(types.reply, request, 0, fields, data)
    }
    return loaded instanceof Promise ? loaded.then(answer) : answer(loaded)
  }

  /** In parts, so that the first objects travel while the next are read, and a slow client fills no memory here. */
  async #loadMany(instance: StorageInstance, request: number, oids: readonly Oid[]): Promise<void> {
    const { channel } = this.#host
    for (let from = 0; from < oids.length; from += objectsPerPart) {
      if (channel.queuedBytes > bulkQueuedBytes) await channel.drained()
      if (channel.isClosed) return
      const loading = instance.loadMany(oids.slice(from, from + objectsPerPart))
      const revisions = loading instanceof Promise ? await loading : loading
      const { fields } = channel
      fields.id(instance.snapshotTid).u32(revisions.length)
      const pieces: Uint8Array[] = []
      for (const revision of revisions) {
        fields.id(revision?.serial ?? (0 as Tid)).u32(revision?.data.length ?? absentLength)
        if (revision !== undefined) pieces.push(revision.data)
      }
      this.#host.loaded(pieces.length)
      // A lane of their own keeps the parts and the end in order, also where a part is long.
      channel.send(types.part, request, 0, fields.take(), pieces, request)
      channel.flush()
    }
    channel.send(types.reply, request, 0, nothing, undefined, request)
  }

  #loadBefore(instance: StorageInstance, request: number, oid: Oid, before: Tid): Awaitable<void> {
    const loaded = instance.loadBefore(oid, before)
    const answer = (span: Awaited<typeof loaded>): void => {
      const { channel } = this.#host
      if (span === undefined) {
        channel.send(types.reply, request, 0)
        return
      }
      this.#host.loaded(1)
      this.#host.showing(span.nextSerial ?? span.serial)
      const fields = channel.fields
        .id(span.serial)
        .id(span.nextSerial ?? (0 as Tid))
        .take()
      channel.send(types.reply, request, 0, fields, span.data)
    }
    return loaded instanceof Promise ? loaded.then(answer) : answer(loaded)
  }

  async #history(instance: StorageInstance, request: number, oid: Oid, count: number): Promise<void> {
    if (instance.history === undefined) throw unsupported('history')
    const { channel } = this.#host
    const entries = await instance.history(oid, count)
    if (entries.length > 0) this.#host.showing(entries[0]!.tid)
    channel.send(types.reply, request, 0, writeHistory(channel.fields, entries))
  }

  async #openBlob(instance: StorageInstance, request: number, oid: Oid): Promise<void> {
    if (instance.openBlob === undefined) throw unsupported('openBlob')
    const reader = await instance.openBlob(oid)
    const { channel, blobs } = this.#host
    if (reader === undefined) {
      channel.send(types.reply, request, 0, channel.fields.u8(0).take())
      return
    }
    const number = await blobs.keep(reader, this.number)
    const { fields } = channel
    channel.send(types.reply, request, 0, fields.u8(1).id(reader.serial).f64(reader.bytes).u32(number).take())
  }

  async #verify(instance: StorageInstance, request: number, kept: readonly Kept[]): Promise<void> {
    if (kept.length > verifiedMax)
      throw new ShootoutError('limit', `at most ${verifiedMax} revisions in one request`)
    const stale = await staleOf(instance, kept)
    const { fields } = this.#host.channel
    fields.id(instance.snapshotTid)
    for (const oid of stale) fields.id(oid)
    this.#host.channel.send(types.reply, request, 0, fields.take())
  }

  // --- Writing --------------------------------------------------------------------------------------------------------

  async #newOids(instance: StorageInstance, request: number, count: number): Promise<void> {
    if (count > newOidsMax)
      throw new ShootoutError('limit', `at most ${newOidsMax} object ids in one request`)
    const oids = await instance.newOids(count)
    const { channel } = this.#host
    for (const oid of oids) channel.fields.id(oid)
    channel.send(types.reply, request, 0, channel.fields.take())
  }

  #begin(instance: StorageInstance, body: BodyReader): void | Promise<void> {
    const number = body.tid()
    const metadata = readMetadata(body)
    const begin = (): void => {
      const transaction = new ServedTransaction(number, this.#host.commitsOf(this))
      this.#transaction = transaction
      try {
        if (!this.#host.begin(this, number))
          throw new StorageTransactionError('begin: given up by its client')
        transaction.begin(instance, metadata)
      } catch (error) {
        transaction.fail(error)
      }
    }
    if (this.#transaction === undefined || this.#transaction.isEnded) return begin()
    return this.#endTransaction().then(begin)
  }

  #change(bytes: number, call: (transaction: Transaction) => Awaitable<void>): Awaitable<void> {
    return this.#transaction?.change(bytes, this.#host.limits.transactionBytesMax, call)
  }

  async #storeBlob(request: number, body: BodyReader): Promise<void> {
    const { blobs, channel, limits } = this.#host
    const oid = body.oid()
    const serial = body.tid()
    const data = body.rest()
    try {
      await this.#current('storeBlob').storeBlob(data.length, limits.transactionBytesMax, (transaction) => {
        if (transaction.storeBlob === undefined) throw unsupported('storeBlob')
        return transaction.storeBlob(oid, serial, data, blobs.arriving(request).chunks())
      })
      channel.send(types.reply, request, 0)
    } finally {
      blobs.arrived(request)
    }
  }

  async #undo(request: number, tid: Tid): Promise<void> {
    const oids = await this.#current('undo').undo(tid)
    this.#sendOids(request, oids)
  }

  #vote(request: number): Awaitable<void> {
    const transaction = this.#current('vote')
    const voting = transaction.vote()
    const answer = (resolved: readonly Oid[]): void => {
      if (transaction.isVoted) this.#stopHolding = this.#host.holding()
      this.#sendOids(request, resolved)
    }
    return voting instanceof Promise ? voting.then(answer) : answer(voting)
  }

  #finish(request: number): Awaitable<void> {
    const transaction = this.#current('finish')
    this.#letGo()
    return transaction.finish(request)
  }

  async #endTransaction(): Promise<void> {
    this.#letGo()
    try {
      await this.#transaction?.abort()
    } catch (error) {
      // Nobody waits for an abort; whoever operates the server should know.
      this.#host.fail(0, error)
    }
  }

  async #release(instance: StorageInstance): Promise<void> {
    this.#isReleased = true
    await this.#endTransaction()
    await instance.release()
    this.#host.blobs.released(this.number)
  }

  #letGo(): void {
    this.#stopHolding?.()
    this.#stopHolding = undefined
  }

  #current(call: string): ServedTransaction {
    if (this.#transaction === undefined)
      throw new StorageTransactionError(`${call}: no transaction has begun`)
    return this.#transaction
  }

  #sendOids(request: number, oids: readonly Oid[]): void {
    const { channel } = this.#host
    for (const oid of oids) channel.fields.id(oid)
    channel.send(types.reply, request, 0, channel.fields.take())
  }
}

/** Revisions in one request to verify them. */
export const verifiedMax = 1024

/** States that travel with the notice of their change, each and all together. */
const stateBytesMax = 4096
const statesBytesMax = 256 * 1024

function withoutStates(changes: readonly ChangedObject[]): ChangedObject[] {
  return changes.map(({ oid, serial }) => ({ oid, serial, data: undefined }))
}

function withSmallStates(changes: readonly ChangedObject[]): ChangedObject[] {
  let bytesLeft = statesBytesMax
  return changes.map(({ oid, serial, data }) => {
    if (data === undefined || data.length > Math.min(stateBytesMax, bytesLeft)) {
      return { oid, serial, data: undefined }
    }
    bytesLeft -= data.length
    return { oid, serial, data }
  })
}

/** Object ids in one request. */
export const newOidsMax = 100_000

function unsupported(what: string): ShootoutError {
  return new ShootoutError('unsupported', `${what}: the served storage does not have it`)
}
