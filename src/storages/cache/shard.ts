/**
 * One shard of the state cache: a hash table of object revisions in one piece of shared memory, with its own lock and
 * its own eviction. Every isolate has its own `Shard` over the same memory.
 *
 * All reading and writing of that memory happens with the lock held, copying out included. So there is no data race
 * anywhere, and no torn read: what a holder wrote happens before what the next holder reads.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Revision } from '../storage.ts'
import type { ResultMemory } from './copy-out.ts'
import { Ghosts } from './ghosts.ts'
import { Nodes } from './nodes.ts'
import type { Policy, PolicyDefinition } from './policy.ts'
import { policyStateLength } from './policy.ts'
import {
  blockBytes,
  blockMask,
  blocksFor,
  blockWords,
  entry,
  firstDataWords,
  header,
  otherDataWords,
  type ShardLayout,
  shardLayout,
  tidHighBits,
  tidHighMask,
} from './shard-layout.ts'
import { isGivenUp, lock, unlock } from './shard-lock.ts'

const wordSize = 0x1_0000_0000

/** Revisions of one object that are kept: the newest, and the one before for snapshots that are a little behind. */
const revisionsPerObjectMax = 2

const headerEnd = header.policyState + 2 * policyStateLength

/** The largest share of a shard that one object may have: a larger one would push out too much that is smaller. */
const objectShareMax = 1 / 64

/** What became of an `add`. */
export type Added = 'added' | 'present' | 'refused'

/** An entry, without its data. */
export interface EntryKey {
  readonly oid: Oid
  readonly tid: Tid
  readonly through: Tid
}

/** 32 bits that depend on every bit of the object id. */
export function hashOid(oid: number): number {
  let h = (oid | 0) ^ Math.imul((oid / wordSize) | 0, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
  return (h ^ (h >>> 16)) >>> 0
}

export class Shard {
  /** Entries this isolate evicted to make room. */
  evictions = 0
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #layout: ShardLayout
  readonly #bytes: number
  readonly #base: number
  readonly #tableAt: number
  readonly #tableLength: number
  readonly #entriesMax: number
  readonly #objectBlocksMax: number
  readonly #nodes: Nodes
  readonly #policy: Policy
  readonly #results: ResultMemory
  readonly #keyOf = (node: number): number => hashOid(this.#oid(node)) || 1

  constructor(buffer: SharedArrayBuffer, policy: PolicyDefinition, results: ResultMemory) {
    const layout = shardLayout(buffer.byteLength, policy.ghostLists)
    const words = new Int32Array(buffer)
    this.#words = words
    this.#doubles = new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8))
    this.#layout = layout
    this.#bytes = buffer.byteLength
    this.#base = layout.blocksBase
    this.#tableAt = layout.tableAt
    this.#tableLength = layout.tableLength
    // Linear probing gets slow in a table that is fuller.
    this.#entriesMax = Math.floor(layout.tableLength * 0.9)
    this.#objectBlocksMax = Math.max(1, Math.floor(layout.blocks * objectShareMax))
    this.#nodes = new Nodes(words, blockWords, layout.blocksBase + entry.node)
    this.#results = results
    this.#policy = policy.create({
      nodes: this.#nodes,
      state: this.#doubles.subarray(header.policyState / 2, header.policyState / 2 + policyStateLength),
      capacity: layout.blocks,
      ghosts: layout.ghosts.map(({ at, length }) => new Ghosts(words.subarray(at, at + length))),
    })
  }

  /** The largest object that is taken. */
  get objectBytesMax(): number {
    return (firstDataWords + (this.#objectBlocksMax - 1) * otherDataWords) * 4
  }

  get generation(): number {
    return Atomics.load(this.#words, header.generation)
  }

  /** Bytes that are in use, those of table, ghosts and header included. */
  get bytes(): number {
    if (!lock(this.#words, header.lock)) return this.#bytes
    const bytes = this.#bytes - this.#freeBlocks() * blockBytes
    unlock(this.#words, header.lock)
    return bytes
  }

  get entries(): number {
    return Atomics.load(this.#words, header.entries)
  }

  get isGivenUp(): boolean {
    return isGivenUp(this.#words, header.lock)
  }

  /**
   * A copy of exactly that revision, if it is here.
   * @param through a snapshot of which the caller knows that it shows this revision; `tid` when it knows of none
   */
  get(hash: number, oid: Oid, tid: Tid, through: Tid): Revision | undefined {
    if (!lock(this.#words, header.lock)) return undefined
    try {
      const at = this.#slotOf(hash, oid, tid)
      if (at < 0) return undefined
      return this.#hit(this.#words[at]! & blockMask, tid, through)
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /**
   * A copy of the revision that `snapshot` shows, if one is here that is known to be it: written at or before
   * `snapshot`, and known to be shown still at `needed` or later.
   */
  find(hash: number, oid: Oid, snapshot: Tid, needed: Tid): Revision | undefined {
    if (!lock(this.#words, header.lock)) return undefined
    try {
      const words = this.#words
      const end = this.#tableAt + this.#tableLength
      const tag = hash >>> 24
      for (let at = this.#home(hash); ; at = at + 1 === end ? this.#tableAt : at + 1) {
        const slot = words[at]!
        if (slot === 0) return undefined
        if (slot >>> 24 !== tag) continue
        const node = slot & blockMask
        if (!this.#is(node, oid)) continue
        const tid = this.#tid(node)
        if (tid <= snapshot && this.#through(node) >= needed) return this.#hit(node, tid, snapshot)
      }
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Whether exactly that revision is here. Is not a request: no policy hears of it. */
  has(hash: number, oid: Oid, tid: Tid): boolean {
    if (!lock(this.#words, header.lock)) return false
    try {
      return this.#slotOf(hash, oid, tid) >= 0
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** As `get`, but is not a request. */
  peek(hash: number, oid: Oid, tid: Tid): Uint8Array | undefined {
    if (!lock(this.#words, header.lock)) return undefined
    try {
      const at = this.#slotOf(hash, oid, tid)
      return at < 0 ? undefined : this.#copyOut(this.#words[at]! & blockMask)
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** @param generation of which the caller's knowledge is; undefined for the present one */
  add(hash: number, oid: Oid, tid: Tid, data: Uint8Array, through: Tid, generation?: number): Added {
    const blocks = blocksFor(data.length)
    if (blocks > this.#objectBlocksMax) return 'refused'
    // Aligned, so that whole words can be copied.
    const source = data.byteOffset % 4 === 0 ? data : data.slice()
    if (!lock(this.#words, header.lock)) return 'refused'
    try {
      // Read under the lock: nothing of an earlier generation can come in after `clear` has been here.
      if (generation !== undefined && generation !== this.#words[header.generation]) return 'refused'
      const present = this.#slotOf(hash, oid, tid)
      if (present >= 0) {
        this.#raise(this.#words[present]! & blockMask, through)
        return 'present'
      }
      const others = this.#revisionsOf(hash, oid)
      if (others.length >= revisionsPerObjectMax) {
        const oldest = others.reduce((one, other) => (this.#tid(other) < this.#tid(one) ? other : one))
        if (this.#tid(oldest) > tid) return 'refused'
        this.#policy.remove(oldest)
        this.#discard(oldest)
      }
      const key = hash || 1
      if (!this.#policy.expect(key, blocks, others.length > 0)) return 'refused'
      if (!this.#makeRoom(blocks)) return 'refused'
      const node = this.#write(oid, tid, source, through, blocks)
      this.#enter(hash, node)
      this.#nodes.setWeight(node, blocks)
      this.#policy.insert(node, key)
      return 'added'
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  delete(hash: number, oid: Oid, tid: Tid): boolean {
    if (!lock(this.#words, header.lock)) return false
    try {
      const at = this.#slotOf(hash, oid, tid)
      if (at < 0) return false
      const node = this.#words[at]! & blockMask
      this.#policy.remove(node)
      this.#discard(node)
      return true
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Forgets every revision of an object. */
  deleteObject(hash: number, oid: Oid): void {
    if (!lock(this.#words, header.lock)) return
    try {
      for (const node of this.#revisionsOf(hash, oid)) {
        this.#policy.remove(node)
        this.#discard(node)
      }
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Forgets everything. @param isNewStore what anybody learnt before is no longer true: start a new generation */
  clear(isNewStore: boolean): void {
    if (!lock(this.#words, header.lock)) return
    try {
      const words = this.#words
      words.fill(0, header.firstFree, isNewStore ? headerEnd : header.origin)
      words.fill(0, header.policyState, headerEnd)
      words.fill(0, this.#tableAt, this.#base + blockWords)
      if (isNewStore) Atomics.add(words, header.generation, 1)
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** The double at `header.origin`, replaced by what `change` makes of it. */
  updateOrigin(change: (origin: number) => number): number {
    if (!lock(this.#words, header.lock)) return 0
    try {
      const at = header.origin / 2
      const origin = change(this.#doubles[at]!)
      this.#doubles[at] = origin
      return origin
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Slots of the table, for `keys`. */
  get slots(): number {
    return this.#tableLength
  }

  /**
   * Keys of the entries in some slots of the table. Between two calls entries may move: one may be seen twice or not
   * at all, if others were added or removed meanwhile.
   */
  keys(from: number, to: number): EntryKey[] {
    const keys: EntryKey[] = []
    if (!lock(this.#words, header.lock)) return keys
    try {
      for (let at = this.#tableAt + from; at < this.#tableAt + Math.min(to, this.#tableLength); at++) {
        const node = this.#words[at]! & blockMask
        if (node !== 0)
          keys.push({ oid: this.#oid(node), tid: this.#tid(node), through: this.#through(node) })
      }
      return keys
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /**
   * Counts everything again and compares with what is recorded. For tests; takes as long as the shard is large.
   * @returns what does not agree
   */
  audit(): string[] {
    const problems: string[] = []
    if (!lock(this.#words, header.lock)) return ['given up']
    try {
      const words = this.#words
      const seen = new Uint8Array(this.#layout.blocks + 1)
      const visit = (first: number, what: string): number => {
        let count = 0
        for (let block = first; block !== 0; block = words[this.#base + block * blockWords]!) {
          if (block < 1 || block > this.#layout.blocks) return problems.push(`${what}: no block ${block}`)
          if (seen[block] === 1) return problems.push(`${what}: block ${block} is in two chains`)
          seen[block] = 1
          count++
        }
        return count
      }
      let entries = 0
      let used = 0
      for (let at = this.#tableAt; at < this.#tableAt + this.#tableLength; at++) {
        const node = words[at]! & blockMask
        if (node === 0) continue
        const oid = this.#oid(node)
        const tid = this.#tid(node)
        const blocks = visit(node, `object ${oid}`)
        if (blocks !== blocksFor(this.#at(node, entry.length)))
          problems.push(`object ${oid}: ${blocks} blocks`)
        if (blocks !== this.#nodes.weight(node)) problems.push(`object ${oid}: weight is not ${blocks}`)
        if (this.#slotOf(hashOid(oid), oid, tid) !== at) problems.push(`object ${oid}: not found at its slot`)
        entries++
        used += blocks
      }
      const free = visit(words[header.firstFree]!, 'free blocks')
      if (free !== words[header.freeCount])
        problems.push(`${free} free blocks, not ${words[header.freeCount]}`)
      if (entries !== words[header.entries]) problems.push(`${entries} entries, not ${words[header.entries]}`)
      const lost = words[header.freshUsed]! - free - used
      if (lost !== 0) problems.push(`${lost} blocks are neither free nor used`)
      return problems
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  // --- With the lock held ---

  #hit(node: number, tid: Tid, through: Tid): Revision {
    const data = this.#copyOut(node)
    this.#policy.hit(node)
    this.#raise(node, through)
    return { data, serial: tid }
  }

  #raise(node: number, through: Tid): void {
    if (through <= this.#through(node)) return
    const at = this.#base + node * blockWords
    this.#words[at + entry.throughLow] = through | 0
    this.#words[at + entry.throughHigh] = Math.floor(through / wordSize)
  }

  #copyOut(node: number): Uint8Array {
    const words = this.#words
    const results = this.#results
    let at = this.#base + node * blockWords
    const length = words[at + entry.length]!
    results.reserve(length)
    const target = results.words
    let to = results.at
    const end = to + ((length + 3) >>> 2)
    let link = words[at]!
    let from = at + entry.data
    for (let stop = Math.min(end, to + firstDataWords); to < stop; ) target[to++] = words[from++]!
    while (to < end) {
      at = this.#base + link * blockWords
      link = words[at]!
      from = at + 1
      for (let stop = Math.min(end, to + otherDataWords); to < stop; ) target[to++] = words[from++]!
    }
    return results.result(length)
  }

  /** Writes an entry into free blocks, of which there are enough. @returns its first block */
  #write(oid: Oid, tid: Tid, source: Uint8Array, through: Tid, blocks: number): number {
    const words = this.#words
    const wholeWords = source.length >>> 2
    const from = new Int32Array(source.buffer, source.byteOffset, wholeWords)
    const node = this.#takeBlock()
    let at = this.#base + node * blockWords
    words[at + entry.oidLow] = oid | 0
    words[at + entry.tidLow] = tid | 0
    words[at + entry.high] = (Math.floor(oid / wordSize) << tidHighBits) | Math.floor(tid / wordSize)
    words[at + entry.throughLow] = through | 0
    words[at + entry.throughHigh] = Math.floor(through / wordSize)
    words[at + entry.length] = source.length
    let to = at + entry.data
    let room = firstDataWords
    let done = 0
    for (let left = blocks - 1; ; left--) {
      const stop = Math.min(wholeWords, done + room)
      while (done < stop) words[to++] = from[done++]!
      if (left === 0) break
      const next = this.#takeBlock()
      words[at] = next
      at = this.#base + next * blockWords
      to = at + 1
      room = otherDataWords
    }
    words[at] = 0
    if (wholeWords * 4 < source.length) {
      // The last, partial word. It may be the first of a block that has been taken for it already.
      const bytes = source.length - wholeWords * 4
      const tail = new Uint8Array(4)
      for (let index = 0; index < bytes; index++) tail[index] = source[wholeWords * 4 + index]!
      words[to] = new Int32Array(tail.buffer)[0]!
    }
    return node
  }

  #takeBlock(): number {
    const words = this.#words
    const block = words[header.firstFree]!
    if (block === 0) return ++words[header.freshUsed]!
    words[header.firstFree] = words[this.#base + block * blockWords]!
    words[header.freeCount]!--
    return block
  }

  #freeBlocks(): number {
    const words = this.#words
    return this.#layout.blocks - words[header.freshUsed]! + words[header.freeCount]!
  }

  /** Evicts until there are that many free blocks, and a free slot in the table. */
  #makeRoom(blocks: number): boolean {
    while (this.#freeBlocks() < blocks || this.#words[header.entries]! >= this.#entriesMax) {
      const victim = this.#policy.evict(this.#keyOf)
      if (victim === 0) return false
      this.#discard(victim)
      this.evictions++
    }
    return true
  }

  /** Takes an entry, which its policy no longer knows, out of the table and frees its blocks. */
  #discard(node: number): void {
    const words = this.#words
    const oid = this.#oid(node)
    this.#leave(this.#slotOf(hashOid(oid), oid, this.#tid(node)))
    let last = this.#base + node * blockWords
    let count = 1
    while (words[last] !== 0) {
      last = this.#base + words[last]! * blockWords
      count++
    }
    words[last] = words[header.firstFree]!
    words[header.firstFree] = node
    words[header.freeCount]! += count
  }

  #enter(hash: number, node: number): void {
    const words = this.#words
    const end = this.#tableAt + this.#tableLength
    let at = this.#home(hash)
    while (words[at] !== 0) at = at + 1 === end ? this.#tableAt : at + 1
    words[at] = (hash & ~blockMask) | node
    Atomics.store(words, header.entries, words[header.entries]! + 1)
  }

  /** Empties a slot of the table, and moves back what would no longer be found behind it. */
  #leave(slot: number): void {
    const words = this.#words
    const size = this.#tableLength
    const end = this.#tableAt + size
    let gap = slot
    let at = gap
    for (;;) {
      at = at + 1 === end ? this.#tableAt : at + 1
      if (words[at] === 0) break
      const home = this.#home(hashOid(this.#oid(words[at]! & blockMask)))
      const fromHome = at >= home ? at - home : at - home + size
      const fromGap = at >= gap ? at - gap : at - gap + size
      if (fromHome < fromGap) continue
      words[gap] = words[at]!
      gap = at
    }
    words[gap] = 0
    Atomics.store(words, header.entries, words[header.entries]! - 1)
  }

  /** Where in the table exactly that revision stands, or -1. */
  #slotOf(hash: number, oid: Oid, tid: Tid): number {
    const words = this.#words
    const end = this.#tableAt + this.#tableLength
    const tag = hash >>> 24
    for (let at = this.#home(hash); ; at = at + 1 === end ? this.#tableAt : at + 1) {
      const slot = words[at]!
      if (slot === 0) return -1
      if (slot >>> 24 !== tag) continue
      const node = slot & blockMask
      if (this.#is(node, oid) && this.#tid(node) === tid) return at
    }
  }

  /** Revisions of the object that are here. */
  #revisionsOf(hash: number, oid: Oid): number[] {
    const found: number[] = []
    const end = this.#tableAt + this.#tableLength
    for (let at = this.#home(hash); ; at = at + 1 === end ? this.#tableAt : at + 1) {
      const slot = this.#words[at]!
      if (slot === 0) return found
      if (slot >>> 24 === hash >>> 24 && this.#is(slot & blockMask, oid)) found.push(slot & blockMask)
    }
  }

  /** The slot at which the search for this hash begins. The top eight bits stand in the slots themselves. */
  #home(hash: number): number {
    return this.#tableAt + ((Math.imul(hash, 0x9e3779b1) >>> 0) % this.#tableLength)
  }

  #at(node: number, word: number): number {
    return this.#words[this.#base + node * blockWords + word]!
  }

  #is(node: number, oid: Oid): boolean {
    return this.#at(node, entry.oidLow) === (oid | 0) && this.#oid(node) === oid
  }

  #oid(node: number): Oid {
    return ((this.#at(node, entry.high) >>> tidHighBits) * wordSize +
      (this.#at(node, entry.oidLow) >>> 0)) as Oid
  }

  #tid(node: number): Tid {
    return ((this.#at(node, entry.high) & tidHighMask) * wordSize +
      (this.#at(node, entry.tidLow) >>> 0)) as Tid
  }

  #through(node: number): Tid {
    return (this.#at(node, entry.throughHigh) * wordSize + (this.#at(node, entry.throughLow) >>> 0)) as Tid
  }
}
