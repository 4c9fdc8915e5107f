/**
 * Where the newest revision of each object lies in the log: object id → position and serial, plus the claims of
 * transactions that have voted. In shared memory, for all threads at once.
 *
 * Object ids are given out one after the other, so the index is an array, cut into pages of 512 objects; a small hash
 * table finds the page, which also takes ids that leave gaps. 18 bytes per object. The whole address range is set
 * aside at once, because shared memory that grows costs ten times more per access on Node 20; the system supplies
 * memory only where a page is touched.
 *
 * Readers take no lock. An entry may already point to a revision that is not published: readers look at its serial
 * and walk back. All writing happens with the log's mutex held.
 */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'

export const slotsPerPage = 512
const bytesPerSlot = 8 + 8 + 2
/** One page: its slots, and two directory entries, so that the hash table is at most half full. */
const bytesPerPage = slotsPerPage * bytesPerSlot + 2 * (8 + 4)
const headerBytes = 64

/** In the claims of an object: a transaction has voted to write it. Lower values count those that only read it. */
const writeClaim = 0xffff

/** Regions of closed logs, empty. */
const spareBuffers: SharedArrayBuffer[] = []

/**
 * Address space for an index of at most `bytes`; less where the system refuses so much. Given back with
 * `releaseIndexBuffer`, it is used again: the collector of garbage does not see how large shared memory is, and hundreds
 * of closed logs would use up what a process may reserve, so that it could not even start another one.
 */
export function acquireIndexBuffer(bytes: number): SharedArrayBuffer {
  const wanted = Math.max(bytes, 64 * bytesPerPage)
  const at = spareBuffers.findIndex((spare) => spare.byteLength === wanted)
  if (at >= 0) return spareBuffers.splice(at, 1)[0]!
  for (let size = wanted; ; size = Math.floor(size / 2)) {
    try {
      return new SharedArrayBuffer(size)
    } catch (error) {
      if (!(error instanceof RangeError) || size < 1 << 20) throw error
    }
  }
}

/** No thread may use it any more. */
export function releaseIndexBuffer(buffer: SharedArrayBuffer): void {
  new PositionIndex(buffer).clear()
  spareBuffers.push(buffer)
}

export class PositionIndex {
  readonly #header: Int32Array
  readonly #pageKeys: BigInt64Array
  readonly #pageNumbers: Int32Array
  readonly #positions: BigInt64Array
  readonly #serials: Float64Array
  readonly #claims: Uint16Array
  readonly #pageLimit: number
  readonly #directoryMask: number

  constructor(buffer: SharedArrayBuffer) {
    let directory = 64
    while (directory * 2 * (bytesPerPage / 2) <= buffer.byteLength - headerBytes) directory *= 2
    const directoryBytes = directory * (8 + 4)
    const pages = Math.min(
      directory >> 1,
      Math.floor((buffer.byteLength - headerBytes - directoryBytes) / (slotsPerPage * bytesPerSlot)),
    )
    const slots = pages * slotsPerPage
    this.#pageLimit = pages
    this.#directoryMask = directory - 1
    this.#header = new Int32Array(buffer, 0, headerBytes / 4)
    this.#pageKeys = new BigInt64Array(buffer, headerBytes, directory)
    this.#positions = new BigInt64Array(buffer, headerBytes + directory * 8, slots)
    this.#serials = new Float64Array(buffer, headerBytes + directory * 8 + slots * 8, slots)
    this.#pageNumbers = new Int32Array(buffer, headerBytes + directory * 8 + slots * 16, directory)
    this.#claims = new Uint16Array(buffer, headerBytes + directory * 12 + slots * 16, slots)
  }

  get pages(): number {
    return Atomics.load(this.#header, 0)
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.pages * bytesPerPage
  }

  /** Position of the newest revision; 0 when there is none. */
  position(oid: Oid): number {
    const slot = this.#find(oid)
    return slot < 0 ? 0 : Number(Atomics.load(this.#positions, slot))
  }

  // --- with the mutex held ---

  /** Serial of the newest revision; 0 when there is none. */
  serial(oid: Oid): Tid {
    const slot = this.#find(oid)
    return (slot < 0 ? 0 : this.#serials[slot]!) as Tid
  }

  set(oid: Oid, position: number, serial: Tid): void {
    const slot = this.#make(oid)
    this.#serials[slot] = serial
    Atomics.store(this.#positions, slot, BigInt(position))
  }

  /** True if a transaction that wants to write (or else only read) the object has to wait for another. */
  isClaimed(oid: Oid, forWriting: boolean): boolean {
    const slot = this.#find(oid)
    if (slot < 0) return false
    const claims = this.#claims[slot]!
    return forWriting ? claims !== 0 : claims >= writeClaim - 1
  }

  /** @throws ShootoutError `index-full` */
  makeRoom(oid: Oid): void {
    this.#make(oid)
  }

  /** There must be room for the object. */
  claim(oid: Oid, forWriting: boolean): void {
    const slot = this.#find(oid)
    this.#claims[slot] = forWriting ? writeClaim : this.#claims[slot]! + 1
  }

  unclaim(oid: Oid, forWriting: boolean): void {
    const slot = this.#find(oid)
    this.#claims[slot] = forWriting ? 0 : this.#claims[slot]! - 1
  }

  /** Takes over the claims of another index: of the one that this takes the place of. */
  copyClaims(from: PositionIndex): void {
    for (const start of from.pageStarts()) {
      const first = from.#find(start)
      const claims = from.#claims.subarray(first, first + slotsPerPage)
      if (!claims.some((count) => count !== 0)) continue
      this.#claims.set(claims, this.#make(start))
    }
  }

  /** Makes the index empty. */
  clear(): void {
    const slots = this.pages * slotsPerPage
    this.#pageKeys.fill(0n)
    this.#positions.fill(0n, 0, slots)
    this.#serials.fill(0, 0, slots)
    this.#claims.fill(0, 0, slots)
    Atomics.store(this.#header, 0, 0)
  }

  /** First object id of every page, in no order. */
  *pageStarts(): Generator<Oid> {
    for (const key of this.#pageKeys) if (key !== 0n) yield ((Number(key) - 1) * slotsPerPage) as Oid
  }

  /** Copies the page that begins with object `start`. */
  copyPage(start: Oid, positions: BigInt64Array, serials: Float64Array): void {
    const first = this.#find(start)
    positions.set(this.#positions.subarray(first, first + slotsPerPage))
    serials.set(this.#serials.subarray(first, first + slotsPerPage))
  }

  /** Puts a page back that `copyPage` gave. Nobody else may use the index yet. */
  fillPage(start: Oid, positions: BigInt64Array, serials: Float64Array): void {
    const first = this.#make(start)
    this.#positions.set(positions, first)
    this.#serials.set(serials, first)
  }

  /** Slot of an object, or -1 where its page does not exist. */
  #find(oid: Oid): number {
    const page = Math.floor(oid / slotsPerPage)
    const key = BigInt(page + 1)
    for (let at = pageHash(page) & this.#directoryMask; ; at = (at + 1) & this.#directoryMask) {
      const found = Atomics.load(this.#pageKeys, at)
      if (found === key) return this.#pageNumbers[at]! * slotsPerPage + (oid - page * slotsPerPage)
      if (found === 0n) return -1
    }
  }

  #make(oid: Oid): number {
    const slot = this.#find(oid)
    if (slot >= 0) return slot
    const pages = this.pages
    if (pages >= this.#pageLimit) {
      throw new ShootoutError(
        'index-full',
        `file: the index has room for ${pages * slotsPerPage} objects with ids close together, and no more for object ${oid}; open the store with a larger indexBytes`,
        { details: { oid, pages } },
      )
    }
    const page = Math.floor(oid / slotsPerPage)
    let at = pageHash(page) & this.#directoryMask
    while (this.#pageKeys[at] !== 0n) at = (at + 1) & this.#directoryMask
    this.#pageNumbers[at] = pages
    Atomics.store(this.#header, 0, pages + 1)
    // The key last: a reader that finds it finds the number beside it too.
    Atomics.store(this.#pageKeys, at, BigInt(page + 1))
    return pages * slotsPerPage + (oid - page * slotsPerPage)
  }
}

function pageHash(page: number): number {
  return (Math.imul(page | 0, 0x9e3779b1) ^ Math.imul((page / 0x1_0000_0000) | 0, 0x85ebca6b)) >>> 7
}
