/**
 * The hash table of a shard: from the hash of an object id to the entries of its revisions. Slots stand in buckets of one
 * cache line each, and every hash has two of them, so that looking, entering and leaving touch two lines at most, and
 * never an entry that was not meant.
 *
 *     word 0         entries that belong here and stand in their second bucket, because this one was full
 *     words 1 to 15  slots, the used ones first: block of an entry (24 bits) and the top of its hash (8 bits)
 *
 * Where both buckets are full, something in them has to go (`obstacle`). With the table filled to `fillMax`, that befalls
 * two entries in a hundred.
 *
 * Positions are indexes of words. All methods want the lock of the shard held.
 */

import { blockMask, bucketWords } from './shard-layout.ts'

const slotsPerBucket = bucketWords - 1
const fillMax = 0.8

export class SlotTable {
  readonly #words: Int32Array
  readonly #start: number
  /** Buckets for each of the 2^32 hashes. */
  readonly #scale: number
  /** Entries that should not be exceeded. */
  readonly entriesMax: number

  /** @param start of the table in `words`, a multiple of `bucketWords`. All zero at first */
  constructor(words: Int32Array, start: number, buckets: number) {
    this.#words = words
    this.#start = start
    this.#scale = buckets / 2 ** 32
    this.entriesMax = Math.floor(buckets * slotsPerBucket * fillMax)
  }

  /** Position of a slot that may be meant by this hash, or 0. */
  first(hash: number): number {
    const bucket = this.#firstBucket(hash)
    const at = slotBehind(this.#words, bucket, hash >>> 24)
    return at !== 0 || this.#words[bucket] === 0 ? at : this.#inSecond(hash)
  }

  /** Position of the next one behind `at`, or 0. */
  next(at: number, hash: number): number {
    const bucket = at & -bucketWords
    const found = slotBehind(this.#words, at, hash >>> 24)
    const hasMore = this.#words[bucket] !== 0 && bucket === this.#firstBucket(hash)
    return found === 0 && hasMore ? this.#inSecond(hash) : found
  }

  #inSecond(hash: number): number {
    const second = this.#secondBucket(hash)
    return second === this.#firstBucket(hash) ? 0 : slotBehind(this.#words, second, hash >>> 24)
  }

  /** First block of the entry whose slot is at this position. */
  nodeAt(at: number): number {
    return this.#words[at]! & blockMask
  }

  /** An entry that must leave before one with this hash can enter; 0 where there is room. */
  obstacle(hash: number): number {
    const words = this.#words
    const second = this.#secondBucket(hash)
    const isFull =
      words[this.#firstBucket(hash) + slotsPerBucket] !== 0 && words[second + slotsPerBucket] !== 0
    return isFull ? this.nodeAt(second + 1) : 0
  }

  /** Nothing may be in its way. */
  enter(hash: number, node: number): void {
    const words = this.#words
    let at = this.#firstBucket(hash)
    if (words[at + slotsPerBucket] !== 0) {
      words[at]!++
      at = this.#secondBucket(hash)
    }
    do at++
    while (words[at] !== 0)
    words[at] = slotOf(hash, node)
  }

  /** Takes out an entry that is there. */
  leave(hash: number, node: number): void {
    const first = this.#firstBucket(hash)
    if (remove(this.#words, first, slotOf(hash, node))) return
    this.#words[first]!--
    remove(this.#words, this.#secondBucket(hash), slotOf(hash, node))
  }

  #firstBucket(hash: number): number {
    return this.#bucket(Math.imul(hash, 0x9e3779b1))
  }

  #secondBucket(hash: number): number {
    return this.#bucket(Math.imul(hash ^ (hash >>> 15), 0x85ebca6b))
  }

  #bucket(mixed: number): number {
    return this.#start + (((mixed >>> 0) * this.#scale) | 0) * bucketWords
  }
}

function slotOf(hash: number, node: number): number {
  return (hash & ~blockMask) | node
}

/** The next slot of the bucket behind a position with this top of a hash; 0 where there is none. */
function slotBehind(words: Int32Array, position: number, tag: number): number {
  const last = position | slotsPerBucket
  for (let at = position + 1; at <= last; at++) {
    const slot = words[at]!
    if (slot === 0) return 0
    if (slot >>> 24 === tag) return at
  }
  return 0
}

/** The last slot takes the place of the one that is removed. */
function remove(words: Int32Array, bucket: number, slot: number): boolean {
  const end = bucket + bucketWords
  let at = bucket + 1
  while (words[at] !== slot) if (++at === end) return false
  let last = at
  while (last + 1 < end && words[last + 1] !== 0) last++
  words[at] = words[last]!
  words[last] = 0
  return true
}
