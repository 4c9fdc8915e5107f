/**
 * What the disk cache knows in memory: of each object that it has, which revision, where, and whether the horizon
 * is known to show it. Numbers in typed arrays: hundreds of thousands of entries are taken in within milliseconds.
 * Which entry goes when room is needed is decided by a policy, the same as in memory and in the simulator.
 */

import type { Oid, Tid } from '../../../core/ids.ts'
import { Ghosts, ghostWords } from '../ghosts.ts'
import { Nodes, nodeWords } from '../nodes.ts'
import { type Policy, type PolicyDefinition, policyStateLength } from '../policy.ts'
import { recordBytes } from './segment.ts'

/** Where a state lies. */
export interface Place {
  readonly slot: number
  readonly offset: number
  readonly length: number
  readonly checksum: number
}

export class DiskEntries {
  readonly capacity: number
  count = 0
  /** Bytes of all entries, with what each takes in the index. */
  weight = 0
  readonly #oids: Float64Array
  readonly #tids: Float64Array
  readonly #offsets: Uint32Array
  readonly #lengths: Uint32Array
  readonly #checksums: Uint32Array
  readonly #slots: Uint8Array
  /** The doubt after which the entry was proven; see `doubt`. */
  readonly #proven: Uint32Array
  #doubts = 1
  /** Nodes by object, at most half full. As large as it has to be: its pages are touched all over from the first entries on. */
  #table = new Int32Array(tableLengthMin)
  #mask = tableLengthMin - 1
  readonly #nodes: Nodes
  readonly #policy: Policy
  #free: number[] = []
  #used = 0

  /** @param capacity weight of all entries together. @param countMax entries, at most */
  constructor(capacity: number, countMax: number, policy: PolicyDefinition) {
    this.capacity = capacity
    this.#oids = new Float64Array(countMax + 1)
    this.#tids = new Float64Array(countMax + 1)
    this.#offsets = new Uint32Array(countMax + 1)
    this.#lengths = new Uint32Array(countMax + 1)
    this.#checksums = new Uint32Array(countMax + 1)
    this.#slots = new Uint8Array(countMax + 1)
    this.#proven = new Uint32Array(countMax + 1)
    this.#nodes = new Nodes(new Int32Array((countMax + 1) * nodeWords))
    this.#policy = policy.create({
      nodes: this.#nodes,
      state: new Float64Array(policyStateLength),
      capacity,
      ghosts: Array.from(
        { length: policy.ghostLists },
        () => new Ghosts(new Int32Array(ghostWords(countMax))),
      ),
    })
  }

  /** The entry of an object; 0 where there is none. */
  find(oid: Oid): number {
    for (let at = home(oid) & this.#mask; ; at = (at + 1) & this.#mask) {
      const node = this.#table[at]!
      if (node === 0 || this.#oids[node] === oid) return node
    }
  }

  /**
   * Makes room and takes the entry in. No entry of this object may be there.
   * @param isKnown an older revision was here a moment ago
   * @param pushOut called with each entry that goes
   * @returns the entry; 0 when the policy does not want it
   */
  add(oid: Oid, tid: Tid, length: number, isKnown: boolean, pushOut: (node: number) => void): number {
    const weight = length + recordBytes
    if (weight > this.capacity || !this.#policy.expect(keyOf(oid), weight, isKnown)) return 0
    while (this.weight + weight > this.capacity || this.count >= this.#oids.length - 1) {
      const victim = this.#policy.evict((node) => keyOf(this.#oids[node] as Oid))
      if (victim === 0) return 0
      pushOut(victim)
      this.#forget(victim)
    }
    const node = this.#free.pop() ?? ++this.#used
    this.#oids[node] = oid
    this.#tids[node] = tid
    this.#lengths[node] = length
    this.#proven[node] = 0
    this.#nodes.setWeight(node, weight)
    this.#policy.insert(node, keyOf(oid))
    this.count++
    if (2 * this.count > this.#table.length) this.#growTable()
    this.#enter(node)
    this.weight += weight
    return node
  }

  remove(node: number): void {
    this.#policy.remove(node)
    this.#forget(node)
  }

  hit(node: number): void {
    this.#policy.hit(node)
  }

  oidOf(node: number): Oid {
    return this.#oids[node] as Oid
  }

  tidOf(node: number): Tid {
    return this.#tids[node] as Tid
  }

  placeOf(node: number): Place {
    return {
      slot: this.#slots[node]!,
      offset: this.#offsets[node]!,
      length: this.#lengths[node]!,
      checksum: this.#checksums[node]!,
    }
  }

  setPlace(node: number, slot: number, offset: number, checksum: number): void {
    this.#slots[node] = slot
    this.#offsets[node] = offset
    this.#checksums[node] = checksum
  }

  // --- What is proven ---

  isProven(node: number): boolean {
    return this.#proven[node] === this.#doubts
  }

  setProven(node: number): void {
    this.#proven[node] = this.#doubts
  }

  /** So many entries will be taken in at once, or fewer. */
  reserve(count: number): void {
    const most = Math.min(count, this.#oids.length - 1)
    while (2 * most > this.#table.length) this.#growTable()
  }

  /** From now on nothing is proven. */
  doubt(): void {
    this.#doubts++
  }

  /** All entries, those of one slot, in no order. Entries may be removed meanwhile. */
  *all(slot?: number): Generator<number> {
    for (let node = 1; node <= this.#used; node++) {
      if (this.#nodes.weight(node) === 0 || this.#lengths[node] === goneLength) continue
      if (slot === undefined || this.#slots[node] === slot) yield node
    }
  }

  /** For tests: what does not agree. */
  audit(): string[] {
    let count = 0
    let weight = 0
    for (const node of this.all()) {
      count++
      weight += this.#nodes.weight(node)
      if (this.find(this.oidOf(node)) !== node) return [`object ${this.oidOf(node)} is not found`]
    }
    const isRight = count === this.count && weight === this.weight && weight <= this.capacity
    return isRight ? [] : [`${count} entries of ${weight} bytes, counted ${this.count} of ${this.weight}`]
  }

  #enter(node: number): void {
    let at = home(this.#oids[node] as Oid) & this.#mask
    while (this.#table[at] !== 0) at = (at + 1) & this.#mask
    this.#table[at] = node
  }

  #growTable(): void {
    const before = this.#table
    this.#table = new Int32Array(4 * before.length)
    this.#mask = this.#table.length - 1
    for (const node of before) if (node !== 0) this.#enter(node)
  }

  #forget(node: number): void {
    this.count--
    this.weight -= this.#nodes.weight(node)
    const table = this.#table
    const mask = this.#mask
    let gap = home(this.#oids[node] as Oid) & mask
    while (table[gap] !== node) gap = (gap + 1) & mask
    // Move back what would no longer be found behind the gap.
    for (let next = (gap + 1) & mask; table[next] !== 0; next = (next + 1) & mask) {
      const wanted = home(this.#oids[table[next]!] as Oid) & mask
      if (((next - wanted) & mask) < ((next - gap) & mask)) continue
      table[gap] = table[next]!
      gap = next
    }
    table[gap] = 0
    this.#lengths[node] = goneLength
    this.#free.push(node)
  }
}

const tableLengthMin = 2 ** 16

/** In place of a length: the node is free. */
const goneLength = 0xffff_ffff

/** Sixteen neighbours share a cache line of the table: what is made together is asked for together. */
function home(oid: Oid): number {
  const low = oid | 0
  // Below 2³¹ all of it is in whole numbers of the processor; a remainder of doubles takes longer than all the rest.
  const line = low === oid ? low >>> 4 : farLine(oid)
  const mixed = Math.imul(line, 0x9e3779b1)
  return ((mixed ^ (mixed >>> 15)) << 4) | (low & 15)
}

function farLine(oid: Oid): number {
  const line = Math.floor(oid / 16)
  return (line | 0) ^ Math.imul((line / 0x1_0000_0000) | 0, 0x85ebca6b)
}

/** For the policy; never 0. Where two objects have the same, one inherits the other's reputation. */
function keyOf(oid: Oid): number {
  return ((oid + 1) | 0) === 0 ? 1 : (oid + 1) | 0
}
