/**
 * Blobs of one client, in the server: those that arrive piece by piece, under credits, so that no more than a window of
 * each is ever in memory; and those that the client reads, a request for each piece. All end with the connection.
 */

import { ClosedError, ShootoutError } from '../../core/errors.ts'
import type { BlobReader, RecordedBlob } from '../storage.ts'
import type { BodyReader } from './body.ts'
import type { Channel } from './channel.ts'
import type { ServerLimits } from './limits.ts'
import { blobWindowBytes, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'
import { Turns } from './turns.ts'

/** What blobs ask of their connection. */
export interface BlobHost {
  readonly channel: Channel
  readonly limits: ServerLimits
  fail(request: number, error: unknown): void
}

/** Longest piece that one request may ask for. */
const pieceBytesMax = 1024 * 1024
/** Pieces are read when less than this is waiting to be sent. */
const queuedBytesMax = 1024 * 1024

/** A blob on its way here. */
export class Arriving {
  readonly #credit: (bytes: number) => void
  #chunks: Uint8Array[] = []
  #bytes = 0
  #isWhole = false
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  /** @param credit tells the client that it may send so many bytes more */
  constructor(credit: (bytes: number) => void) {
    this.#credit = credit
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes > blobWindowBytes) throw new ProtocolError('more of a blob than its credit allows')
    this.#chunks.push(chunk)
    this.#wake?.()
  }

  end(): void {
    this.#isWhole = true
    this.#wake?.()
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake?.()
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        yield chunk
        // Whoever asks for the next one has taken care of this one.
        this.#bytes -= chunk.length
        this.#credit(chunk.length)
      } else if (this.#isWhole) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}

export class ServedBlobs {
  readonly #host: BlobHost
  /** By the request that announced them. */
  readonly #arriving = new Map<number, Arriving>()
  readonly #readers = new Map<number, { readonly reader: BlobReader; readonly view: number }>()
  readonly #recorded = new Map<number, AsyncIterator<Uint8Array>>()
  readonly #reads = new Turns()
  #lastNumber = 0

  constructor(host: BlobHost) {
    this.#host = host
  }

  carryOut(type: number, id: number, body: BodyReader): void | Promise<void> {
    switch (type) {
      case types.blobChunk:
        // What is not known here has ended early; its last chunks were under way.
        this.#arriving.get(body.u32())?.push(body.rest())
        return
      case types.blobEnd:
        this.#arriving.get(body.u32())?.end()
        return
      case types.blobFailed:
        this.#arriving
          .get(body.u32())
          ?.fail(new ShootoutError('blob-source', 'the source of a blob has failed'))
        return
      case types.readBlob:
        return this.#read(id, body.u32(), body.f64(), body.u32())
      case types.closeBlob:
        return this.#close(body.u32())
      case types.recordedNext:
        return this.#recordedNext(id, body.u32())
      default:
        throw new ProtocolError(`message type ${type} is unknown`)
    }
  }

  // --- Arriving -------------------------------------------------------------------------------------------------------

  /** A blob will follow under the number of this request. */
  expect(request: number): void {
    if (this.#arriving.size >= this.#host.limits.blobsArrivingMax)
      throw new ProtocolError('too many blobs at once')
    this.#arriving.set(request, new Arriving((bytes) => this.#sendCredit(request, bytes)))
  }

  /** @throws ClosedError when the connection has ended since it was announced */
  arriving(request: number): Arriving {
    const blob = this.#arriving.get(request)
    if (blob === undefined) throw new ClosedError('the connection')
    return blob
  }

  arrived(request: number): void {
    this.#arriving.delete(request)
  }

  /** The client is asked for blob `index` of the transaction that `request` restores, and again for each reading. */
  async *askFor(request: number, index: number): AsyncGenerator<Uint8Array> {
    if (this.#arriving.size >= this.#host.limits.blobsArrivingMax)
      throw new ProtocolError('too many blobs at once')
    // Requests count from 1 upwards; these from the other end.
    const number = 0xffff_ffff - ++this.#lastNumber
    const blob = new Arriving((bytes) => this.#part(request, number, bytes))
    this.#arriving.set(number, blob)
    try {
      const { channel } = this.#host
      channel.send(types.part, request, 0, channel.fields.u32(number).u32(0).u32(index).take())
      yield* blob.chunks()
    } finally {
      this.#arriving.delete(number)
    }
  }

  #sendCredit(request: number, bytes: number): void {
    const { channel } = this.#host
    channel.send(types.part, request, 0, channel.fields.u32(bytes).take())
  }

  #part(request: number, number: number, bytes: number): void {
    const { channel } = this.#host
    channel.send(types.part, request, 0, channel.fields.u32(number).u32(bytes).take())
  }

  // --- Being read -----------------------------------------------------------------------------------------------------

  /** @throws ShootoutError `limit`, with the reader closed */
  async keep(reader: BlobReader, view: number): Promise<number> {
    const { blobReadersMax } = this.#host.limits
    if (this.#readers.size >= blobReadersMax) {
      await reader.close()
      throw new ShootoutError('limit', `more than ${blobReadersMax} blobs are open; close some`)
    }
    const number = ++this.#lastNumber
    this.#readers.set(number, { reader, view })
    return number
  }

  get openCount(): number {
    return this.#readers.size
  }

  #read(id: number, number: number, position: number, length: number): void {
    if (length > pieceBytesMax) throw new ProtocolError(`a piece of ${length} bytes is beyond the limit`)
    if (!(position >= 0)) throw new ProtocolError('a blob is read from before its beginning')
    this.#reads.run(async () => {
      const { channel } = this.#host
      try {
        if (channel.queuedBytes > queuedBytesMax) await channel.drained()
        const kept = this.#readers.get(number)
        if (kept === undefined) throw new ClosedError('the blob reader')
        const piece = await kept.reader.read(position, length)
        channel.send(types.reply, id, 0, undefined, piece)
      } catch (error) {
        this.#host.fail(id, error)
      }
    })
  }

  async #close(number: number): Promise<void> {
    const kept = this.#readers.get(number)
    this.#readers.delete(number)
    await kept?.reader.close()
  }

  /** The storage has closed the readers of this view. */
  released(view: number): void {
    for (const [number, kept] of this.#readers) if (kept.view === view) this.#readers.delete(number)
  }

  /** @returns the number under which the client asks for one chunk after the other */
  openRecorded(blob: RecordedBlob): number {
    if (this.#recorded.size >= this.#host.limits.blobReadersMax) {
      throw new ShootoutError(
        'limit',
        `more than ${this.#host.limits.blobReadersMax} recorded blobs are being read; read some to their end`,
      )
    }
    const number = ++this.#lastNumber
    this.#recorded.set(number, blob.chunks()[Symbol.asyncIterator]())
    return number
  }

  async closeRecorded(number: number): Promise<void> {
    const chunks = this.#recorded.get(number)
    this.#recorded.delete(number)
    await chunks?.return?.()
  }

  async #recordedNext(id: number, number: number): Promise<void> {
    const chunks = this.#recorded.get(number)
    if (chunks === undefined) throw new ClosedError('the recorded blob')
    let next = await chunks.next()
    while (next.done !== true && next.value.length === 0) next = await chunks.next()
    if (next.done === true) this.#recorded.delete(number)
    // Nothing is the end.
    this.#host.channel.send(types.reply, id, 0, undefined, next.done === true ? undefined : next.value)
  }

  // --- The end --------------------------------------------------------------------------------------------------------

  async end(): Promise<void> {
    for (const blob of this.#arriving.values()) blob.fail(new ClosedError('the connection'))
    this.#arriving.clear()
    for (const number of [...this.#recorded.keys()]) await this.closeRecorded(number)
    for (const number of [...this.#readers.keys()]) await this.#close(number)
  }
}
