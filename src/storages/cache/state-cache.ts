/**
 * The state cache: revisions of objects, `(oid, tid) → bytes`, in memory that all threads of a process share.
 *
 * A revision never changes, so nothing in here is ever out of date. What can be out of date is the belief *which*
 * revision a snapshot shows; each entry therefore carries `through`, the newest snapshot that is known to show it. A
 * storage normally does not use this class directly for reading but a `SnapshotIndex` over it, which knows what
 * changed when.
 *
 * How a storage uses it:
 *
 * - `share` calls `createStateCache` and puts the result into its shared state; `open` attaches `new StateCache(…)`.
 * - The `StateCache` is the storage's `cache` (`StorageCache` of the contract).
 * - `zap` calls `startNewStore()`, so that nothing that was read before can come in afterwards.
 *
 * Memory: everything, table and lists and ghosts included, lies in buffers whose sizes add up to at most `bytesLimit`
 * and which never grow. Beside its own bytes an entry of 300 takes 63 (see shard-layout.ts).
 */

import { ShootoutError, UsageError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import { formatBytes } from '../../core/units.ts'
import type { Revision, StorageCache } from '../storage.ts'
import { ResultMemory } from './copy-out.ts'
import { defaultPolicy, policyNamed } from './policies/index.ts'
import { type Added, type EntryKey, hashOid, Shard } from './shard.ts'
import { blockBytes, blocksMax, oidLimit } from './shard-layout.ts'

export interface StateCacheOptions {
  /** All memory of the cache. At least 64 KB. */
  readonly bytesLimit: number
  /** Name of an eviction policy. Default `s3-fifo`. */
  readonly policy?: string
  /**
   * Larger objects are not cached. Default 64 KB. Never more than 1/64 of a shard: one large object would push out
   * many small ones.
   */
  readonly objectBytesMax?: number
  /** How many parts have a lock and an eviction of their own. Default: one per 4 MB, at most 16. */
  readonly shardCount?: number
}

/** The memory of a cache. Survives a structured clone: each thread attaches its own `StateCache` to it. */
export interface StateCacheMemory {
  readonly policy: string
  readonly objectBytesMax: number
  readonly shards: readonly SharedArrayBuffer[]
}

/** What this isolate did with the cache. Never goes back. */
export interface StateCacheStatistics {
  readonly hits: number
  readonly misses: number
  readonly adds: number
  /** Adds that were turned down: too large, too old, not wanted by the policy. */
  readonly refusals: number
  readonly evictions: number
}

const bytesLimitMin = 64 * 1024
const objectBytesMaxDefault = 64 * 1024
const shardBytesWanted = 4 * 1024 ** 2
const shardCountWanted = 16

/**
 * Takes the memory of a new, empty cache. The system supplies it only as it is used.
 * @throws UsageError `cache-too-small`, `unknown-policy`
 * @throws ShootoutError `cache-memory` when the system refuses that much
 */
export function createStateCache(options: StateCacheOptions): StateCacheMemory {
  const { bytesLimit, objectBytesMax = objectBytesMaxDefault } = options
  const policy = policyNamed(options.policy ?? defaultPolicy)
  if (!(bytesLimit >= bytesLimitMin)) {
    throw new UsageError(
      'cache-too-small',
      `a state cache of ${bytesLimit} bytes is too small; give at least ${formatBytes(bytesLimitMin)}`,
    )
  }
  const shardCount = options.shardCount ?? defaultShardCount(bytesLimit)
  // Whole doubles.
  const shardBytes = Math.floor(bytesLimit / shardCount / 8) * 8
  try {
    const shards = Array.from({ length: shardCount }, () => new SharedArrayBuffer(shardBytes))
    return { policy: policy.name, objectBytesMax, shards }
  } catch (cause) {
    throw new ShootoutError(
      'cache-memory',
      `the system does not give ${formatBytes(bytesLimit)} of shared memory for the state cache; make it smaller`,
      { cause, details: { bytesLimit } },
    )
  }
}

function defaultShardCount(bytesLimit: number): number {
  let count = 1
  while (count < shardCountWanted && bytesLimit / (2 * count) >= shardBytesWanted) count *= 2
  // A shard can address 2 GB.
  while (bytesLimit / count > blocksMax * blockBytes) count *= 2
  return count
}

export class StateCache implements StorageCache {
  readonly bytesLimit: number
  readonly policy: string
  /** Larger objects are not taken. */
  readonly objectBytesMax: number
  readonly #shards: readonly Shard[]
  #hits = 0
  #misses = 0
  #adds = 0
  #refusals = 0

  /** Attaches to memory that `createStateCache` made, in this thread or another. */
  constructor(memory: StateCacheMemory) {
    const definition = policyNamed(memory.policy)
    const results = new ResultMemory()
    this.#shards = memory.shards.map((buffer) => new Shard(buffer, definition, results))
    this.policy = definition.name
    this.bytesLimit = memory.shards.reduce((sum, buffer) => sum + buffer.byteLength, 0)
    this.objectBytesMax = Math.min(memory.objectBytesMax, this.#shards[0]!.objectBytesMax)
  }

  // --- Reading: always copies, which stay valid for ever ---

  /**
   * A copy of exactly that revision, if it is here.
   * @param through a snapshot of which the caller knows that it shows this revision; it is remembered for others
   */
  get(oid: Oid, tid: Tid, through: Tid = tid): Revision | undefined {
    const hash = hashOid(oid)
    return this.#counted(this.#shardOf(hash).get(hash, oid, tid, through))
  }

  /**
   * A copy of the revision that `snapshot` shows, if one is here that was written at or before `snapshot` and is known
   * to be shown by `needed` or a later snapshot. It is then remembered as shown by `snapshot`.
   *
   * The caller warrants that the object did not change in (`needed`, `snapshot`]. With `needed` = `snapshot` nothing
   * has to be warranted.
   */
  find(oid: Oid, snapshot: Tid, needed: Tid): Revision | undefined {
    const hash = hashOid(oid)
    return this.#counted(this.#shardOf(hash).find(hash, oid, snapshot, needed))
  }

  /** Whether exactly that revision is here. Not counted, and no policy hears of it. */
  has(oid: Oid, tid: Tid): boolean {
    const hash = hashOid(oid)
    return this.#shardOf(hash).has(hash, oid, tid)
  }

  /** A copy of exactly that revision, without counting as a request. */
  peek(oid: Oid, tid: Tid): Uint8Array | undefined {
    const hash = hashOid(oid)
    return this.#shardOf(hash).peek(hash, oid, tid)
  }

  // --- Writing ---

  /**
   * Takes a copy of a revision.
   * @param through a snapshot that is known to show this revision: the one it was loaded in, or for a revision that
   *   was just committed its own tid
   * @param generation as `this.generation` was when that became known; a revision of a store that has been replaced
   *   since is refused. Left out: the present one
   */
  add(oid: Oid, tid: Tid, data: Uint8Array, through: Tid = tid, generation?: number): boolean {
    if (data.length > this.objectBytesMax || oid >= oidLimit || through < tid) {
      this.#refusals++
      return false
    }
    const hash = hashOid(oid)
    const added: Added = this.#shardOf(hash).add(hash, oid, tid, data, through, generation)
    if (added === 'added') this.#adds++
    if (added === 'refused') this.#refusals++
    return added !== 'refused'
  }

  delete(oid: Oid, tid: Tid): boolean {
    const hash = hashOid(oid)
    return this.#shardOf(hash).delete(hash, oid, tid)
  }

  /** Forgets every revision of an object: the object is gone, and no snapshot to come shows any. */
  deleteObject(oid: Oid): void {
    const hash = hashOid(oid)
    this.#shardOf(hash).deleteObject(hash, oid)
  }

  /** Forgets everything, for all threads. The counts of `statistics` stay. */
  clear(): void {
    for (const shard of this.#shards) shard.clear(false)
  }

  /**
   * Forgets everything because the store was emptied or replaced: tids of before may come again with other contents.
   * What other threads learnt before is refused from now on, and their indexes start anew at their next poll.
   */
  startNewStore(): void {
    for (const shard of this.#shards) shard.clear(true)
  }

  /** Counts how often `startNewStore` was called, by any thread. */
  get generation(): number {
    // The last to be raised: who sees it raised here can be sure that all shards are empty.
    return this.#shards.at(-1)!.generation
  }

  // --- For the indexes of all threads ---

  /**
   * A snapshot from which changes are worth asking for: revisions in the cache are known to be shown by snapshots at
   * or after it, so that who knows all changes since can use them all. `noTid` before the first.
   */
  get origin(): Tid {
    return this.#shards[0]!.updateOrigin((origin) => origin) as Tid
  }

  /** Sets the origin where there is none, and returns what it is. */
  proposeOrigin(tid: Tid): Tid {
    return this.#shards[0]!.updateOrigin((origin) => (origin === noTid ? tid : origin)) as Tid
  }

  /** Moves the origin forward: changes before `tid` have been forgotten. */
  raiseOrigin(tid: Tid): void {
    this.#shards[0]!.updateOrigin((origin) => Math.max(origin, tid))
  }

  // --- Looking on ---

  get entries(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.entries, 0)
  }

  get bytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.bytes, 0)
  }

  statistics(): StateCacheStatistics {
    const evictions = this.#shards.reduce((sum, shard) => sum + shard.evictions, 0)
    return {
      hits: this.#hits,
      misses: this.#misses,
      adds: this.#adds,
      refusals: this.#refusals,
      evictions,
    }
  }

  /**
   * What is here, a piece at a time so that no lock is held for long. Entries that come, go or move meanwhile may be
   * missed or named twice.
   */
  *keys(): Generator<readonly EntryKey[]> {
    const wordsAtATime = 1024
    for (const shard of this.#shards) {
      for (let from = 0; from < shard.tableWords; from += wordsAtATime) {
        yield shard.keys(from, from + wordsAtATime)
      }
    }
  }

  /** Shards that a thread left half changed when it was terminated. They answer "not here". */
  get givenUpShards(): number {
    return this.#shards.filter((shard) => shard.isGivenUp).length
  }

  /** For tests: counts everything again. @returns what does not agree, over all shards */
  audit(): string[] {
    const problems = this.#shards.flatMap((shard) => shard.audit())
    if (this.bytes > this.bytesLimit) problems.push(`${this.bytes} bytes are more than ${this.bytesLimit}`)
    return problems
  }

  #shardOf(hash: number): Shard {
    return this.#shards[hash % this.#shards.length]!
  }

  #counted(revision: Revision | undefined): Revision | undefined {
    if (revision === undefined) this.#misses++
    else this.#hits++
    return revision
  }
}
