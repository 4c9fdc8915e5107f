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
import { replay } from './replay.ts'
import { kinds, originBytes } from './segment.ts'
import { type LoadedSegment, SegmentLog } from './segment-log.ts'

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

/** Live entries fill so much of the files at most; the rest is what is not needed any more, and not yet removed. */
const liveShare = 0.6
const bytesPerEntryMin = 192
const objectBytesMaxDefault = 1024 ** 2
const flushMs = 500

export class DiskCache {
  readonly objectBytesMax: number
  readonly bytesLimit: number
  /** States that turned out not to be what was written. */
  damaged = 0
  readonly #options: DiskCacheOptions
  readonly #log: SegmentLog
  #entries: DiskEntries
  #horizon: Tid = noTid
  #origin: Uint8Array = new Uint8Array(originBytes)
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** Opens what is there. Never throws: what cannot be used is left out or begun anew, and reported. */
  constructor(options: DiskCacheOptions) {
    const { bytesLimit } = options
    this.#options = options
    this.bytesLimit = bytesLimit
    this.#log = new SegmentLog(options)
    const stateBytesMax = this.#log.segmentBytes >> 2
    this.objectBytesMax = Math.min(options.objectBytesMax ?? objectBytesMaxDefault, stateBytesMax)
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
    return this.#log.bytes
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

  /** Whether `begin` with that origin would find the entries proven. */
  isOf(origin: Uint8Array): boolean {
    return this.#horizon !== noTid && Buffer.compare(origin, this.#origin) === 0
  }

  /** It has been proven by other means that this is another life of the same store: what was proven stays so. */
  adopt(origin: Uint8Array): void {
    if (this.#isClosed) return
    this.#guard(() => {
      const proven = [...this.#entries.all()].filter((node) => this.#entries.isProven(node))
      this.#origin = origin.slice()
      // Whoever reads the new origin doubts what stands before it, and then reads that it is confirmed.
      this.#roll()
      for (const node of proven) {
        if (this.#entries.isProven(node))
          this.#record(this.#entries.oidOf(node), this.#entries.tidOf(node), kinds.confirmed)
      }
    })
  }

  /** The newest revision that is proven. */
  newest(): { readonly oid: Oid; readonly tid: Tid; readonly checksum: number } | undefined {
    let newest = 0
    for (const node of this.#isClosed ? [] : this.#entries.all()) {
      if (!this.#entries.isProven(node)) continue
      if (newest === 0 || this.#entries.tidOf(node) > this.#entries.tidOf(newest)) newest = node
    }
    if (newest === 0) return undefined
    const { checksum } = this.#entries.placeOf(newest)
    return { oid: this.#entries.oidOf(newest), tid: this.#entries.tidOf(newest), checksum }
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
      this.#entries = this.#newEntries()
      this.#horizon = noTid
      this.#log.clear(this.#saying)
    })
  }

  /** Hands what has gathered to the system. Happens by itself twice a second. */
  flush(): void {
    if (this.#isClosed) return
    this.#guard(() => {
      this.#log.flush()
      if (this.#log.isActiveFull()) this.#roll()
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

  get #saying() {
    return { horizon: this.#horizon, origin: this.#origin }
  }

  #load(): void {
    this.#entries.reserve(this.#log.find())
    for (const loaded of this.#log.load()) this.#replay(loaded)
    this.#log.begin(this.#saying)
    this.#reclaimEnough()
  }

  #replay({ segment, header, batches, isFirst }: LoadedSegment): void {
    if (isFirst && this.#entries.count > 0) this.#entries = this.#newEntries()
    if (Buffer.compare(header.origin, this.#origin) !== 0) this.#entries.doubt()
    this.#origin = header.origin
    const recordGone = (oid: Oid, tid: Tid) => this.#record(oid, tid, kinds.gone)
    this.#horizon = replay(batches, segment.slot, header.horizon, this.#entries, recordGone)
  }

  /** The active segment is full. One slot is always free: when the last is taken, the oldest segment goes. */
  #roll(): void {
    this.#log.roll(this.#saying)
    this.#reclaimEnough()
  }

  #reclaimEnough(): void {
    while (this.#log.isFull) this.#reclaim()
  }

  #reclaim(): void {
    const oldest = this.#log.oldest!
    for (const node of [...this.#entries.all(oldest.slot)]) {
      const state = this.#read(node)
      if (state !== undefined) this.#append(node, state, this.#entries.placeOf(node).checksum)
    }
    // First the copies, then the removal: the other way round, entries would be lost; this way at worst one is twice.
    this.#log.flush()
    this.#log.remove(oldest)
  }

  #makeRoom(length: number): void {
    if (this.#log.isActiveFull(length)) this.#roll()
  }

  #append(node: number, data: Uint8Array, checksum: number): void {
    const { slot, offset } = this.#log.append(data)
    this.#entries.setPlace(node, slot, offset, checksum)
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
    this.#log.record(oid, tid, kind, offset, length, checksum)
    this.#schedule()
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
    const place = this.#entries.placeOf(node)
    const state = this.#log.read(place)
    const [oid, tid] = [this.#entries.oidOf(node), this.#entries.tidOf(node)]
    if (state.length === place.length && checksumOf(oid, tid, state) === place.checksum) return state
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
    this.#log.close()
    this.#options.onEnd?.()
  }
}

const ids = new Uint8Array(2 * idBytes)

/** Of the state and of whose it is: the digest by which a server recognises a revision. */
export function checksumOf(oid: Oid, tid: Tid, state: Uint8Array): number {
  writeId(ids, oid, 0)
  writeId(ids, tid, idBytes)
  return crc32(state, crc32(ids))
}
