/**
 * Reads records. The bytes come from a store, so nothing about them is believed: every length is checked against the
 * record, every text must be UTF-8, every number in its shortest form. Bytes in the decoded state are views of the record,
 * which is immutable.
 */

import { CorruptDataError } from '../core/errors.ts'
import { idBytes, type Oid, readOid } from '../core/ids.ts'
import { varintBytesMax } from './byte-writer.ts'
import type { Persistent, Value } from './persistent.ts'
import { classNameLengthLimit, depthLimit, isClassName, recordVersion, tag } from './record-format.ts'

/** Gives the object that a reference stands for: a ghost, if it is not known yet. */
export type Refer = (oid: Oid, className: string) => Persistent

/** The class that a record names, and the state in it. */
export interface DecodedRecord {
  readonly className: string
  readonly state: Value
}

/** @throws CorruptDataError */
export function decodeRecord(data: Uint8Array, refer: Refer): DecodedRecord {
  return new Decoder(data).record(refer)
}

/** The name of the record's class, without looking at its state. @throws CorruptDataError */
export function classNameOf(data: Uint8Array): string {
  return new Decoder(data).head()
}

/**
 * The oids that a record refers to, each once, without looking further. For packing and prefetching.
 * @throws CorruptDataError
 */
export function references(data: Uint8Array): readonly Oid[] {
  return new Decoder(data).oids()
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const noOids: readonly Oid[] = []
const noNames: readonly string[] = []
const floatView = new DataView(new ArrayBuffer(8))

// Records of one class follow each other; remembering the last name saves making the string anew for each.
let lastName = ''
let lastNameBytes = new Uint8Array(0)

class Decoder {
  readonly #data: Uint8Array
  #position = 0
  #oids = noOids
  /** Class names of the referred objects, in the order of `#oids`. */
  #targetClasses = noNames
  #targets: (Persistent | undefined)[] | undefined

  constructor(data: Uint8Array) {
    this.#data = data
  }

  record(refer: Refer): DecodedRecord {
    const className = this.head()
    const state = this.#value(refer, 0)
    if (this.#position !== this.#data.length) this.#corrupt('there are bytes after its end')
    return { className, state }
  }

  oids(): readonly Oid[] {
    if (this.#byte() !== recordVersion) {
      this.#corrupt(`its format is ${this.#data[0]}, this program reads ${recordVersion}`)
    }
    const count = this.#count(idBytes)
    if (count === 0) return noOids
    const oids = new Array<Oid>(count)
    for (let index = 0; index < count; index++) {
      if (this.#data[this.#position]! !== 0 || this.#data[this.#position + 1]! > 0x1f) {
        this.#corrupt('it refers to an impossible oid')
      }
      oids[index] = readOid(this.#data, this.#position)
      this.#position += idBytes
    }
    return oids
  }

  /** Everything before the state. Returns the name of the record's class. */
  head(): string {
    this.#oids = this.oids()
    const nameCount = this.#count(2)
    if (nameCount === 0) this.#corrupt('it has no class')
    const className = this.#className()
    if (this.#oids.length === 0) {
      if (nameCount > 1) this.#corrupt('it names classes that it does not refer to')
      return className
    }
    const names = [className]
    while (names.length < nameCount) names.push(this.#className())
    this.#targetClasses = this.#oids.map(() => {
      const name = names[this.#varint()]
      if (name === undefined) this.#corrupt('a reference has no class')
      return name
    })
    return className
  }

  #className(): string {
    const length = this.#count(1)
    const start = this.#position
    this.#position += length
    if (length === lastName.length) {
      let index = 0
      while (index < length && this.#data[start + index] === lastNameBytes[index]) index++
      if (index === length && length > 0) return lastName
    }
    if (length === 0 || length > classNameLengthLimit) this.#corrupt('a class name is too short or too long')
    const bytes = this.#data.slice(start, start + length)
    const name = String.fromCharCode(...bytes)
    if (!isClassName(name)) this.#corrupt('a class name is not printable')
    lastName = name
    lastNameBytes = bytes
    return name
  }

  #value(refer: Refer, depth: number): Value {
    switch (this.#byte()) {
      case tag.null:
        return null
      case tag.false:
        return false
      case tag.true:
        return true
      case tag.positive:
        return this.#varint()
      case tag.negative:
        return this.#negative()
      case tag.float:
        return this.#float()
      case tag.string:
        return this.#text()
      case tag.bytes:
        return this.#blob()
      case tag.array:
        return this.#array(refer, depth)
      case tag.object:
        return this.#plainObject(refer, depth)
      case tag.reference:
        return this.#reference(refer)
      default:
        return this.#corrupt(`there is no kind of value ${this.#data[this.#position - 1]}`)
    }
  }

  #negative(): number {
    const value = -1 - this.#varint()
    if (!Number.isSafeInteger(value)) this.#corrupt('an integer is too large')
    return value
  }

  #float(): number {
    this.#need(8)
    for (let index = 0; index < 8; index++) floatView.setUint8(index, this.#data[this.#position++]!)
    const value = floatView.getFloat64(0)
    if (Number.isSafeInteger(value) && !Object.is(value, -0))
      this.#corrupt('an integer is written as a float')
    return value
  }

  #blob(): Uint8Array {
    this.#need(4)
    const data = this.#data
    const at = this.#position
    const length = data[at]! * 0x1_00_00_00 + ((data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!)
    this.#position += 4
    this.#need(length)
    this.#position += length
    return data.subarray(at + 4, at + 4 + length)
  }

  #text(): string {
    const length = this.#count(1)
    const start = this.#position
    this.#position += length
    if (length < 24) {
      let text = ''
      let index = start
      for (; index < this.#position; index++) {
        const code = this.#data[index]!
        if (code > 0x7f) break
        text += String.fromCharCode(code)
      }
      if (index === this.#position) return text
    }
    try {
      return utf8.decode(this.#data.subarray(start, this.#position))
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause
      return this.#corrupt('a text is not UTF-8')
    }
  }

  #array(refer: Refer, depth: number): Value[] {
    if (depth >= depthLimit) this.#corrupt('it is nested too deeply')
    const count = this.#count(1)
    const items: Value[] = []
    for (let index = 0; index < count; index++) items.push(this.#value(refer, depth + 1))
    return items
  }

  #plainObject(refer: Refer, depth: number): Value {
    if (depth >= depthLimit) this.#corrupt('it is nested too deeply')
    const count = this.#count(2)
    const object: { [key: string]: Value } = {}
    for (let index = 0; index < count; index++) {
      const key = this.#text()
      const value = this.#value(refer, depth + 1)
      // A plain assignment would set the prototype.
      if (key === '__proto__') {
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
      } else object[key] = value
    }
    if (Object.keys(object).length !== count) this.#corrupt('a key occurs twice')
    return object
  }

  #reference(refer: Refer): Persistent {
    const index = this.#varint()
    const oid = this.#oids[index]
    if (oid === undefined) this.#corrupt('a reference is missing from its table')
    this.#targets ??= new Array<Persistent | undefined>(this.#oids.length).fill(undefined)
    let target = this.#targets[index]
    if (target === undefined) {
      target = refer(oid, this.#targetClasses[index]!)
      this.#targets[index] = target
    }
    return target
  }

  #byte(): number {
    if (this.#position >= this.#data.length) this.#corrupt('it ends too early')
    return this.#data[this.#position++]!
  }

  #need(bytes: number): void {
    if (bytes > this.#data.length - this.#position) this.#corrupt('it ends too early')
  }

  /** A number of things that take at least `bytesEach`: a damaged count never makes us allocate. */
  #count(bytesEach: number): number {
    const count = this.#varint()
    this.#need(count * bytesEach)
    return count
  }

  #varint(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    let factor = 128
    for (let length = 2; length <= varintBytesMax; length++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) {
        if (byte === 0 || !Number.isSafeInteger(value)) break
        return value
      }
      factor *= 128
    }
    return this.#corrupt('a number is too large or not in its shortest form')
  }

  #corrupt(reason: string): never {
    throw new CorruptDataError(
      `a record of ${this.#data.length} bytes is damaged at byte ${this.#position}: ${reason}`,
      {
        details: { recordBytes: this.#data.length, position: this.#position, reason },
      },
    )
  }
}
