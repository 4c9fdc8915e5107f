/**
 * Messages → bytes on the wire.
 *
 * Messages gather until `flush`, so that what belongs together travels in one segment. Short bodies are copied behind
 * their header into a slab; long ones are handed to the wire as they are. What does not fit a frame is cut into chunks,
 * which go out only as fast as the wire takes them, so a small message waits behind one chunk at most.
 *
 * Messages of one *lane* stay in order even when one of them is long. Lane 0 has no order beyond that of `send`.
 *
 * What is sent *behind* waits until nothing else does and the wire is nearly empty. It is in order among itself only.
 */

import { writeU32 } from './body.ts'
import { frameBytesMax, headerBytes, types } from './protocol.ts'
import type { Wire } from './wire.ts'

type Payload = Uint8Array | readonly Uint8Array[] | undefined

/** Payloads up to this size are cheaper to copy than to hand over. */
const copiedBytesMax = 8 * 1024
const slabBytes = 64 * 1024
/** Chunks go out while less than this is waiting in the wire. */
const wireBytesWanted = 2 * frameBytesMax

/** What is sent behind goes out while less than this is waiting in the wire: as long as anything else waits for it. */
const behindBytesWanted = 64 * 1024

interface Behind extends Waiting {
  readonly lane: number
}

interface Waiting {
  readonly type: number
  readonly id: number
  readonly view: number
  readonly fields: Uint8Array
  readonly payload: readonly Uint8Array[]
}

/** A long message being sent. */
interface Stream {
  readonly number: number
  readonly lane: number
  readonly pieces: readonly Uint8Array[]
  piece: number
  /** Bytes of `pieces[piece]` that have been sent. */
  offset: number
  left: number
}

export class Outbox {
  readonly #wire: Wire
  #pieces: Uint8Array[] = []
  #slab = new Uint8Array(slabBytes)
  #sealed = 0
  #used = 0
  #gatheredBytes = 0
  #streams: Stream[] = []
  #lastStream = 0
  /** What waits for the long message before it in its lane. */
  readonly #lanes = new Map<number, Waiting[]>()
  #laneBytes = 0
  #behind: Behind[] = []
  #behindBytes = 0
  bytesWritten = 0

  constructor(wire: Wire) {
    this.#wire = wire
  }

  /** Bytes that have not left yet. */
  get queuedBytes(): number {
    let bytes = this.#wire.queuedBytes + this.#gatheredBytes + this.#laneBytes + this.#behindBytes
    for (const stream of this.#streams) bytes += stream.left
    return bytes
  }

  /** Bytes that the next `flush` will write, chunks aside. */
  get gatheredBytes(): number {
    return this.#gatheredBytes
  }

  get isSendingLong(): boolean {
    return this.#streams.length > 0
  }

  /**
   * @param fields copied @param payload follows the fields; not copied when long, so it must not change any more
   * @param lane messages of a lane other than 0 never overtake each other
   */
  send(type: number, id: number, view: number, fields: Uint8Array, payload: Payload, lane: number): void {
    const waiting = lane === 0 ? undefined : this.#lanes.get(lane)
    if (waiting === undefined) {
      this.#send(type, id, view, fields, payload, lane)
      return
    }
    const pieces = asList(payload)
    waiting.push({ type, id, view, fields: fields.slice(), payload: pieces })
    this.#laneBytes += lengthOf(fields, pieces)
  }

  /** As `send`, when nothing else is left to be sent. */
  sendBehind(
    type: number,
    id: number,
    view: number,
    fields: Uint8Array,
    payload: Payload,
    lane: number,
  ): void {
    const pieces = asList(payload)
    this.#behind.push({ type, id, view, fields: fields.slice(), payload: pieces, lane })
    this.#behindBytes += lengthOf(fields, pieces)
  }

  #send(type: number, id: number, view: number, fields: Uint8Array, payload: Payload, lane: number): void {
    let length = fields.length
    if (payload instanceof Uint8Array) length += payload.length
    else if (payload !== undefined) for (const piece of payload) length += piece.length
    if (length > frameBytesMax) {
      this.#startStream(type, id, view, length, [fields.slice(), ...asList(payload)], lane)
      return
    }
    this.#header(length, type, id, view)
    this.#copy(fields)
    if (payload instanceof Uint8Array) this.#append(payload)
    else if (payload !== undefined) for (const piece of payload) this.#append(piece)
  }

  /** Hands everything gathered to the wire. */
  flush(): void {
    this.#write()
    if (this.#streams.length > 0) this.#pump()
    while (this.#mayGoBehind) {
      while (this.#mayGoBehind && this.#gatheredBytes < behindBytesWanted) {
        const { type, id, view, fields, payload, lane } = this.#behind.shift()!
        this.#behindBytes -= lengthOf(fields, payload)
        this.send(type, id, view, fields, payload, lane)
      }
      this.#write()
      if (this.#streams.length > 0) this.#pump()
    }
  }

  get #mayGoBehind(): boolean {
    if (this.#behind.length === 0 || this.#streams.length > 0) return false
    return this.#wire.queuedBytes < behindBytesWanted
  }

  #write(): void {
    this.#seal()
    if (this.#pieces.length === 0) return
    const pieces = this.#pieces
    this.#pieces = []
    this.bytesWritten += this.#gatheredBytes
    this.#gatheredBytes = 0
    this.#wire.write(pieces)
  }

  #pump(): void {
    while (this.#streams.length > 0 && this.#wire.queuedBytes < wireBytesWanted) {
      const stream = this.#streams.shift()!
      this.#chunk(stream)
      if (stream.left > 0) this.#streams.push(stream)
      else if (stream.lane !== 0) this.#openLane(stream.lane)
      this.#write()
    }
  }

  #startStream(
    type: number,
    id: number,
    view: number,
    length: number,
    pieces: readonly Uint8Array[],
    lane: number,
  ): void {
    const number = ++this.#lastStream
    this.#header(headerBytes, types.long, number, 0)
    this.#header(length, type, id, view)
    this.#streams.push({ number, lane, pieces, piece: 0, offset: 0, left: length })
    if (lane !== 0) this.#lanes.set(lane, [])
  }

  #chunk(stream: Stream): void {
    let room = Math.min(stream.left, frameBytesMax)
    this.#header(room, types.chunk, stream.number, 0)
    stream.left -= room
    while (room > 0) {
      const piece = stream.pieces[stream.piece]!
      const taken = Math.min(room, piece.length - stream.offset)
      if (taken > 0) this.#append(piece.subarray(stream.offset, stream.offset + taken))
      room -= taken
      stream.offset += taken
      if (stream.offset < piece.length) continue
      stream.piece++
      stream.offset = 0
    }
  }

  /** The long message is out: what waited behind it follows, up to the next long one. */
  #openLane(lane: number): void {
    const waiting = this.#lanes.get(lane)!
    this.#lanes.delete(lane)
    for (const [index, { type, id, view, fields, payload }] of waiting.entries()) {
      this.#laneBytes -= lengthOf(fields, payload)
      this.#send(type, id, view, fields, payload, lane)
      if (!this.#lanes.has(lane)) continue
      this.#lanes.set(lane, waiting.slice(index + 1))
      return
    }
  }

  #header(length: number, type: number, id: number, view: number): void {
    if (slabBytes - this.#used < headerBytes) this.#renew()
    const slab = this.#slab
    const at = this.#used
    writeU32(slab, length, at)
    writeU32(slab, type * 0x1_00_00_00, at + 4)
    writeU32(slab, id, at + 8)
    writeU32(slab, view, at + 12)
    this.#used = at + headerBytes
    this.#gatheredBytes += headerBytes
  }

  #append(payload: Uint8Array): void {
    if (payload.length <= copiedBytesMax) {
      this.#copy(payload)
      return
    }
    this.#seal()
    this.#pieces.push(payload)
    this.#gatheredBytes += payload.length
  }

  #copy(bytes: Uint8Array): void {
    this.#gatheredBytes += bytes.length
    if (bytes.length > slabBytes - this.#used) {
      this.#renew()
      if (bytes.length > slabBytes) {
        this.#pieces.push(bytes.slice())
        return
      }
    }
    this.#slab.set(bytes, this.#used)
    this.#used += bytes.length
  }

  #renew(): void {
    this.#seal()
    this.#slab = new Uint8Array(slabBytes)
    this.#sealed = 0
    this.#used = 0
  }

  /** What the slab holds that is not in the pieces yet becomes one of them. The slab is never written there again. */
  #seal(): void {
    if (this.#used === this.#sealed) return
    this.#pieces.push(this.#slab.subarray(this.#sealed, this.#used))
    this.#sealed = this.#used
  }
}

function asList(payload: Payload): readonly Uint8Array[] {
  if (payload === undefined) return []
  return payload instanceof Uint8Array ? [payload] : payload
}

function lengthOf(fields: Uint8Array, payload: readonly Uint8Array[]): number {
  let length = fields.length
  for (const piece of payload) length += piece.length
  return length
}
