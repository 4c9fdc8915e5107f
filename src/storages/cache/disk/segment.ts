/**
 * One segment of the disk cache: two files that only ever grow.
 *
 *     NN.data     the bytes of object states, one behind the other
 *     NN.index    a header, then batches of records that say what happened
 *
 *     header   0  8 bytes   "SHOOTDSC"
 *              8  u32       version, 1
 *              12 u32       chain: the checksum with which the segment before ended; 0 for the first
 *              16 f64       sequence: 1 more than the segment before
 *              24 f64       horizon
 *              32 20 bytes  origin: of which life of which store the entries are
 *              52 8 bytes   random
 *              60 u32       CRC-32 of the 60 bytes before
 *     batch    0  u32       number of records
 *              4  u32       CRC-32 of the records, begun with the checksum before (of batch or header) xor the number
 *     record   0  f64       object id
 *              8  f64       tid
 *              16 u32       offset of the state in the data file
 *              20 u32       its length
 *              24 u32       CRC-32 of object id, tid (8 bytes each, big-endian) and state
 *              28 u32       kind
 *
 * Numbers are in the byte order of the machine; a file of another order has another version. Every checksum covers all
 * that stands before it in the segment, and the next segment's header repeats the last one: so of whatever a crash
 * has left, it can be told how far it is complete. Nothing is ever synced. A state whose bytes did not reach the disk
 * is recognised when it is read.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type FileSystem, readFully, writeFully } from '../../../core/file-system.ts'
import type { Tid } from '../../../core/ids.ts'

export const kinds = {
  /** The state of an object, which the horizon shows. */
  state: 0,
  /** Nothing is known of the object any more: it has changed, or was pushed out. */
  gone: 1,
  /** All is true of this snapshot too. */
  horizon: 2,
  /** Of what stands before, nobody knows whether the horizon shows it. */
  doubt: 3,
  /** The horizon shows the entry, in spite of a doubt. */
  confirmed: 4,
  /** A state of which nobody knows whether the horizon shows it. */
  doubtful: 5,
} as const

export const recordBytes = 32
export const originBytes = 20

const headerBytes = 64
const batchBytes = 8
const version = 1
const magic = new TextEncoder().encode('SHOOTDSC')

export interface SegmentHeader {
  readonly sequence: number
  readonly horizon: Tid
  readonly origin: Uint8Array
  /** Of the segment before. */
  readonly chain: number
}

interface FoundHeader extends SegmentHeader {
  /** Of the header itself: with it the chain of the segment begins. */
  readonly checksum: number
}

/** Records of a batch, as two views of the same memory. */
export interface Batch {
  readonly doubles: Float64Array
  readonly words: Uint32Array
}

export interface FoundSegment {
  readonly segment: Segment
  readonly header: SegmentHeader
}

export class Segment {
  readonly slot: number
  readonly sequence: number
  /** The checksum with which it ends so far. */
  chain: number
  dataBytes: number
  indexBytes: number
  readonly #files: FileSystem
  readonly #folder: string
  readonly #index: number
  readonly #data: number

  private constructor(files: FileSystem, folder: string, slot: number, header: SegmentHeader, chain: number) {
    this.#files = files
    this.#folder = folder
    this.slot = slot
    this.sequence = header.sequence
    this.chain = chain
    this.dataBytes = 0
    this.indexBytes = headerBytes
    const isThere = files.exists(indexPath(folder, slot))
    this.#index = files.open(indexPath(folder, slot), isThere ? 'read' : 'create')
    this.#data = files.open(dataPath(folder, slot), isThere ? 'read' : 'create')
  }

  static create(files: FileSystem, folder: string, slot: number, header: SegmentHeader): Segment {
    const bytes = writeHeader(header)
    const segment = new Segment(files, folder, slot, header, wordsOf(bytes)[15]!)
    writeFully(files, segment.#index, bytes, 0, bytes.length, 0)
    return segment
  }

  /** What is in the slot; undefined where there is nothing that can be used. Nothing can be appended before `load`. */
  static find(files: FileSystem, folder: string, slot: number): FoundSegment | undefined {
    if (!files.exists(indexPath(folder, slot)) || !files.exists(dataPath(folder, slot))) return undefined
    const header = readHeader(files, indexPath(folder, slot))
    if (header === undefined) return undefined
    const segment = new Segment(files, folder, slot, header, header.checksum)
    segment.dataBytes = files.size(segment.#data)
    segment.indexBytes = files.size(segment.#index)
    return { segment, header }
  }

  /**
   * The batches that are whole, and nothing behind the first that is not. From then on the index ends with them.
   * @param memory at least `indexBytes`; the batches are views of it
   */
  load(memory: ArrayBuffer): Batch[] {
    const bytes = new Uint8Array(memory, 0, this.indexBytes)
    const length = readFully(this.#files, this.#index, bytes, 0, bytes.length, 0)
    const words = new Uint32Array(memory, 0, length >>> 2)
    const batches: Batch[] = []
    this.indexBytes = headerBytes
    for (let at = headerBytes; at + batchBytes <= length; at = this.indexBytes) {
      const [count, checksum] = [words[at / 4]!, words[at / 4 + 1]!]
      const from = at + batchBytes
      const end = from + count * recordBytes
      if (count === 0 || end > length) break
      if (crc32(bytes.subarray(from, end), (this.chain ^ count) >>> 0) !== checksum) break
      batches.push({
        doubles: new Float64Array(memory, from, (count * recordBytes) / 8),
        words: new Uint32Array(memory, from, (count * recordBytes) / 4),
      })
      this.chain = checksum
      this.indexBytes = end
    }
    return batches
  }

  /** Removes what is in the slot, whatever it is. */
  static remove(files: FileSystem, folder: string, slot: number): void {
    for (const path of [indexPath(folder, slot), dataPath(folder, slot)])
      if (files.exists(path)) files.remove(path)
  }

  /** @param records whole records, at least one */
  append(data: Uint8Array, records: Uint8Array): void {
    const files = this.#files
    writeFully(files, this.#data, data, 0, data.length, this.dataBytes)
    this.dataBytes += data.length
    const count = records.length / recordBytes
    const checksum = crc32(records, (this.chain ^ count) >>> 0)
    const batch = new Uint8Array(batchBytes + records.length)
    wordsOf(batch).set([count, checksum])
    batch.set(records, batchBytes)
    writeFully(files, this.#index, batch, 0, batch.length, this.indexBytes)
    this.indexBytes += batch.length
    this.chain = checksum
  }

  /** Shorter than asked where the file is. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const got = readFully(this.#files, this.#data, bytes, 0, length, offset)
    return got === length ? bytes : bytes.subarray(0, got)
  }

  close(): void {
    this.#files.close(this.#index)
    this.#files.close(this.#data)
  }

  remove(): void {
    this.close()
    Segment.remove(this.#files, this.#folder, this.slot)
  }
}

function writeHeader({ sequence, horizon, origin, chain }: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  const doubles = new Float64Array(bytes.buffer)
  bytes.set(magic)
  wordsOf(bytes).set([version, chain], 2)
  doubles.set([sequence, horizon], 2)
  bytes.set(origin, 32)
  bytes.set(randomBytes(8), 52)
  wordsOf(bytes)[15] = crc32(bytes.subarray(0, 60))
  return bytes
}

function readHeader(files: FileSystem, path: string): FoundHeader | undefined {
  const bytes = new Uint8Array(headerBytes)
  const file = files.open(path, 'read')
  try {
    if (readFully(files, file, bytes, 0, headerBytes, 0) < headerBytes) return undefined
  } finally {
    files.close(file)
  }
  const words = wordsOf(bytes)
  const checksum = words[15]!
  if (Buffer.compare(bytes.subarray(0, 8), magic) !== 0) return undefined
  if (words[2] !== version || checksum !== crc32(bytes.subarray(0, 60))) return undefined
  const [, , sequence, horizon] = new Float64Array(bytes.buffer, 0, 4)
  const origin = bytes.slice(32, 32 + originBytes)
  return { sequence: sequence!, horizon: horizon as Tid, origin, chain: words[3]!, checksum }
}

const wordsOf = (bytes: Uint8Array) => new Uint32Array(bytes.buffer, 0, bytes.byteLength >>> 2)
const indexPath = (folder: string, slot: number) => join(folder, `${slot}`.padStart(2, '0').concat('.index'))
const dataPath = (folder: string, slot: number) => join(folder, `${slot}`.padStart(2, '0').concat('.data'))
