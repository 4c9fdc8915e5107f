/**
 * What the objects of a benchmark hold: records of exact sizes, with content that follows from a seed, so that every
 * contender stores the same bytes and every read can be checked in full without keeping a copy.
 *
 * Content: owner, index and version of the object (4 bytes each, big-endian), then pseudo-random bytes that depend on
 * seed, owner, index and version, then as many equal bytes as the wanted compressibility asks for. Each update has its
 * own version, so no storage can take it for a change of nothing.
 */

import { CorruptDataError, UsageError, VerificationError } from '../core/errors.ts'
import { recordBytesAt, recordBytesMin } from '../core/record-sizes.ts'
import { PersistentObject, type Value } from '../database/persistent.ts'
import { encodeRecord } from '../database/record-encoder.ts'
import { registerClass } from '../database/standard-classes.ts'
import type { DatasetOptions } from './scenario.ts'

/** The objects of all scenarios: some bytes. */
export class Item extends PersistentObject<Uint8Array> {
  static readonly className = 'shootout.Item'

  protected override checkState(state: Value): Uint8Array {
    if (state instanceof Uint8Array) return state
    throw new CorruptDataError(`the state of item ${this.oid} is not bytes`, { details: { oid: this.oid } })
  }
}
registerClass(Item)

/** Owner of the objects that all workers share. Workers own their objects by their number. */
export const sharedOwner = 0xff_ff_ff_ff

/** Bytes of owner, index and version. */
export const headerBytes = 12

/** Bytes of an item's record that are not content. */
const recordOverheadBytes = encodeRecord(Item.className, new Uint8Array(0)).length

const fillByte = 0x2e
const sizeVersion = 0xff_ff_ff_ff

/** Makes the content of objects from a seed, and checks what was read against it. */
export class Payload {
  readonly seed: number
  readonly #dataset: DatasetOptions
  /** First byte of each content that is random. */
  readonly #start: number

  /**
   * @param reservedBytes bytes after the header that the scenario fills in itself; written as zero
   * @throws UsageError `record-too-small`
   */
  constructor(seed: number, dataset: DatasetOptions, reservedBytes = 0) {
    this.seed = seed
    this.#dataset = dataset
    this.#start = headerBytes + reservedBytes
    const smallest = recordBytesMin(dataset.recordBytes)
    const needed = recordOverheadBytes + this.#start
    if (smallest < needed) {
      throw new UsageError(
        'record-too-small',
        `records of ${smallest} bytes are too small for this scenario; it needs at least ${needed}`,
        { details: { recordBytes: smallest, recordBytesMin: needed } },
      )
    }
    const record = encodeRecord(Item.className, this.make(0, 0, 0))
    const wanted = this.recordBytesOf(0, 0)
    if (record.length !== wanted) {
      throw new Error(`an item's record has ${record.length} bytes where ${wanted} were asked for`)
    }
  }

  /** Bytes of every version of one object's record. */
  recordBytesOf(owner: number, index: number): number {
    const { recordBytes } = this.#dataset
    if (typeof recordBytes === 'number') return recordBytes
    // A version that no object has, so that the size has nothing to do with the content.
    return recordBytesAt(recordBytes, (this.#firstWord(owner, index, sizeVersion) >>> 0) / 2 ** 32)
  }

  /** The content of one version of one object. */
  make(owner: number, index: number, version: number): Uint8Array {
    const contentBytes = this.recordBytesOf(owner, index) - recordOverheadBytes
    const randomEnd =
      this.#start + Math.round((contentBytes - this.#start) * (1 - this.#dataset.compressibility))
    const content = new Uint8Array(contentBytes)
    writeUint32(content, 0, owner)
    writeUint32(content, 4, index)
    writeUint32(content, 8, version)
    let word = this.#firstWord(owner, index, version)
    let position = this.#start
    while (position + 4 <= randomEnd) {
      word = nextWord(word)
      content[position++] = word
      content[position++] = word >>> 8
      content[position++] = word >>> 16
      content[position++] = word >>> 24
    }
    for (; position < randomEnd; position++) {
      word = nextWord(word)
      content[position] = word
    }
    content.fill(fillByte, randomEnd)
    return content
  }

  /**
   * Compares every byte with what `make` would give, but for those reserved.
   * @param where for the error: what was being read
   * @throws VerificationError
   */
  check(content: Uint8Array, owner: number, index: number, version: number, where: string): void {
    const expected = this.make(owner, index, version)
    if (this.isSame(content, expected)) return
    const found =
      content.length < headerBytes
        ? `${content.length} bytes`
        : `object ${indexOf(content)} of owner ${readUint32(content, 0)}, version ${versionOf(content)}, ${content.length} bytes`
    throw new VerificationError(
      `${where}: expected object ${index} of owner ${owner}, version ${version}, ${expected.length} bytes; ` +
        `the storage gave ${found}${content.length === expected.length ? ', or other bytes in it' : ''}`,
      { details: { owner, index, version } },
    )
  }

  /** Whether all bytes are those of `expected`, which `make` has given, but for those reserved. */
  isSame(content: Uint8Array, expected: Uint8Array): boolean {
    if (this.#start === headerBytes) return Buffer.compare(content, expected) === 0
    if (content.length !== expected.length) return false
    for (let at = 0; at < headerBytes; at++) if (content[at] !== expected[at]) return false
    for (let at = this.#start; at < content.length; at++) if (content[at] !== expected[at]) return false
    return true
  }

  #firstWord(owner: number, index: number, version: number): number {
    let word = this.seed
    for (const part of [owner, index, version]) {
      word = Math.imul(word ^ part, 0x9e_37_79_b1)
      word ^= word >>> 15
    }
    // The generator must not start at 0: it would stay there.
    return word | 1
  }
}

/** xorshift32 (Marsaglia 2003): not good enough for statistics, good enough to be incompressible, and fast. */
function nextWord(word: number): number {
  let next = word ^ (word << 13)
  next ^= next >>> 17
  return next ^ (next << 5)
}

/** The object's index within its owner's, as its content says. */
export function indexOf(content: Uint8Array): number {
  return readUint32(content, 4)
}

/** Which version of the object it is, as its content says. */
export function versionOf(content: Uint8Array): number {
  return readUint32(content, 8)
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
