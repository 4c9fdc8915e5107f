/**
 * Where the newest revision of each object lies in the log: object id → position and serial, plus the claims of
 * transactions that have voted. In shared memory, for all threads at once.
 *
 * Object ids are given out one after the other, so the index is an array, cut into pages of 512 objects; a small hash
 * table, the directory, finds the page, which also takes ids that leave gaps. 18 bytes per object.
 *
 * Packing gives every object another position, in another log. There is one set of pages nevertheless: the sign of a
 * position tells whether it is one in a log of an even or an odd generation, and each of the two has its directory.
 * So `replace` exchanges positions page by page, under readers' eyes, and the generation changes when all is done.
 *
 * Readers take no lock. An entry may already point to a revision that is not published: readers look at its serial
 * and walk back. All writing happens with the log's mutex held. Positions are plain 64-bit floats, because atomic
 * access to 64-bit integers makes a BigInt of each, which took a tenth of a load: an aligned one is read and written
 * whole by every machine that Node runs on, and what orders it is `lastTid`, which is atomic. A reader that raced
 * nevertheless finds no record of its object where it looks, and looks again.
 */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'

export const slotsPerPage = 512
const bytesPerSlot = 8 + 8 + 2
const bytesPerDirectoryEntry = 8 + 4
/** One page: its slots, and two entries of each directory, so that the hash tables are at most half full. */
export const bytesPerPage = slotsPerPage * bytesPerSlot + 2 * 2 * bytesPerDirectoryEntry
const headerBytes = 64

/** Words of the header. */
const word = {
  /** Pages ever used. */
  pages: 0,
  /** First of the pages that are free again, counted from 1; each has the next one as its first serial. */
  free: 1,
  freeCount: 2,
} as const

/** In the claims of an object: a transaction has voted to write it. Lower values count those that only read it. */
const writeClaim = 0xffff

/** The entry belongs to the other generation: the log is just being replaced, or has been. */
export const movedPosition = -1

/** The positions of a page that `replace` puts in place; undefined when no object of it is left. */
export type NewPositions = (start: Oid) => Float64Array | undefined

export class PositionIndex {
  readonly #header: Int32Array
  readonly #pageKeys: Float64Array
  /** Number of the page, counted from 1; 0: the entry is free. */
  readonly #pageNumbers: Int32Array
  /** Those of both directories. */
  readonly #allPageNumbers: Int32Array
  readonly #positions: Float64Array
  readonly #serials: Float64Array
  readonly #claims: Uint16Array
  readonly #pageLimit: number
  readonly #directoryMask: number
  readonly #sign: 1 | -1

  /** @param generation of the log; only whether it is even counts */
  constructor(buffer: SharedArrayBuffer, generation: number) {
    const available = buffer.byteLength - headerBytes
    let directory = 64
    while (directory * bytesPerPage <= available) directory *= 2
    const directoriesBytes = 2 * directory * bytesPerDirectoryEntry
    const pages = Math.min(
      directory >> 1,
      Math.floor((available - directoriesBytes) / (slotsPerPage * bytesPerSlot)),
    )
    const slots = pages * slotsPerPage
    const odd = generation & 1
    this.#pageLimit = pages
    this.#directoryMask = directory - 1
    this.#sign = odd === 0 ? 1 : -1
    let at = headerBytes
    const take = (bytes: number) => {
      at += bytes
      return at - bytes
    }
    this.#header = new Int32Array(buffer, 0, headerBytes / 4)
    this.#pageKeys = new Float64Array(buffer, take(2 * directory * 8) + odd * directory * 8, directory)
    this.#positions = new Float64Array(buffer, take(slots * 8), slots)
    this.#serials = new Float64Array(buffer, take(slots * 8), slots)
    this.#allPageNumbers = new Int32Array(buffer, take(2 * directory * 4), 2 * directory)
    this.#pageNumbers = this.#allPageNumbers.subarray(odd * directory, (odd + 1) * directory)
    this.#claims = new Uint16Array(buffer, take(slots * 2), slots)
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return (this.#header[word.pages]! - this.#header[word.freeCount]!) * bytesPerPage
  }

  /** Position of the newest revision; 0 when there is none; `movedPosition`. */
  position(oid: Oid): number {
    const slot = this.#find(oid)
    if (slot < 0) return 0
    // Plus 0, because 0 times a sign may be −0.
    return Math.max(this.#positions[slot]! * this.#sign + 0, movedPosition)
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
    this.#positions[slot] = position * this.#sign
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

  /** Gives up all claims of all objects. */
  clearClaims(): void {
    this.#claims.fill(0, 0, this.#header[word.pages]! * slotsPerPage)
  }

  /**
   * Takes the place of `old`, the index of the generation before in the same memory: serials and claims stay, positions
   * become those of the new log. Pages of which nothing is left can be used again. Takes about a millisecond for each
   * million objects.
   */
  replace(old: PositionIndex, positionsOf: NewPositions): void {
    this.#pageNumbers.fill(0)
    for (const start of old.pageStarts()) {
      const first = old.#find(start)
      const last = first + slotsPerPage
      const positions = positionsOf(start)
      if (positions === undefined) {
        this.#positions.fill(0, first, last)
        this.#serials.fill(0, first, last)
        if (this.#claims.subarray(first, last).some((count) => count !== 0)) this.#enter(start, first)
        else this.#free(first)
        continue
      }
      for (let slot = 0; slot < slotsPerPage; slot++) {
        this.#positions[first + slot] = positions[slot]! * this.#sign
        if (positions[slot] === 0) this.#serials[first + slot] = 0
      }
      this.#enter(start, first)
    }
  }

  /** Empties the memory. */
  clear(): void {
    const slots = this.#header[word.pages]! * slotsPerPage
    this.#allPageNumbers.fill(0)
    this.#positions.fill(0, 0, slots)
    this.#serials.fill(0, 0, slots)
    this.#claims.fill(0, 0, slots)
    this.#header.fill(0)
  }

  /** First object id of every page, in no order. */
  *pageStarts(): Generator<Oid> {
    for (let at = 0; at <= this.#directoryMask; at++) {
      if (Atomics.load(this.#pageNumbers, at) !== 0) yield (this.#pageKeys[at]! * slotsPerPage) as Oid
    }
  }

  /** Copies the page that begins with object `start`. */
  copyPage(start: Oid, positions: Float64Array, serials: Float64Array): void {
    const first = this.#find(start)
    for (let slot = 0; slot < slotsPerPage; slot++) {
      positions[slot] = Math.abs(this.#positions[first + slot]!)
    }
    serials.set(this.#serials.subarray(first, first + slotsPerPage))
  }

  /** Puts a page back that `copyPage` gave. Nobody else may use the index yet. */
  fillPage(start: Oid, positions: Float64Array, serials: Float64Array): void {
    const first = this.#make(start)
    for (let slot = 0; slot < slotsPerPage; slot++) {
      this.#positions[first + slot] = positions[slot]! * this.#sign
    }
    this.#serials.set(serials, first)
  }

  /** Slot of an object, or -1 where its page does not exist. */
  #find(oid: Oid): number {
    const page = Math.floor(oid / slotsPerPage)
    for (let at = pageHash(page) & this.#directoryMask; ; at = (at + 1) & this.#directoryMask) {
      const number = Atomics.load(this.#pageNumbers, at)
      if (number === 0) return -1
      if (this.#pageKeys[at] === page) return (number - 1) * slotsPerPage + (oid - page * slotsPerPage)
    }
  }

  #make(oid: Oid): number {
    const slot = this.#find(oid)
    if (slot >= 0) return slot
    const inPage = oid % slotsPerPage
    const first = this.#takePage(oid)
    this.#enter((oid - inPage) as Oid, first)
    return first + inPage
  }

  /** First slot of a page that is empty. */
  #takePage(oid: Oid): number {
    const header = this.#header
    const free = header[word.free]!
    if (free > 0) {
      const first = (free - 1) * slotsPerPage
      header[word.free] = this.#serials[first]!
      header[word.freeCount]!--
      this.#serials[first] = 0
      return first
    }
    const pages = header[word.pages]!
    if (pages >= this.#pageLimit) {
      throw new ShootoutError(
        'index-full',
        `file: the index has room for ${pages * slotsPerPage} objects with ids close together, and no more for object ${oid}; open the store with a larger indexBytes`,
        { details: { oid, pages } },
      )
    }
    header[word.pages] = pages + 1
    return pages * slotsPerPage
  }

  /** The page that begins with slot `first` is empty, and no longer in the directory. */
  #free(first: number): void {
    const header = this.#header
    this.#serials[first] = header[word.free]!
    header[word.free] = first / slotsPerPage + 1
    header[word.freeCount]!++
  }

  /** Enters a page that begins with object `start` and slot `first` into the directory. */
  #enter(start: Oid, first: number): void {
    const page = start / slotsPerPage
    let at = pageHash(page) & this.#directoryMask
    while (this.#pageNumbers[at] !== 0) at = (at + 1) & this.#directoryMask
    this.#pageKeys[at] = page
    // The number last: a reader that finds it finds the key beside it too.
    Atomics.store(this.#pageNumbers, at, first / slotsPerPage + 1)
  }
}

function pageHash(page: number): number {
  return (Math.imul(page | 0, 0x9e3779b1) ^ Math.imul((page / 0x1_0000_0000) | 0, 0x85ebca6b)) >>> 7
}
