/**
 * The log of the disk cache: segments in slots, the newest of which is written to, and what is gathered for it. It
 * knows nothing of entries; what its records mean is for the disk cache to say, and so is when the oldest segment goes.
 */

import type { FileSystem } from '../../../core/file-system.ts'
import type { Oid, Tid } from '../../../core/ids.ts'
import type { Place } from './entries.ts'
import { type Batch, type FoundSegment, recordBytes, Segment } from './segment.ts'

export interface SegmentLogOptions {
  readonly files: FileSystem
  /** Exists, and is used by nobody else. */
  readonly folder: string
  /** Of all files together. */
  readonly bytesLimit: number
}

/** What stands in the header of a new segment. */
export interface Saying {
  readonly horizon: Tid
  readonly origin: Uint8Array
}

export interface LoadedSegment extends FoundSegment {
  readonly batches: readonly Batch[]
  /** Whatever was said before is not so. */
  readonly isFirst: boolean
}

const slotCount = 32
/** Bytes that are written at once, roughly. */
const gatheredMax = 256 * 1024

export class SegmentLog {
  readonly segmentBytes: number
  readonly #options: SegmentLogOptions
  /** By slot. */
  readonly #segments = new Map<number, Segment>()
  #active: Segment | undefined
  /** Between `find` and `load`, the oldest first. */
  readonly #found: FoundSegment[] = []
  #records: Uint8Array<ArrayBuffer>
  #recordsBytes = 0
  #data: Uint8Array<ArrayBuffer>
  #dataBytes = 0

  constructor(options: SegmentLogOptions) {
    this.#options = options
    this.segmentBytes = Math.floor(options.bytesLimit / slotCount)
    this.#records = new Uint8Array(
      Math.ceil(Math.min(gatheredMax, this.segmentBytes) / 4 / recordBytes) * recordBytes,
    )
    this.#data = new Uint8Array(Math.min(gatheredMax, this.segmentBytes >> 1))
  }

  /** Of all files, with what is still to be written. */
  get bytes(): number {
    let bytes = this.#recordsBytes + this.#dataBytes
    for (const segment of this.#segments.values()) bytes += segment.dataBytes + segment.indexBytes
    return bytes
  }

  // --- Segments ---

  /**
   * Looks for what can be used of what is there, and removes the rest. Nothing may be appended before `begin`.
   * @returns how many records there are, at most
   */
  find(): number {
    const { files, folder } = this.#options
    for (let slot = 0; slot < slotCount; slot++) {
      const one = Segment.find(files, folder, slot)
      if (one === undefined) Segment.remove(files, folder, slot)
      else this.#found.push(one)
    }
    this.#found.sort((a, b) => a.header.sequence - b.header.sequence)
    return this.#found.reduce((sum, { segment }) => sum + Math.floor(segment.indexBytes / recordBytes), 0)
  }

  /**
   * What was found, from the oldest segment on: the newest, and those before it as long as each is there to its end.
   * Where one turns out not to be, everything before it is removed, and `isFirst` is said once more. The records lie in
   * memory that is used again for the next segment.
   */
  *load(): Generator<LoadedSegment> {
    const bytes = this.#found.reduce((most, { segment }) => Math.max(most, segment.indexBytes), 0)
    const memory = new ArrayBuffer(bytes)
    let before: FoundSegment | undefined
    for (const one of this.#found.splice(0)) {
      const batches = one.segment.load(memory)
      const isFirst = before === undefined || !follows(one, before)
      if (isFirst) this.#forget()
      this.#segments.set(one.segment.slot, one.segment)
      before = one
      yield { ...one, batches, isFirst }
    }
  }

  /** A new segment, in a free slot, behind what was loaded or removed. */
  begin({ horizon, origin }: Saying): void {
    const newest = this.newest
    this.#start((newest?.sequence ?? 0) + 1, newest?.chain ?? 0, { horizon, origin })
  }

  /** A new segment behind the active one. One slot must always be free: see `isFull`. */
  roll(saying: Saying): void {
    this.flush()
    this.#start(this.#active!.sequence + 1, this.#active!.chain, saying)
  }

  /** Removes everything, and begins anew. */
  clear(saying: Saying): void {
    const sequence = this.#active?.sequence ?? 0
    this.#forget()
    this.#start(sequence + 1, 0, saying)
  }

  #forget(): void {
    for (const segment of this.#segments.values()) segment.remove()
    this.#segments.clear()
    this.#active = undefined
    this.#recordsBytes = 0
    this.#dataBytes = 0
  }

  /** There is no room for one more segment. The limit may also be lower than when the segments were written. */
  get isFull(): boolean {
    // Two segments: what is no state, and what has been gathered, may go beyond the end of one.
    const bytesMax = this.#options.bytesLimit - 2 * this.segmentBytes
    return this.#segments.size > 1 && (this.#segments.size >= slotCount || this.bytes > bytesMax)
  }

  get oldest(): Segment | undefined {
    let oldest: Segment | undefined
    for (const segment of this.#segments.values())
      if (oldest === undefined || segment.sequence < oldest.sequence) oldest = segment
    return oldest
  }

  get newest(): Segment | undefined {
    let newest: Segment | undefined
    for (const segment of this.#segments.values())
      if (newest === undefined || segment.sequence > newest.sequence) newest = segment
    return newest
  }

  remove(segment: Segment): void {
    this.#segments.delete(segment.slot)
    segment.remove()
  }

  // --- What is appended ---

  /** Whether the active segment would become too large with a state of this length, or with nothing but what is there. */
  isActiveFull(length?: number): boolean {
    const { dataBytes, indexBytes } = this.#active!
    const gathered = this.#dataBytes + this.#recordsBytes
    const added = length === undefined ? 0 : length + 2 * recordBytes
    return dataBytes + indexBytes + gathered + added > this.segmentBytes
  }

  /** @returns where the state will lie; a record that says so must follow */
  append(data: Uint8Array): { readonly slot: number; readonly offset: number } {
    if (this.#dataBytes + data.length > this.#data.length) this.flush()
    if (data.length > this.#data.length) this.#data = new Uint8Array(data.length)
    const { slot, dataBytes } = this.#active!
    const offset = dataBytes + this.#dataBytes
    this.#data.set(data, this.#dataBytes)
    this.#dataBytes += data.length
    return { slot, offset }
  }

  record(oid: Oid, tid: Tid, kind: number, offset = 0, length = 0, checksum = 0): void {
    if (this.#recordsBytes === this.#records.length) {
      // While opening there is no segment to write to yet.
      if (this.#active !== undefined) this.flush()
      else this.#growRecords()
    }
    const from = this.#recordsBytes
    new Float64Array(this.#records.buffer, from, 2).set([oid, tid])
    new Uint32Array(this.#records.buffer, from + 16, 4).set([offset, length, checksum, kind])
    this.#recordsBytes = from + recordBytes
  }

  /** Shorter than the state where the disk did not keep it. */
  read({ slot, offset, length }: Place): Uint8Array {
    const segment = this.#segments.get(slot)!
    if (segment !== this.#active || offset < segment.dataBytes) return segment.read(offset, length)
    const buffered = offset - segment.dataBytes
    return this.#data.slice(buffered, buffered + length)
  }

  /** Hands what has gathered to the system. */
  flush(): void {
    if (this.#recordsBytes === 0) return
    const data = this.#data.subarray(0, this.#dataBytes)
    const records = this.#records.subarray(0, this.#recordsBytes)
    this.#active!.append(data, records)
    this.#dataBytes = 0
    this.#recordsBytes = 0
  }

  close(): void {
    for (const segment of this.#segments.values()) segment.close()
    this.#segments.clear()
  }

  #start(sequence: number, chain: number, { horizon, origin }: Saying): void {
    const { files, folder } = this.#options
    let slot = 0
    while (this.#segments.has(slot)) slot++
    this.#active = Segment.create(files, folder, slot, { sequence, chain, horizon, origin })
    this.#segments.set(slot, this.#active)
  }

  #growRecords(): void {
    const grown = new Uint8Array(2 * this.#records.length)
    grown.set(this.#records)
    this.#records = grown
  }
}

/** Whether `earlier` is there to its end, and `later` begins behind it. */
function follows(later: FoundSegment, earlier: FoundSegment): boolean {
  return later.header.sequence === earlier.header.sequence + 1 && later.header.chain === earlier.segment.chain
}
