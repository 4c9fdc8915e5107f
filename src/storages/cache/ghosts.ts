/**
 * Ghosts: a queue of keys of entries that were evicted, so that a policy recognises an object that comes back. First
 * in, first out; any key can be taken out. In typed memory, shared by threads where the cache is.
 *
 *     head      6 words    oldest slot, slots in use, keys, weight (two words), slots below
 *     keys      one word per slot, a ring; 0 where a key was taken out
 *     weights   one word per slot
 *     table     three words per two slots: slot + 1, found by the hash of its key, linear probing
 *
 * When the ring is full, and half of it are gaps, it is closed up; else the oldest key is dropped.
 */

const oldest = 0
const used = 1
const count = 2
const weightLow = 3
const weightHigh = 4
const headWords = 6

const wordSize = 0x1_0000_0000

function tableLength(slots: number): number {
  return Math.ceil(slots * 1.5) + 1
}

/** Words of memory for that many slots. */
export function ghostWords(slots: number): number {
  return headWords + 2 * slots + tableLength(slots)
}

/** The most slots that fit into that many words. */
export function ghostSlots(words: number): number {
  return Math.max(0, Math.floor((words - headWords - 2) / 3.5))
}

export class Ghosts {
  readonly #head: Int32Array
  readonly #keys: Int32Array
  readonly #weights: Int32Array
  readonly #table: Int32Array
  readonly #slots: number

  /** @param memory zeroed at first; the memory of the other threads' views of the same ghosts */
  constructor(memory: Int32Array) {
    const slots = ghostSlots(memory.length)
    this.#slots = slots
    this.#head = memory.subarray(0, headWords)
    this.#keys = memory.subarray(headWords, headWords + slots)
    this.#weights = memory.subarray(headWords + slots, headWords + 2 * slots)
    this.#table = memory.subarray(headWords + 2 * slots, headWords + 2 * slots + tableLength(slots))
  }

  get length(): number {
    return this.#head[count]!
  }

  /** Weight of the entries that the keys stand for. */
  get weight(): number {
    return this.#head[weightHigh]! * wordSize + (this.#head[weightLow]! >>> 0)
  }

  has(key: number): boolean {
    return this.#slots > 0 && this.#find(key | 0) >= 0
  }

  /** Takes the key out. False when it was not there. */
  take(key: number): boolean {
    if (this.#slots === 0 || this.#head[count] === 0) return false
    const at = this.#find(key | 0)
    if (at < 0) return false
    this.#drop(at)
    return true
  }

  /** Adds a key that is not there. Not 0. */
  push(key: number, weight: number): void {
    const slots = this.#slots
    if (slots === 0) return
    const head = this.#head
    if (head[used] === slots) {
      if (head[count]! <= slots >> 1) this.#closeUp()
      else this.dropOldest()
    }
    const slot = (head[oldest]! + head[used]!) % slots
    this.#keys[slot] = key
    this.#weights[slot] = weight
    head[used]!++
    head[count]!++
    this.#addWeight(weight)
    this.#enter(key | 0, slot)
  }

  dropOldest(): void {
    const head = this.#head
    this.#skipGaps()
    if (head[count] === 0) return
    const key = this.#keys[head[oldest]!]!
    this.#drop(this.#find(key))
    this.#skipGaps()
  }

  #skipGaps(): void {
    const head = this.#head
    while (head[used]! > 0 && this.#keys[head[oldest]!] === 0) {
      head[oldest] = (head[oldest]! + 1) % this.#slots
      head[used]!--
    }
  }

  /** Takes out the key whose slot stands in the table at `at`. */
  #drop(at: number): void {
    const slot = this.#table[at]! - 1
    this.#keys[slot] = 0
    this.#head[count]!--
    this.#addWeight(-this.#weights[slot]!)
    // Close the gap in the table: move back what would no longer be found behind it.
    const table = this.#table
    const size = table.length
    let gap = at
    for (
      let next = at + 1 === size ? 0 : at + 1;
      table[next] !== 0;
      next = next + 1 === size ? 0 : next + 1
    ) {
      const home = this.#home(this.#keys[table[next]! - 1]!)
      const distanceFromHome = next >= home ? next - home : next - home + size
      const distanceFromGap = next >= gap ? next - gap : next - gap + size
      if (distanceFromHome < distanceFromGap) continue
      table[gap] = table[next]!
      gap = next
    }
    table[gap] = 0
  }

  #closeUp(): void {
    const head = this.#head
    const keys: number[] = []
    const weights: number[] = []
    for (let index = 0; index < head[used]!; index++) {
      const slot = (head[oldest]! + index) % this.#slots
      if (this.#keys[slot] === 0) continue
      keys.push(this.#keys[slot]!)
      weights.push(this.#weights[slot]!)
    }
    this.#keys.set(keys)
    this.#weights.set(weights)
    head[oldest] = 0
    head[used] = keys.length
    this.#table.fill(0)
    for (let slot = 0; slot < keys.length; slot++) this.#enter(keys[slot]!, slot)
  }

  #enter(key: number, slot: number): void {
    const table = this.#table
    let at = this.#home(key)
    while (table[at] !== 0) at = at + 1 === table.length ? 0 : at + 1
    table[at] = slot + 1
  }

  /** Where in the table the key's slot stands, or -1. */
  #find(key: number): number {
    const table = this.#table
    for (let at = this.#home(key); ; at = at + 1 === table.length ? 0 : at + 1) {
      const slot = table[at]!
      if (slot === 0) return -1
      if (this.#keys[slot - 1] === key) return at
    }
  }

  #home(key: number): number {
    let h = Math.imul(key, 0x9e3779b1)
    h ^= h >>> 15
    return (h >>> 0) % this.#table.length
  }

  #addWeight(weight: number): void {
    const sum = this.weight + weight
    this.#head[weightLow] = sum | 0
    this.#head[weightHigh] = Math.floor(sum / wordSize)
  }
}
