/**
 * Where things lie in the memory of one shard. Everything is counted in words of 4 bytes.
 *
 *     header     128 words: lock, counts, state of the policy
 *     table      3 words per 4 blocks, in buckets of 16 words: see slot-table.ts
 *     ghosts     1 word per 2 blocks, for policies that want them
 *     blocks     32 words each, numbered from 1
 *
 * An entry is a chain of blocks, so any block can serve any entry: nothing is lost to fragmentation but the unused
 * end of the last block. Word 0 of each block is the next block of the chain (0: the last). Then, in the first block:
 *
 *     1       object id, lower 32 bits
 *     2       tid, lower 32 bits
 *     3       object id, bits 32 to 42 (upper 11 bits of the word); tid, bits 32 to 52
 *     4, 5    the newest snapshot known to show this revision: lower 32 bits, upper 21
 *     6       length of the data in bytes
 *     7 to 9  node of the policy; its weight is the number of blocks
 *     10 …    the first 88 bytes of the data
 *
 * and in the others 124 bytes of data each. A 300-byte object takes three blocks: 40 bytes of header, 8 of links, 9 in
 * the table and 6 for ghosts come to 63 bytes beside its own; the end of the last block is unused on average by half.
 */

import { policyStateLength } from './policy.ts'

export const blockWords = 32
export const blockBytes = blockWords * 4

export const headerWords = 128
/** Words of the header. */
export const header = {
  lock: 0,
  /** Counts how often the store was replaced by another. */
  generation: 1,
  /** First of a chain of blocks that were given back. */
  firstFree: 2,
  /** First block of the last entry that was given back whole; its word `entry.oidLow` says the one before. */
  freeChains: 3,
  /** Blocks in all of them. */
  freeCount: 4,
  /** Blocks up to this number have been used at some time. */
  freshUsed: 5,
  entries: 6,
  /** A double, in the first shard only: see `StateCache.origin`. */
  origin: 8,
  /** Doubles. */
  policyState: 10,
} as const

if (header.policyState + 2 * policyStateLength > headerWords) throw new Error('the header is too small')

export const entry = {
  link: 0,
  oidLow: 1,
  tidLow: 2,
  high: 3,
  throughLow: 4,
  throughHigh: 5,
  length: 6,
  node: 7,
  data: 10,
} as const

/** Words of data in the first block, and in the others. */
export const firstDataWords = blockWords - entry.data
export const otherDataWords = blockWords - 1

export const tidHighBits = 21
export const tidHighMask = 2 ** tidHighBits - 1

/** Object ids from here on are not cached. */
export const oidLimit = 2 ** (32 + 32 - tidHighBits)

export const blockMask = 0xff_ffff
/** Blocks that a shard can have. */
export const blocksMax = blockMask

/** Blocks that an object of that size takes. */
export function blocksFor(bytes: number): number {
  const words = (bytes + 3) >>> 2
  return words <= firstDataWords ? 1 : 1 + Math.ceil((words - firstDataWords) / otherDataWords)
}

/** Words of a bucket of the table: one cache line. */
export const bucketWords = 16

export interface ShardLayout {
  readonly blocks: number
  readonly tableAt: number
  /** Buckets of the table. */
  readonly buckets: number
  /** One for each list of ghosts. */
  readonly ghosts: readonly { readonly at: number; readonly length: number }[]
  /** Word at which block 0 would begin. */
  readonly blocksBase: number
}

/** The layout of a shard with that much memory. */
export function shardLayout(bytes: number, ghostLists: number): ShardLayout {
  const ghostShare = ghostLists === 0 ? 0 : 0.5
  // One block less, for the alignment of the others; a bucket is rounded up.
  const room = Math.floor(bytes / 4) - headerWords - blockWords - bucketWords
  const blocks = Math.min(blocksMax, Math.floor(room / (blockWords + 0.75 + ghostShare)))
  const buckets = Math.ceil((blocks * 0.75) / bucketWords)
  const ghostLength = ghostLists === 0 ? 0 : Math.floor((blocks * ghostShare) / ghostLists)
  const ghostsAt = headerWords + buckets * bucketWords
  const ghosts = Array.from({ length: ghostLists }, (_, index) => ({
    at: ghostsAt + index * ghostLength,
    length: ghostLength,
  }))
  // Aligned, so that the header of an entry lies in one cache line.
  const firstBlock = Math.ceil((ghostsAt + ghostLists * ghostLength) / blockWords) * blockWords
  return { blocks, tableAt: headerWords, buckets, ghosts, blocksBase: firstBlock - blockWords }
}
