/**
 * Reads single records that are asked for in rising order, as packing does when it follows references: what lies behind
 * a record is read along with it, the more the more often it is asked for next.
 */

import { type FileSystem, readFully } from '../../core/file-system.ts'
import type { Oid } from '../../core/ids.ts'
import { bodyBytes, deletedMark, payloadBytes, recordHeaderBytes, recordLength } from './format.ts'
import { recordDamage, verifyRecord } from './record-reader.ts'

const windowBytesMin = 1 << 11
const windowBytesMax = 1 << 17
/** A window of which so many records were used was worth its bytes. */
const usesOfGoodWindow = 4

export class NearbyRecords {
  readonly #files: FileSystem
  readonly #file: number
  readonly #path: string
  readonly #window = Buffer.allocUnsafeSlow(windowBytesMax)
  #windowBytes = windowBytesMin
  #start = 0
  #filled = 0
  #uses = 0
  /** Bytes read from the file so far. */
  bytesRead = 0

  constructor(files: FileSystem, file: number, path: string) {
    this.#files = files
    this.#file = file
    this.#path = path
  }

  /**
   * A copy of the payload of the record at `position`; null for a deletion.
   * @throws CorruptDataError when it is not a record of `oid`, whole
   */
  data(position: number, oid: Oid): Uint8Array | null {
    if (!this.#has(position, recordHeaderBytes)) this.#fill(position)
    if (!this.#has(position, recordHeaderBytes)) throw this.#tooShort(oid, position)
    const length = recordLength(this.#window, position - this.#start)
    const total = recordHeaderBytes + bodyBytes(length)
    let bytes = this.#window
    if (!this.#has(position, total) && total <= windowBytesMax) this.#fill(position, total)
    if (!this.#has(position, total)) {
      if (position + total > this.#files.size(this.#file)) throw this.#tooShort(oid, position)
      bytes = Buffer.allocUnsafeSlow(total)
      this.#read(bytes, total, position)
    }
    const at = bytes === this.#window ? position - this.#start : 0
    verifyRecord(this.#path, bytes, at, position, oid)
    this.#uses++
    if (length === deletedMark) return null
    return new Uint8Array(
      bytes.buffer,
      bytes.byteOffset + at + recordHeaderBytes,
      payloadBytes(length),
    ).slice()
  }

  #has(position: number, bytes: number): boolean {
    const offset = position - this.#start
    return offset >= 0 && offset + bytes <= this.#filled
  }

  #fill(position: number, bytesMin = 0): void {
    const factor = this.#uses >= usesOfGoodWindow ? 2 : 0.5
    const wanted = Math.min(Math.max(this.#windowBytes * factor, windowBytesMin), windowBytesMax)
    this.#windowBytes = wanted
    this.#uses = 0
    this.#start = position
    this.#filled = this.#read(this.#window, Math.max(wanted, bytesMin), position)
  }

  #read(target: Buffer, bytes: number, position: number): number {
    const got = readFully(this.#files, this.#file, target, 0, bytes, position)
    this.bytesRead += got
    return got
  }

  #tooShort(oid: Oid, position: number): Error {
    return recordDamage(this.#path, oid, position, 'the file ends within it')
  }
}
