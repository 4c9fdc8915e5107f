/**
 * One client instance, as the server has it: an instance of the served storage, with its own snapshot. Whatever a
 * client loads is evaluated in this very snapshot, so its consistency is that of the served storage.
 *
 * Messages about a view take effect one after the other, in the order in which they were sent. Here are the order and
 * the transaction; `served-reads.ts` has what is read.
 */

import { ShootoutError, StorageTransactionError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, StorageInstance, Transaction } from '../storage.ts'
import { BodyReader } from './body.ts'
import { readKept, readLoad, readMetadata, readPollQuestion, readPrefetch } from './messages.ts'
import { types } from './protocol.ts'
import { ServedReads } from './served-reads.ts'
import { type ObjectChange, ServedTransaction } from './served-transaction.ts'
import { Turns } from './turns.ts'
import { unsupported, type ViewHost } from './view-host.ts'

const nothing = new Uint8Array(0)

export class ServedView {
  readonly number: number
  readonly #host: ViewHost
  readonly #reads: ServedReads
  readonly #turns = new Turns()
  #instance: StorageInstance | undefined
  #transaction: ServedTransaction | undefined
  #stopHolding: (() => void) | undefined
  /** Requests to finish that have arrived and wait for their turn. */
  #finishing = 0
  #isReleased = false

  constructor(number: number, host: ViewHost) {
    this.number = number
    this.#host = host
    this.#reads = new ServedReads(number, host, (step) => this.#turns.run(step))
  }

  /** The answer to this request is not wanted any more. */
  cancel(request: number): void {
    this.#reads.cancel(request)
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
    if (type === types.finish) this.#finishing++
    const since = this.#host.now()
    this.#host.waits(body.length)
    this.#turns.run(() => this.#inTurn(type, request, body, since))
  }

  /** The client is gone, or has given the transaction up. */
  async abandon(): Promise<void> {
    await this.#endTransaction()
  }

  release(): void {
    this.handle(types.release, 0, nothing)
  }

  /** Who does not read its answers gets no more of them, also where the question has arrived already. */
  #inTurn(type: number, request: number, body: Uint8Array, since: number): void | Promise<void> {
    const { channel, limits } = this.#host
    this.#host.waits(-body.length)
    if (type === types.finish) this.#finishing--
    if (channel.queuedBytes <= limits.outputBytesMax) return this.#guard(type, request, body, since)
    return channel.drained().then(() => this.#guard(type, request, body, since))
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
        return this.#reads.poll(instance, request, readPollQuestion(body))
      case types.renew:
        return this.#reads.renew(instance, request, readPollQuestion(body))
      case types.complete:
        this.#reads.endAhead()
        return instance.afterCompletion()
      case types.release:
        return this.#release(instance)
      case types.load: {
        const { oid, along } = readLoad(body)
        return this.#reads.load(instance, request, oid, along)
      }
      case types.prefetch: {
        const { bytes, oids } = readPrefetch(body)
        return this.#reads.prefetch(instance, request, bytes, oids)
      }
      case types.loadMany:
        return this.#reads.loadMany(instance, request, body.oids())
      case types.loadBefore:
        return this.#reads.loadBefore(instance, request, body.oid(), body.tid())
      case types.newOids:
        return this.#newOids(instance, request, body.u32())
      case types.history:
        return this.#reads.history(instance, request, body.oid(), body.u32())
      case types.openBlob:
        return this.#reads.openBlob(instance, request, body.oid())
      case types.verify:
        return this.#reads.verify(instance, request, readKept(body))
      case types.begin:
        return this.#begin(instance, body)
      case types.storeBlob:
        return this.#storeBlob(request, body)
      case types.store: {
        const oid = body.oid()
        const serial = body.tid()
        const data = body.rest()
        return this.#change({ oid, bytes: data.length }, (transaction) =>
          transaction.store(oid, serial, data),
        )
      }
      case types.delete: {
        const oid = body.oid()
        const serial = body.tid()
        return this.#change({ oid, bytes: 0 }, (transaction) => {
          if (transaction.delete === undefined) throw unsupported('delete')
          return transaction.delete(oid, serial)
        })
      }
      case types.readCurrent: {
        const oid = body.oid()
        const serial = body.tid()
        return this.#change({ oid, isRead: true, bytes: 0 }, (transaction) =>
          transaction.readCurrent(oid, serial),
        )
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

  // --- Writing --------------------------------------------------------------------------------------------------------

  async #newOids(instance: StorageInstance, request: number, count: number): Promise<void> {
    if (count > newOidsMax)
      throw new ShootoutError('limit', `at most ${newOidsMax} object ids in one request`)
    const oids = await instance.newOids(count)
    this.#host.channel.send(types.reply, request, 0, this.#oids(oids))
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

  #change(change: ObjectChange, call: (transaction: Transaction) => Awaitable<void>): Awaitable<void> {
    return this.#transaction?.change(change, this.#host.limits.transactionBytesMax, call)
  }

  async #storeBlob(request: number, body: BodyReader): Promise<void> {
    const { blobs, channel, limits } = this.#host
    const oid = body.oid()
    const serial = body.tid()
    const data = body.rest()
    try {
      await this.#current('storeBlob').storeBlob(
        { oid, bytes: data.length },
        limits.transactionBytesMax,
        (transaction) => {
          if (transaction.storeBlob === undefined) throw unsupported('storeBlob')
          return transaction.storeBlob(oid, serial, data, blobs.arriving(request).chunks())
        },
      )
      channel.send(types.reply, request, 0)
    } finally {
      blobs.arrived(request)
    }
  }

  async #undo(request: number, tid: Tid): Promise<void> {
    const oids = await this.#current('undo').undo(tid)
    this.#host.channel.send(types.reply, request, 0, this.#oids(oids))
  }

  #vote(request: number): Awaitable<void> {
    const transaction = this.#current('vote')
    const voting = transaction.vote()
    const answer = (resolved: readonly Oid[]): void => {
      if (transaction.isVoted) this.#stopHolding = this.#host.holding()
      const { channel } = this.#host
      // Who has asked to finish already is woken once, by the answer to that.
      if (this.#finishing > 0) channel.gather(types.reply, request, 0, this.#oids(resolved))
      else channel.send(types.reply, request, 0, this.#oids(resolved))
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
    this.#reads.endAhead()
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

  #oids(oids: readonly Oid[]): Uint8Array {
    const { fields } = this.#host.channel
    for (const oid of oids) fields.id(oid)
    return fields.take()
  }
}

/** Object ids in one request. */
const newOidsMax = 100_000
