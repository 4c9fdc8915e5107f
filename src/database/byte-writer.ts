/**
 * A growing buffer to write a record's body into. One is kept and used again for every record; the bytes are copied
 * out of it, so nothing ever points into it.
 */

const bytesInitial = 4096
/** After a larger record than this the buffer is given up rather than kept. */
const bytesKept = 1 << 20

const textEncoder = new TextEncoder()
const floatView = new DataView(new ArrayBuffer(8))

export class ByteWriter {
  bytes = new Uint8Array(bytesInitial)
  length = 0

  clear(): void {
    if (this.bytes.length > bytesKept) this.bytes = new Uint8Array(bytesInitial)
    this.length = 0
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  varint(value: number): void {
    this.reserve(varintBytesMax)
    this.length = writeVarint(this.bytes, value, this.length)
  }

  float(value: number): void {
    this.reserve(8)
    // Every NaN is written alike: equal states have equal records.
    floatView.setFloat64(0, Number.isNaN(value) ? Number.NaN : value)
    for (let index = 0; index < 8; index++) this.bytes[this.length++] = floatView.getUint8(index)
  }

  /** Four bytes of length, then the bytes. */
  blob(value: Uint8Array): void {
    this.reserve(4 + value.length)
    const { bytes } = this
    bytes[this.length++] = value.length >>> 24
    bytes[this.length++] = value.length >>> 16
    bytes[this.length++] = value.length >>> 8
    bytes[this.length++] = value.length
    bytes.set(value, this.length)
    this.length += value.length
  }

  /** A varint of the length in bytes, then UTF-8. The text must be well-formed. */
  text(value: string): void {
    if (value.length < 64 && this.#shortAscii(value)) return
    const encoded = textEncoder.encode(value)
    this.varint(encoded.length)
    this.reserve(encoded.length)
    this.bytes.set(encoded, this.length)
    this.length += encoded.length
  }

  /** Most strings are short names; written character by character they cost no allocation. */
  #shortAscii(value: string): boolean {
    this.reserve(1 + value.length)
    const { bytes } = this
    let position = this.length
    bytes[position++] = value.length
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index)
      if (code > 0x7f) return false
      bytes[position++] = code
    }
    this.length = position
    return true
  }
}

/** A varint of 53 bits takes eight groups of seven bits. */
export const varintBytesMax = 8

/** Seven bits per byte, lowest first; the top bit says that more follow. Returns the position after it. */
export function writeVarint(target: Uint8Array, value: number, position: number): number {
  let rest = value
  let at = position
  while (rest > 0x7f_ff_ff_ff) {
    target[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

export function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++
  return bytes
}
