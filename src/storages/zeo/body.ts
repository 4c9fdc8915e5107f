/**
 * Bodies of messages, written and read field by field. Nothing here knows what a message means.
 *
 * The writer reuses its memory: what `take` returns is valid until the next field is written, long enough for the
 * outbox to copy it. The reader never trusts a length: reading beyond the end is a ProtocolError.
 */

import { idBytes, type Oid, readOid, readTid, type Tid, writeId } from '../../core/ids.ts'
import { ProtocolError } from './protocol-error.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class BodyWriter {
  #bytes = new Uint8Array(4096)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  u8(value: number): this {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
    return this
  }

  u32(value: number): this {
    this.#reserve(4)
    this.#view.setUint32(this.#at, value)
    this.#at += 4
    return this
  }

  f64(value: number): this {
    this.#reserve(8)
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
    return this
  }

  id(value: Oid | Tid): this {
    this.#reserve(idBytes)
    writeId(this.#bytes, value, this.#at)
    this.#at += idBytes
    return this
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }

  /** Bytes behind their length, u32. */
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes)
  }

  /** UTF-8 behind its length in bytes, u32. */
  text(text: string): this {
    return this.bytes(encoder.encode(text))
  }

  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#at)
    this.#at = 0
    return taken
  }

  #reserve(count: number): void {
    const needed = this.#at + count
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes)
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}

export class BodyReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(): number {
    return this.#bytes[this.#advance(1)]!
  }

  u32(): number {
    return readU32(this.#bytes, this.#advance(4))
  }

  f64(): number {
    const at = this.#advance(8)
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 8).getFloat64(0)
  }

  oid(): Oid {
    return checked(readOid, this.#bytes, this.#advance(idBytes))
  }

  tid(): Tid {
    return checked(readTid, this.#bytes, this.#advance(idBytes))
  }

  /** A view, not a copy: a body is never reused. */
  raw(count: number): Uint8Array {
    const from = this.#advance(count)
    return this.#bytes.subarray(from, from + count)
  }

  rest(): Uint8Array {
    return this.raw(this.left)
  }

  bytes(): Uint8Array {
    return this.raw(this.u32())
  }

  text(): string {
    return decoder.decode(this.bytes())
  }

  /** As many ids as the rest holds. */
  oids(): Oid[] {
    if (this.left % idBytes !== 0) throw new ProtocolError(`${this.left} bytes are not a list of ids`)
    const oids = new Array<Oid>(this.left / idBytes)
    for (let index = 0; index < oids.length; index++) oids[index] = this.oid()
    return oids
  }

  /** A count of things that take at least `bytesEach`, checked against what is left before anything is allocated. */
  count(bytesEach: number): number {
    const count = this.u32()
    if (count * bytesEach > this.left)
      throw new ProtocolError(`a count of ${count} is more than the body holds`)
    return count
  }

  end(): void {
    if (this.left > 0) throw new ProtocolError(`${this.left} bytes too many in a body`)
  }

  #advance(count: number): number {
    const from = this.#at
    if (count > this.#bytes.length - from) throw new ProtocolError('a body ends too early')
    this.#at = from + count
    return from
  }
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! * 0x1_00_00_00 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)) >>> 0
}

export function writeU32(bytes: Uint8Array, value: number, at: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

function checked<T>(read: (bytes: Uint8Array, at: number) => T, bytes: Uint8Array, at: number): T {
  try {
    return read(bytes, at)
  } catch (error) {
    throw new ProtocolError((error as Error).message)
  }
}
