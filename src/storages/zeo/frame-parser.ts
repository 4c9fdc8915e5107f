/**
 * Bytes off the wire → messages, wherever the wire cut them.
 *
 * Each body is copied once, into memory of exactly its size which is never used again: so its parts can be handed on
 * as they are. Memory for a body is only taken after its announced size has passed the limits. A violation throws
 * ProtocolError; after that the parser must not be fed again.
 */

import { readU32 } from './body.ts'
import { frameBytesMax, headerBytes, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

export type OnMessage = (type: number, id: number, view: number, body: Uint8Array) => void

export interface ParserLimits {
  /** Longest body of one message. */
  readonly messageBytesMax: number
  /** Bytes of all long messages under way together. */
  readonly assemblyBytesMax: number
  /** Long messages under way. */
  readonly streamsMax: number
}

/** A long message of which chunks are missing. */
interface Stream {
  readonly type: number
  readonly id: number
  readonly view: number
  readonly body: Uint8Array
  filled: number
}

/** Bodies up to this size share memory slabs; a system allocation each would cost more than copying them. */
const sharedBytesMax = 2048
const slabBytes = 16 * 1024
const empty = new Uint8Array(0)

export class FrameParser {
  readonly #onMessage: OnMessage
  readonly #streams = new Map<number, Stream>()
  #limits: ParserLimits
  #assemblyBytes = 0
  readonly #header = new Uint8Array(headerBytes)
  #headerFilled = 0
  #type = 0
  #id = 0
  #view = 0
  /** Where the body under way goes; undefined between frames. */
  #target: Uint8Array | undefined
  #position = 0
  #missing = 0
  #slab = new ArrayBuffer(slabBytes)
  #slabUsed = 0
  #stopped = false
  #isHeld = false

  constructor(limits: ParserLimits, onMessage: OnMessage) {
    this.#limits = limits
    this.#onMessage = onMessage
  }

  /** Other limits from the next frame on: a peer that has proven itself may say more. */
  set limits(limits: ParserLimits) {
    this.#limits = limits
  }

  /** Bytes of long messages under way. */
  get assemblyBytes(): number {
    return this.#assemblyBytes
  }

  /** Nothing more is delivered, not even from the chunk being parsed. */
  stop(): void {
    this.#stopped = true
    this.#streams.clear()
  }

  /** After the message being delivered, `push` returns before it has read everything, until released. */
  set isHeld(isHeld: boolean) {
    this.#isHeld = isHeld
  }

  /**
   * @param chunk only read during the call
   * @returns how many of its bytes were read: all of them, unless held
   * @throws ProtocolError
   */
  push(chunk: Uint8Array): number {
    let at = 0
    while (at < chunk.length && !this.#stopped && !this.#isHeld) {
      if (this.#target === undefined) {
        const missing = headerBytes - this.#headerFilled
        if (missing === headerBytes && chunk.length - at >= headerBytes) {
          this.#open(chunk, at)
          at += headerBytes
          continue
        }
        const taken = Math.min(missing, chunk.length - at)
        this.#header.set(chunk.subarray(at, at + taken), this.#headerFilled)
        this.#headerFilled += taken
        at += taken
        if (this.#headerFilled < headerBytes) return at
        this.#headerFilled = 0
        this.#open(this.#header, 0)
      } else {
        const taken = Math.min(this.#missing, chunk.length - at)
        this.#target.set(taken === chunk.length ? chunk : chunk.subarray(at, at + taken), this.#position)
        this.#position += taken
        this.#missing -= taken
        at += taken
        if (this.#missing === 0) this.#close()
      }
    }
    return at
  }

  #open(bytes: Uint8Array, at: number): void {
    const length = readU32(bytes, at)
    const type = bytes[at + 4]!
    if (bytes[at + 5] !== 0 || bytes[at + 6] !== 0 || bytes[at + 7] !== 0) {
      throw new ProtocolError('a header has bits that must be zero')
    }
    if (length > frameBytesMax || length > this.#limits.messageBytesMax) {
      throw new ProtocolError(`a frame of ${length} bytes is beyond the limit`)
    }
    this.#type = type
    this.#id = readU32(bytes, at + 8)
    this.#view = readU32(bytes, at + 12)
    this.#missing = length
    if (type === types.chunk) {
      const stream = this.#streams.get(this.#id)
      if (stream === undefined) throw new ProtocolError(`a chunk of stream ${this.#id}, which is not open`)
      if (length === 0 || length > stream.body.length - stream.filled) {
        throw new ProtocolError(`a chunk of ${length} bytes does not fit its message`)
      }
      this.#target = stream.body
      this.#position = stream.filled
      stream.filled += length
    } else {
      this.#target = this.#allocate(length)
      this.#position = 0
    }
    if (length === 0) this.#close()
  }

  #close(): void {
    const body = this.#target ?? empty
    this.#target = undefined
    if (this.#type === types.chunk) {
      const stream = this.#streams.get(this.#id)!
      if (stream.filled < stream.body.length) return
      this.#streams.delete(this.#id)
      this.#assemblyBytes -= stream.body.length
      this.#onMessage(stream.type, stream.id, stream.view, stream.body)
    } else if (this.#type === types.long) {
      this.#openStream(body)
    } else {
      this.#onMessage(this.#type, this.#id, this.#view, body)
    }
  }

  #openStream(inner: Uint8Array): void {
    if (inner.length !== headerBytes) throw new ProtocolError('a long message without its header')
    const length = readU32(inner, 0)
    const { messageBytesMax, assemblyBytesMax, streamsMax } = this.#limits
    if (length <= frameBytesMax) throw new ProtocolError(`${length} bytes are no long message`)
    if (length > messageBytesMax || this.#assemblyBytes + length > assemblyBytesMax) {
      throw new ProtocolError(`a message of ${length} bytes is beyond the limit`)
    }
    if (this.#streams.size >= streamsMax || this.#streams.has(this.#id)) {
      throw new ProtocolError(`stream ${this.#id} cannot be opened: it is open, or there are too many`)
    }
    this.#assemblyBytes += length
    this.#streams.set(this.#id, {
      type: inner[4]!,
      id: readU32(inner, 8),
      view: readU32(inner, 12),
      body: new Uint8Array(Buffer.allocUnsafeSlow(length).buffer),
      filled: 0,
    })
  }

  #allocate(length: number): Uint8Array {
    if (length === 0) return empty
    if (length > sharedBytesMax) return new Uint8Array(length)
    if (this.#slabUsed + length > slabBytes) {
      this.#slab = new ArrayBuffer(slabBytes)
      this.#slabUsed = 0
    }
    const bytes = new Uint8Array(this.#slab, this.#slabUsed, length)
    this.#slabUsed += length
    return bytes
  }
}
