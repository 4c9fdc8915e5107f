/**
 * What one client asks about the store as a whole, in the server: emptying, iterating, restoring, packing. None of it
 * belongs to a view; iterations and packs end with the connection.
 */

import { ClosedError, ReadOnlyError, ShootoutError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { Storage, TransactionRecord } from '../storage.ts'
import type { BodyReader } from './body.ts'
import type { Channel } from './channel.ts'
import type { ServerLimits } from './limits.ts'
import { dataOf, readTransaction, writeTransaction } from './messages.ts'
import { types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'
import type { ServedBlobs } from './served-blobs.ts'
import { ServedPack } from './served-pack.ts'

/** What these requests ask of their connection. */
export interface StoreHost {
  readonly storage: Storage
  readonly channel: Channel
  readonly limits: ServerLimits
  readonly isReadOnly: boolean
  readonly blobs: ServedBlobs
  /** A transaction was restored. */
  restored(): void
  zapped(): void
}

interface Iteration {
  readonly steps: AsyncIterator<TransactionRecord>
  /** The newest one that the client has been given; its blobs can be read until the next. */
  last: TransactionRecord | undefined
  /** Blobs of it that are being read. */
  readonly reading: Set<number>
}

/** Bytes of transactions that one step of an iteration answers with, roughly. */
const iterationStepBytes = 256 * 1024

export class StoreRequests {
  readonly #host: StoreHost
  readonly #iterations = new Map<number, Iteration>()
  readonly #packs = new Map<number, ServedPack>()
  #lastIteration = 0

  constructor(host: StoreHost) {
    this.#host = host
  }

  carryOut(type: number, id: number, body: BodyReader): void | Promise<void> {
    switch (type) {
      case types.zap:
        return this.#zap(id)
      case types.iterate:
        return this.#iterate(id, body.tid(), body.tid())
      case types.iterateNext:
        return this.#iterateNext(id, body.u32())
      case types.iterateEnd:
        return this.#iterateEnd(body.u32())
      case types.recordedBlob:
        return this.#recordedBlob(id, body.u32(), body.u32())
      case types.recordedEnd:
        return this.#host.blobs.closeRecorded(body.u32())
      case types.restore:
        return this.#restore(id, body)
      case types.pack:
        return this.#pack(id, body)
      case types.references:
        return this.#packs.get(body.u32())?.answered(body)
      case types.cancel:
        return this.#packs.get(body.u32())?.cancel()
      default:
        throw new ProtocolError(`message type ${type} is unknown`)
    }
  }

  /** The connection is gone. */
  async end(): Promise<void> {
    for (const pack of this.#packs.values()) pack.cancel()
    for (const number of [...this.#iterations.keys()]) await this.#iterateEnd(number)
  }

  async #zap(id: number): Promise<void> {
    this.#checkWritable()
    await this.#host.storage.zap()
    this.#host.zapped()
    this.#host.channel.send(types.reply, id, 0)
  }

  #iterate(id: number, from: Tid, to: Tid): void {
    const { storage, channel, limits } = this.#host
    if (storage.iterate === undefined) throw unsupported('iterate')
    if (this.#iterations.size >= limits.iterationsMax) {
      throw new ShootoutError('limit', `more than ${limits.iterationsMax} iterations at once; end some`)
    }
    const number = ++this.#lastIteration
    const steps = storage.iterate(from, to)[Symbol.asyncIterator]()
    this.#iterations.set(number, { steps, last: undefined, reading: new Set() })
    channel.send(types.reply, id, 0, channel.fields.u32(number).take())
  }

  async #iterateNext(id: number, number: number): Promise<void> {
    const iteration = this.#iterations.get(number)
    if (iteration === undefined) throw new ProtocolError(`there is no iteration ${number}`)
    await this.#endReading(iteration)
    const found: TransactionRecord[] = []
    let bytes = 0
    while (bytes < iterationStepBytes && found.length < 1000) {
      const next = await iteration.steps.next()
      if (next.done === true) break
      found.push(next.value)
      for (const data of dataOf(next.value)) bytes += data.length
      // Blobs can be read until the iterator is asked for the next transaction: that is for the client to say.
      if (next.value.records.some(({ blob }) => blob !== undefined)) break
    }
    iteration.last = found.at(-1)
    if (found.length === 0) this.#iterations.delete(number)
    const { channel } = this.#host
    const { fields } = channel
    fields.u32(found.length)
    for (const transaction of found) writeTransaction(fields, transaction)
    channel.send(types.reply, id, 0, fields.take(), found.flatMap(dataOf))
  }

  async #iterateEnd(number: number): Promise<void> {
    const iteration = this.#iterations.get(number)
    this.#iterations.delete(number)
    if (iteration === undefined) return
    await this.#endReading(iteration)
    await iteration.steps.return?.()
  }

  #recordedBlob(id: number, number: number, index: number): void {
    const iteration = this.#iterations.get(number)
    const blob = iteration?.last?.records[index]?.blob
    if (iteration === undefined || blob === undefined) throw new ClosedError('the recorded blob')
    const { channel, blobs } = this.#host
    const reading = blobs.openRecorded(blob)
    iteration.reading.add(reading)
    channel.send(types.reply, id, 0, channel.fields.u32(reading).take())
  }

  async #endReading({ reading }: Iteration): Promise<void> {
    for (const number of reading) await this.#host.blobs.closeRecorded(number)
    reading.clear()
  }

  async #restore(id: number, body: BodyReader): Promise<void> {
    this.#checkWritable()
    const { storage, channel } = this.#host
    if (storage.restore === undefined) throw unsupported('restore')
    const transaction = readTransaction(body, (index) => this.#host.blobs.askFor(id, index))()
    body.end()
    await storage.restore(transaction)
    this.#host.restored()
    channel.send(types.reply, id, 0)
  }

  async #pack(id: number, body: BodyReader): Promise<void> {
    this.#checkWritable()
    const { storage, channel, limits } = this.#host
    if (storage.pack === undefined) throw unsupported('pack')
    const before = body.tid()
    const collects = body.u8() === 1
    if (this.#packs.size >= limits.packsMax) {
      throw new ShootoutError('limit', `more than ${limits.packsMax} packs at once; wait for the others`)
    }
    const pack = new ServedPack(id, storage, channel)
    this.#packs.set(id, pack)
    try {
      const result = await pack.run(before, collects)
      const { fields } = channel
      fields.f64(result.removedRevisions).f64(result.removedObjects)
      channel.send(types.reply, id, 0, fields.f64(result.bytesBefore).f64(result.bytesAfter).take())
    } finally {
      this.#packs.delete(id)
    }
  }

  #checkWritable(): void {
    if (this.#host.isReadOnly) throw new ReadOnlyError('the storage')
  }
}

function unsupported(what: string): ShootoutError {
  return new ShootoutError('unsupported', `${what}: the served storage does not have it`)
}
