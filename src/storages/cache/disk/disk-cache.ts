/**
 * The disk cache: object states in a folder, so that a client that starts again begins warm, and keeps more than fits
 * in memory.
 *
 * It says: *snapshot `horizon` of this life of the store shows exactly these revisions*, and each step of its log
 * leads from one true saying to the next: changes first, then the new horizon, then states that it shows. So
 * whatever a crash leaves of the log, each beginning of it is true, and so is each end of it, segments that follow
 * each other to the newest. Opening takes the longest such end that is complete, whose newest segment may be cut short.
 *
 * Whether the saying is about the store that is there now, its user has to find out: by the same origin (a run of a
 * server) and a list of all changes since the horizon, or entry by entry (`doubtful`, `confirm`). Until then an entry
 * is kept but not given out.
 *
 * Segments are written once and removed whole, the oldest first; entries in it that the policy still wants are written
 * again at the end. An entry that goes is written down as gone, for its later changes will not be.
 */

import { crc32 } from 'node:zlib'
import { describeError } from '../../../core/errors.ts'
import type { FileSystem } from '../../../core/file-system.ts'
import { idBytes, noTid, type Oid, type Tid, writeId } from '../../../core/ids.ts'
import type { Change } from '../change-log.ts'
import type { PolicyDefinition } from '../policy.ts'
import { oidLimit } from '../shard-layout.ts'
import { DiskEntries } from './entries.ts'
import { type FoundSegment, kinds, originBytes, recordBytes, Segment } from './segment.ts'

export interface DiskCacheOptions {
  readonly files: FileSystem
  /** Exists, and is used by nobody else. */
  readonly folder: string
  /** Of all files together. */
  readonly bytesLimit: number
  readonly policy: PolicyDefinition
  /** Larger objects are not taken. Default 1 MB, and never more than a quarter of a segment. */
  readonly objectBytesMax?: number
  log(message: string): void
  /** It is closed, or given up. */
  onEnd?(): void
}

const slotCount = 32
/** Live entries fill so much of the files at most; the rest is what is not needed any more, and not yet removed. */
const liveShare = 0.6
const bytesPerEntryMin = 192
const objectBytesMaxDefault = 1024 ** 2
/** Bytes that are written at once, roughly. */
const gatheredMax = 256 * 1024
const flushMs = 500

export class DiskCache {
  readonly objectBytesMax: number
  readonly bytesLimit: number
  /** States that turned out not to be what was written. */
  damaged = 0
  readonly #options: DiskCacheOptions
  readonly #segmentBytes: number
  #entries: DiskEntries
  #horizon: Tid = noTid
  #origin: Uint8Array = new Uint8Array(originBytes)
  /** By slot. */
  readonly #segments = new Map<number, Segment>()
  #active: Segment | undefined
  #records: Uint8Array<ArrayBuffer>
  #recordsBytes = 0
  #data: Uint8Array<ArrayBuffer>
  #dataBytes = 0
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** Opens what is there. Never throws: what cannot be used is left out or begun anew, and reported. */
  constructor(options: DiskCacheOptions) {
    const { bytesLimit } = options
    this.#options = options
    this.bytesLimit = bytesLimit
    this.#segmentBytes = Math.floor(bytesLimit / slotCount)
    this.objectBytesMax = Math.min(options.objectBytesMax ?? objectBytesMaxDefault, this.#segmentBytes >> 2)
    this.#records = new Uint8Array(
      Math.ceil(Math.min(gatheredMax, this.#segmentBytes) / 4 / recordBytes) * recordBytes,
    )
    this.#data = new Uint8Array(Math.min(gatheredMax, this.#segmentBytes >> 1))
    this.#entries = this.#newEntries()
    this.#guard(() => this.#load())
  }

  /** The snapshot that all is said of; `noTid` before the first. */
  get horizon(): Tid {
    return this.#horizon
  }

  get entries(): number {
    return this.#entries.count
  }

  /** Of all files, with what is still to be written. */
  get bytes(): number {
    let bytes = this.#recordsBytes + this.#dataBytes
    for (const segment of this.#segments.values()) bytes += segment.dataBytes + segment.indexBytes
    return bytes
  }

  // --- Which store ---

  /**
   * Says which life of which store is there now: 20 bytes that no other life has. Undefined when the entries are of
   * another one: they are doubtful then.
   * @param lastTid of that store. An entry that is newer cannot be of it: then all are forgotten
   * @returns whether the entries are proven to be of it, as of `horizon`
   */
  begin(origin: Uint8Array, lastTid: Tid): boolean {
    if (this.#isClosed) return false
    if (lastTid < this.#horizon) {
      this.#options.log(
        `the disk cache ${this.#options.folder} is of another database, or of a newer state of this one; it is emptied`,
      )
      this.clear()
    }
    const isSame = Buffer.compare(origin, this.#origin) === 0
    if (!isSame) {
      this.#origin = origin.slice()
      this.#entries.doubt()
      // The origin stands in the headers; whoever reads a new one there, doubts what stands before.
      this.#guard(() => this.#roll())
    }
    return isSame && this.#horizon !== noTid
  }

  /**
   * The newest snapshot is `horizon`.
   * @param changes every object that changed in (since, horizon]; `'all'` when that is not known
   */
  advance(horizon: Tid, since: Tid, changes: readonly Change[] | 'all'): void {
    if (this.#isClosed || horizon <= this.#horizon) return
    this.#guard(() => {
      if (changes === 'all' || since > this.#horizon) {
        this.#entries.doubt()
        this.#record(0 as Oid, noTid, kinds.doubt)
      } else {
        for (const { oid, tid } of changes) {
          const node = this.#entries.find(oid)
          if (node !== 0 && this.#entries.tidOf(node) !== tid) this.#drop(node)
        }
      }
      this.#horizon = horizon
      this.#record(0 as Oid, horizon, kinds.horizon)
    })
  }

  // --- Entries ---

  /** The revision that is here and proven, without reading it. */
  find(oid: Oid): Tid | undefined {
    const node = this.#isClosed ? 0 : this.#entries.find(oid)
    return node !== 0 && this.#entries.isProven(node) ? this.#entries.tidOf(node) : undefined
  }

  /** The state of an object that is here. Undefined where the disk did not keep it. */
  read(oid: Oid): Uint8Array | undefined {
    const node = this.#isClosed ? 0 : this.#entries.find(oid)
    if (node === 0) return undefined
    return this.#guard(() => {
      const state = this.#read(node)
      if (state !== undefined) this.#entries.hit(node)
      return state
    })
  }

  /** Takes in a revision that the horizon shows. */
  put(oid: Oid, tid: Tid, data: Uint8Array): void {
    if (this.#isClosed || tid > this.#horizon || data.length > this.objectBytesMax || oid >= oidLimit) return
    if (this.find(oid) === tid) return
    this.#guard(() => {
      // First: making room moves and drops entries.
      this.#makeRoom(data.length)
      const node = this.#entries.find(oid)
      if (node !== 0) this.#drop(node)
      const added = this.#entries.add(oid, tid, data.length, node !== 0, (other) => this.#recordGone(other))
      if (added === 0) return
      this.#entries.setProven(added)
      this.#append(added, data, checksumOf(oid, tid, data))
    })
  }

  /** Entries of which nobody knows whether the horizon shows them, as they are now. */
  *doubtful(): Generator<{ readonly oid: Oid; readonly tid: Tid; readonly checksum: number }> {
    for (const node of this.#entries.all()) {
      if (this.#isClosed || this.#entries.isProven(node)) continue
      const { checksum } = this.#entries.placeOf(node)
      yield { oid: this.#entries.oidOf(node), tid: this.#entries.tidOf(node), checksum }
    }
  }

  /** The horizon shows this revision. */
  confirm(oid: Oid, tid: Tid): void {
    const node = this.#isClosed ? 0 : this.#entries.find(oid)
    if (node === 0 || this.#entries.tidOf(node) !== tid || this.#entries.isProven(node)) return
    this.#guard(() => {
      this.#entries.setProven(node)
      this.#record(oid, tid, kinds.confirmed)
    })
  }

  /** The store does not have this revision, or not any more. Not so of one that was taken in since it was asked about. */
  dropDoubtful(oid: Oid, tid: Tid): void {
    const node = this.#isClosed ? 0 : this.#entries.find(oid)
    if (node === 0 || this.#entries.tidOf(node) !== tid || this.#entries.isProven(node)) return
    this.#guard(() => this.#drop(node))
  }

  /** Forgets everything, on the disk too. */
  clear(): void {
    if (this.#isClosed) return
    this.#guard(() => {
      const sequence = this.#active?.sequence ?? 0
      for (const segment of this.#segments.values()) segment.remove()
      this.#segments.clear()
      this.#active = undefined
      this.#recordsBytes = 0
      this.#dataBytes = 0
      this.#entries = this.#newEntries()
      this.#horizon = noTid
      this.#begin(sequence + 1, 0)
    })
  }

  /** Hands what has gathered to the system. Happens by itself twice a second. */
  flush(): void {
    if (this.#isClosed) return
    this.#guard(() => {
      this.#flush()
      const { dataBytes, indexBytes } = this.#active!
      if (dataBytes + indexBytes > this.#segmentBytes) this.#roll()
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.flush()
    if (!this.#isClosed) this.#end()
  }

  /** For tests: what does not agree. */
  audit(): string[] {
    const problems = this.#entries.audit()
    if (this.bytes > this.bytesLimit) problems.push(`${this.bytes} bytes are more than ${this.bytesLimit}`)
    return problems
  }

  // --- The log ---

  #newEntries(): DiskEntries {
    const capacity = Math.floor(this.bytesLimit * liveShare)
    return new DiskEntries(capacity, Math.ceil(this.bytesLimit / bytesPerEntryMin), this.#options.policy)
  }

  #load(): void {
    const { files, folder } = this.#options
    const found: FoundSegment[] = []
    for (let slot = 0; slot < slotCount; slot++) {
      const one = Segment.find(files, folder, slot)
      if (one === undefined) Segment.remove(files, folder, slot)
      else found.push(one)
    }
    found.sort((a, b) => b.header.sequence - a.header.sequence)
    // The newest, and those before it as long as each is there to its end.
    let whole = 0
    while (whole < found.length && (whole === 0 || follows(found[whole - 1]!, found[whole]!))) whole++
    for (const { segment } of found.splice(whole)) segment.remove()
    for (const one of found.reverse()) {
      this.#segments.set(one.segment.slot, one.segment)
      this.#replay(one)
    }
    const last = found.at(-1)?.segment
    this.#begin((last?.sequence ?? 0) + 1, last?.chain ?? 0)
    this.#reclaimEnough()
  }

  #replay({ segment, header, batches }: FoundSegment): void {
    const entries = this.#entries
    if (Buffer.compare(header.origin, this.#origin) !== 0) entries.doubt()
    this.#origin = header.origin
    this.#horizon = header.horizon
    const recordGone = (other: number) => this.#recordGone(other)
    for (const { doubles, words } of batches) {
      for (let record = 0; record < words.length / 8; record++) {
        const oid = doubles[record * 4] as Oid
        const tid = doubles[record * 4 + 1] as Tid
        const kind = words[record * 8 + 7]
        if (kind === kinds.horizon) {
          this.#horizon = tid
          continue
        }
        if (kind === kinds.doubt) {
          entries.doubt()
          continue
        }
        const node = entries.find(oid)
        if (kind === kinds.confirmed) {
          if (node !== 0 && entries.tidOf(node) === tid) entries.setProven(node)
          continue
        }
        if (node !== 0) entries.remove(node)
        if (kind === kinds.gone) continue
        const length = words[record * 8 + 5]!
        const added = entries.add(oid, tid, length, false, recordGone)
        if (added === 0) {
          this.#record(oid, tid, kinds.gone)
          continue
        }
        entries.setPlace(added, segment.slot, words[record * 8 + 4]!, words[record * 8 + 6]!)
        if (kind === kinds.state) entries.setProven(added)
      }
    }
  }

  /** A new segment in a free slot. */
  #begin(sequence: number, chain: number): void {
    const { files, folder } = this.#options
    let slot = 0
    while (this.#segments.has(slot)) slot++
    const header = { sequence, chain, horizon: this.#horizon, origin: this.#origin }
    this.#active = Segment.create(files, folder, slot, header)
    this.#segments.set(slot, this.#active)
  }

  /** The active segment is full. One slot is always free: when the last is taken, the oldest segment goes. */
  #roll(): void {
    this.#flush()
    this.#begin(this.#active!.sequence + 1, this.#active!.chain)
    this.#reclaimEnough()
  }

  /** Room for one more segment. The limit may also be lower than when the segments were written. */
  #reclaimEnough(): void {
    // Two segments: what is no state, and what has been gathered, may go beyond the end of one.
    const bytesMax = this.bytesLimit - 2 * this.#segmentBytes
    const isFull = () => this.#segments.size >= slotCount || this.bytes > bytesMax
    while (this.#segments.size > 1 && isFull()) this.#reclaim()
  }

  #reclaim(): void {
    let oldest = this.#active!
    for (const segment of this.#segments.values()) if (segment.sequence < oldest.sequence) oldest = segment
    for (const node of [...this.#entries.all(oldest.slot)]) {
      const state = this.#read(node)
      if (state !== undefined) this.#append(node, state, this.#entries.placeOf(node).checksum)
    }
    // First the copies, then the removal: the other way round, entries would be lost; this way at worst one is twice.
    this.#flush()
    this.#segments.delete(oldest.slot)
    oldest.remove()
  }

  #makeRoom(length: number): void {
    const { dataBytes, indexBytes } = this.#active!
    const gathered = this.#dataBytes + this.#recordsBytes
    if (dataBytes + indexBytes + gathered + length + 2 * recordBytes > this.#segmentBytes) this.#roll()
  }

  #append(node: number, data: Uint8Array, checksum: number): void {
    if (this.#dataBytes + data.length > this.#data.length) this.#flush()
    if (data.length > this.#data.length) this.#data = new Uint8Array(data.length)
    const active = this.#active!
    const offset = active.dataBytes + this.#dataBytes
    this.#data.set(data, this.#dataBytes)
    this.#dataBytes += data.length
    this.#entries.setPlace(node, active.slot, offset, checksum)
    const kind = this.#entries.isProven(node) ? kinds.state : kinds.doubtful
    this.#record(this.#entries.oidOf(node), this.#entries.tidOf(node), kind, offset, data.length, checksum)
  }

  #drop(node: number): void {
    this.#recordGone(node)
    this.#entries.remove(node)
  }

  #recordGone(node: number): void {
    this.#record(this.#entries.oidOf(node), this.#entries.tidOf(node), kinds.gone)
  }

  #record(oid: Oid, tid: Tid, kind: number, offset = 0, length = 0, checksum = 0): void {
    const at = this.#recordsBytes
    if (at === this.#records.length) {
      // While opening there is no segment to write to yet.
      if (this.#active !== undefined) this.#flush()
      else this.#growRecords()
    }
    const from = this.#recordsBytes
    new Float64Array(this.#records.buffer, from, 2).set([oid, tid])
    new Uint32Array(this.#records.buffer, from + 16, 4).set([offset, length, checksum, kind])
    this.#recordsBytes = from + recordBytes
    this.#schedule()
  }

  #growRecords(): void {
    const grown = new Uint8Array(2 * this.#records.length)
    grown.set(this.#records)
    this.#records = grown
  }

  #flush(): void {
    if (this.#recordsBytes === 0) return
    const data = this.#data.subarray(0, this.#dataBytes)
    const records = this.#records.subarray(0, this.#recordsBytes)
    this.#active!.append(data, records)
    this.#dataBytes = 0
    this.#recordsBytes = 0
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.flush()
    }, flushMs)
    // Losing the last half second is no reason to keep a process alive.
    this.#timer.unref()
  }

  #read(node: number): Uint8Array | undefined {
    const { slot, offset, length, checksum } = this.#entries.placeOf(node)
    const segment = this.#segments.get(slot)!
    const isBuffered = segment === this.#active && offset >= segment.dataBytes
    const buffered = offset - segment.dataBytes
    const state = isBuffered ? this.#data.slice(buffered, buffered + length) : segment.read(offset, length)
    const [oid, tid] = [this.#entries.oidOf(node), this.#entries.tidOf(node)]
    if (state.length === length && checksumOf(oid, tid, state) === checksum) return state
    this.damaged++
    this.#drop(node)
    return undefined
  }

  /** A cache that cannot be written is not worth an error to anybody: it is given up, and reported. */
  #guard<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
      this.#options.log(
        `the disk cache ${this.#options.folder} is not used any more: ${describeError(error)}`,
      )
      this.#end()
      return undefined
    }
  }

  #end(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const segment of this.#segments.values()) segment.close()
    this.#segments.clear()
    this.#options.onEnd?.()
  }
}

/** Whether `earlier` is there to its end, and `later` begins behind it. */
function follows(later: FoundSegment, earlier: FoundSegment): boolean {
  return later.header.sequence === earlier.header.sequence + 1 && later.header.chain === earlier.segment.chain
}

const ids = new Uint8Array(2 * idBytes)

/** Of the state and of whose it is: the digest by which a server recognises a revision. */
export function checksumOf(oid: Oid, tid: Tid, state: Uint8Array): number {
  writeId(ids, oid, 0)
  writeId(ids, tid, idBytes)
  return crc32(state, crc32(ids))
}
