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
  blocksFor,
  blockWords,
  bucketWords,
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
import { SlotTable } from './slot-table.ts'

const wordSize = 0x1_0000_0000

/** Revisions of one object that are kept: the newest, and the one before for snapshots that are a little behind. */
const revisionsPerObjectMax = 2

const headerEnd = header.policyState + 2 * policyStateLength

/** The largest share of a shard that one object may have: a larger one would push out too much that is smaller. */
const objectShareMax = 1 / 64

/** The last word of an object, whose end it need not fill. */
const lastBytes = new Uint8Array(4)
const lastWord = new Int32Array(lastBytes.buffer)

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
  readonly #table: SlotTable
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
    this.#table = new SlotTable(words, layout.tableAt, layout.buckets)
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
      const node = this.#nodeOf(hash, oid, tid)
      return node === 0 ? undefined : this.#hit(node, tid, through)
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
      const at = this.#table.first(hash)
      if (at === 0) return undefined
      const node = this.#table.nodeAt(at)
      if (!this.#shows(node, oid, snapshot, needed)) return this.#findBehind(at, hash, oid, snapshot, needed)
      return this.#hit(node, this.#tid(node), snapshot)
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Whether exactly that revision is here. Is not a request: no policy hears of it. */
  has(hash: number, oid: Oid, tid: Tid): boolean {
    if (!lock(this.#words, header.lock)) return false
    try {
      return this.#nodeOf(hash, oid, tid) !== 0
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** As `get`, but is not a request. */
  peek(hash: number, oid: Oid, tid: Tid): Uint8Array | undefined {
    if (!lock(this.#words, header.lock)) return undefined
    try {
      const node = this.#nodeOf(hash, oid, tid)
      return node === 0 ? undefined : this.#copyOut(node)
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
      let others = 0
      let oldest = 0
      const table = this.#table
      for (let at = table.first(hash); at !== 0; at = table.next(at, hash)) {
        const other = table.nodeAt(at)
        if (!this.#is(other, oid)) continue
        if (this.#tid(other) === tid) {
          this.#raise(other, through)
          return 'present'
        }
        others++
        if (oldest === 0 || this.#tid(other) < this.#tid(oldest)) oldest = other
      }
      if (others >= revisionsPerObjectMax) {
        if (this.#tid(oldest) > tid) return 'refused'
        this.#remove(oldest)
      }
      const obstacle = table.obstacle(hash)
      if (obstacle !== 0) {
        this.#remove(obstacle)
        this.evictions++
      }
      const key = hash || 1
      if (!this.#policy.expect(key, blocks, others > 0)) return 'refused'
      if (!this.#makeRoom(blocks)) return 'refused'
      const node = this.#write(oid, tid, source, through, blocks)
      this.#table.enter(hash, node)
      Atomics.store(this.#words, header.entries, this.#words[header.entries]! + 1)
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
      const node = this.#nodeOf(hash, oid, tid)
      if (node === 0) return false
      this.#remove(node)
      return true
    } finally {
      unlock(this.#words, header.lock)
    }
  }

  /** Forgets every revision of an object. */
  deleteObject(hash: number, oid: Oid): void {
    if (!lock(this.#words, header.lock)) return
    try {
      for (let node = this.#nodeOf(hash, oid); node !== 0; node = this.#nodeOf(hash, oid)) this.#remove(node)
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
      words.fill(0, this.#layout.tableAt, this.#base + blockWords)
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

  /** Words of the table, for `keys`. */
  get tableWords(): number {
    return this.#layout.buckets * bucketWords
  }

  /**
   * Keys of the entries in some words of the table. Between two calls entries may move: one may be seen twice or not
   * at all, if others were added or removed meanwhile.
   */
  keys(from: number, to: number): EntryKey[] {
    const keys: EntryKey[] = []
    if (!lock(this.#words, header.lock)) return keys
    try {
      for (const node of this.#nodesBetween(from, to)) {
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
      for (const node of this.#nodesBetween(0, this.tableWords)) {
        const oid = this.#oid(node)
        const tid = this.#tid(node)
        const blocks = visit(node, `object ${oid}`)
        if (blocks !== blocksFor(this.#at(node, entry.length)))
          problems.push(`object ${oid}: ${blocks} blocks`)
        if (blocks !== this.#nodes.weight(node)) problems.push(`object ${oid}: weight is not ${blocks}`)
        if (this.#nodeOf(hashOid(oid), oid, tid) !== node) problems.push(`object ${oid}: not found`)
        entries++
        used += blocks
      }
      let free = visit(words[header.firstFree]!, 'free blocks')
      for (let chain = words[header.freeChains]!; chain !== 0; chain = this.#at(chain, entry.oidLow)) {
        free += visit(chain, 'free blocks')
      }
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

  /** The rest of `find`, apart so that the compiler makes the usual case one piece. */
  #findBehind(at: number, hash: number, oid: Oid, snapshot: Tid, needed: Tid): Revision | undefined {
    for (let next = at; ; ) {
      next = this.#table.next(next, hash)
      if (next === 0) return undefined
      const node = this.#table.nodeAt(next)
      if (this.#shows(node, oid, snapshot, needed)) return this.#hit(node, this.#tid(node), snapshot)
    }
  }

  #shows(node: number, oid: Oid, snapshot: Tid, needed: Tid): boolean {
    return this.#is(node, oid) && this.#tid(node) <= snapshot && this.#through(node) >= needed
  }

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
      for (let index = wholeWords * 4; index < source.length; index++) lastBytes[index % 4] = source[index]!
      words[to] = lastWord[0]!
    }
    return node
  }

  #takeBlock(): number {
    const words = this.#words
    let block = words[header.firstFree]!
    if (block === 0) {
      block = words[header.freeChains]!
      if (block === 0) return ++words[header.freshUsed]!
      words[header.freeChains] = this.#at(block, entry.oidLow)
    }
    words[header.firstFree] = this.#at(block, entry.link)
    words[header.freeCount]!--
    return block
  }

  #freeBlocks(): number {
    const words = this.#words
    return this.#layout.blocks - words[header.freshUsed]! + words[header.freeCount]!
  }

  /** Evicts until there are that many free blocks, and a free slot in the table. */
  #makeRoom(blocks: number): boolean {
    while (this.#freeBlocks() < blocks || this.#words[header.entries]! >= this.#table.entriesMax) {
      const victim = this.#policy.evict(this.#keyOf)
      if (victim === 0) return false
      this.#discard(victim)
      this.evictions++
    }
    return true
  }

  #remove(node: number): void {
    this.#policy.remove(node)
    this.#discard(node)
  }

  /** Takes an entry, which its policy no longer knows, out of the table and frees its blocks. */
  #discard(node: number): void {
    const words = this.#words
    this.#table.leave(hashOid(this.#oid(node)), node)
    Atomics.store(words, header.entries, words[header.entries]! - 1)
    words[this.#base + node * blockWords + entry.oidLow] = words[header.freeChains]!
    words[header.freeChains] = node
    words[header.freeCount]! += this.#nodes.weight(node)
  }

  /** The entry of exactly that revision, or of any revision where no tid is given; 0 for none. */
  #nodeOf(hash: number, oid: Oid, tid?: Tid): number {
    const table = this.#table
    for (let at = table.first(hash); at !== 0; at = table.next(at, hash)) {
      const node = table.nodeAt(at)
      if (this.#is(node, oid) && (tid === undefined || this.#tid(node) === tid)) return node
    }
    return 0
  }

  /** Entries whose slots lie between these words of the table. */
  *#nodesBetween(from: number, to: number): Generator<number> {
    const { tableAt } = this.#layout
    for (let at = from; at < Math.min(to, this.tableWords); at++) {
      const node = this.#table.nodeAt(tableAt + at)
      if (at % bucketWords !== 0 && node !== 0) yield node
    }
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
