/**
 * Writes records. Called by a connection on commit, once per changed object.
 *
 * The oids of a record come first in it, yet an object that is referred to may get its oid only later in the same
 * commit. So a record is first a *draft*: complete but for its oids, which are filled in once all are known.
 */

import { ShootoutError } from '../core/errors.ts'
import { idBytes, type Oid, writeId } from '../core/ids.ts'
import { ByteWriter, varintBytes, writeVarint } from './byte-writer.ts'
import { Persistent, type Value } from './persistent.ts'
import { depthLimit, recordVersion, tag } from './record-format.ts'

/** A record whose oids are still missing. */
export interface RecordDraft {
  readonly bytes: Uint8Array
  /** The objects it refers to, each once, in the order of the table. */
  readonly targets: readonly Persistent[]
}

/** The length of bytes has four bytes. */
const bytesLengthMax = 0xff_ff_ff_ff

const body = new ByteWriter()
const noTargets: readonly Persistent[] = []

/**
 * @throws ShootoutError `not-storable` when the state holds something that a record cannot hold
 */
export function draftRecord(className: string, state: Value): RecordDraft {
  const encoder = new Encoder(className)
  body.clear()
  encoder.value(state, 0)
  return encoder.draft()
}

/** Fills in the oids. The draft must not be used again. */
export function completeRecord(draft: RecordDraft, oidOf: (target: Persistent) => Oid): Uint8Array {
  const { bytes, targets } = draft
  let position = 1 + varintBytes(targets.length)
  for (const target of targets) {
    writeId(bytes, oidOf(target), position)
    position += idBytes
  }
  return bytes
}

/** The record of a state that refers to objects with oids only. */
export function encodeRecord(className: string, state: Value): Uint8Array {
  return completeRecord(draftRecord(className, state), (target) => {
    if (target.oid === undefined) throw new Error(`a ${target.className} without oid is referred to`)
    return target.oid
  })
}

class Encoder {
  readonly #classNames: string[]
  #targets: Map<Persistent, number> | undefined

  constructor(className: string) {
    this.#classNames = [className]
  }

  value(value: Value, depth: number): void {
    switch (typeof value) {
      case 'string':
        this.#string(value)
        return
      case 'number':
        this.#number(value)
        return
      case 'boolean':
        body.byte(value ? tag.true : tag.false)
        return
      case 'object':
        if (value === null) body.byte(tag.null)
        else this.#object(value, depth)
        return
      default:
        throw this.#notStorable(typeof value)
    }
  }

  #object(value: object, depth: number): void {
    if (value instanceof Uint8Array) {
      if (value.length > bytesLengthMax) throw this.#notStorable(`${value.length} bytes in one piece`)
      body.byte(tag.bytes)
      body.blob(value)
    } else if (value instanceof Persistent) {
      body.byte(tag.reference)
      body.varint(this.#targetIndex(value))
    } else if (depth >= depthLimit) {
      throw this.#notStorable(`something nested deeper than ${depthLimit} levels (or containing itself)`)
    } else if (Array.isArray(value)) {
      body.byte(tag.array)
      body.varint(value.length)
      for (const item of value as readonly Value[]) this.value(item, depth + 1)
    } else {
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) {
        throw this.#notStorable(`an object of class ${value.constructor.name}`)
      }
      this.#plainObject(value as { readonly [key: string]: Value }, depth)
    }
  }

  #plainObject(value: { readonly [key: string]: Value }, depth: number): void {
    const keys = Object.keys(value)
    body.byte(tag.object)
    body.varint(keys.length)
    for (const key of keys) {
      this.#wellFormed(key)
      body.text(key)
      this.value(value[key]!, depth + 1)
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      body.byte(tag.float)
      body.float(value)
    } else if (value >= 0) {
      body.byte(tag.positive)
      body.varint(value)
    } else {
      body.byte(tag.negative)
      body.varint(-1 - value)
    }
  }

  #string(value: string): void {
    this.#wellFormed(value)
    body.byte(tag.string)
    body.text(value)
  }

  /** Half a surrogate pair has no UTF-8; a replacement character in its place would be silent damage. */
  #wellFormed(text: string): void {
    if (/\p{Surrogate}/u.test(text)) throw this.#notStorable('a string with half a surrogate pair')
  }

  #targetIndex(target: Persistent): number {
    this.#targets ??= new Map()
    let index = this.#targets.get(target)
    if (index === undefined) {
      index = this.#targets.size
      this.#targets.set(target, index)
      if (!this.#classNames.includes(target.className)) this.#classNames.push(target.className)
    }
    return index
  }

  draft(): RecordDraft {
    const targets = this.#targets === undefined ? noTargets : [...this.#targets.keys()]
    const classIndexes = targets.map((target) => this.#classNames.indexOf(target.className))
    let headBytes = 1 + varintBytes(targets.length) + targets.length * idBytes
    headBytes += varintBytes(this.#classNames.length)
    for (const name of this.#classNames) headBytes += varintBytes(name.length) + name.length
    for (const index of classIndexes) headBytes += varintBytes(index)

    const bytes = new Uint8Array(headBytes + body.length)
    bytes[0] = recordVersion
    let position = writeVarint(bytes, targets.length, 1) + targets.length * idBytes
    position = writeVarint(bytes, this.#classNames.length, position)
    for (const name of this.#classNames) {
      position = writeVarint(bytes, name.length, position)
      for (let index = 0; index < name.length; index++) bytes[position++] = name.charCodeAt(index)
    }
    for (const index of classIndexes) position = writeVarint(bytes, index, position)
    bytes.set(body.bytes.subarray(0, body.length), position)
    return { bytes, targets }
  }

  #notStorable(what: string): ShootoutError {
    const className = this.#classNames[0]
    return new ShootoutError(
      'not-storable',
      `a ${className} holds ${what}, which a record cannot hold; states consist of null, booleans, numbers, strings, ` +
        'Uint8Arrays, persistent objects, and arrays and plain objects of these',
      { details: { className } },
    )
  }
}
