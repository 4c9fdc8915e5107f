/**
 * What all threads of a process have in common about one open log: plain data that survives a structured clone, with
 * shared memory in it, and names for the words of that memory.
 *
 * Who may write what: everything under *appending* is written only with the mutex held. `lastTid` is what publishes a
 * commit: whoever reads a value of it sees every index entry and change of the transactions up to it.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import { changesBytes } from './changes.ts'
import { gatheringBytes } from './gathering.ts'
import { acquireIndexBuffer } from './index-memory.ts'
import { seatsBytes } from './seats.ts'
import { snapshotsBytes } from './snapshots.ts'

export interface SharedLog {
  readonly path: string
  readonly readOnly: boolean
  readonly words: SharedArrayBuffer
  readonly numbers: SharedArrayBuffer
  readonly changes: SharedArrayBuffer
  readonly snapshots: SharedArrayBuffer
  readonly seats: SharedArrayBuffer
  readonly gathering: SharedArrayBuffer
  readonly index: SharedArrayBuffer
}

/** 32-bit words. */
export const word = {
  mutex: 0,
  /** Seat of the thread that is inside fdatasync for the group. */
  syncing: 1,
  /** Counts the ends of group syncs. */
  syncEpoch: 2,
  /** Counts transactions that gave up their claims; voters sleep on it. */
  endings: 3,
  /** Counts how often appended transactions were taken back because they could not be made durable. */
  rollbacks: 4,
  /** 1: the log takes no more writes until it is opened anew. */
  failed: 5,
  /** Counts the files that took each other's place (pack, zap). Its lowest bit says which side of the index is in use. */
  generation: 6,
  /** 1 while a new log gets the name of the old one: which of them an `open` finds is not certain. */
  switching: 7,
  /** Seat of who packs or zaps. */
  packing: 8,
  /** Seat of who writes a checkpoint, or packs. */
  checkpointing: 9,
  /** Seat of who has the mutex. */
  mutexOwner: 10,
  /** Counts how often all claims were given up, because a thread that held some was terminated. */
  claimsEra: 11,
  /** Checksum seed of the file of this generation. */
  seed: 12,
  /** 1: this process has marked the folder of the blobs. */
  blobsMarked: 13,
  /** 1: there are blob files that belong to no record, for the next pack or opening to remove. */
  sweepDue: 14,
  /** Version in the header of the file of this generation. */
  formatVersion: 15,
  count: 16,
} as const

/** 64-bit numbers. */
const number = {
  lastTid: 0,
  tailTid: 1,
  tail: 2,
  durableEnd: 3,
  nextOid: 4,
  changeCount: 5,
  checkpointEnd: 6,
  checkpointBytes: 7,
  packCutoff: 8,
  reservedOids: 9,
  rollbackRanges: 16,
} as const

const rollbackRangesKept = 16
const numberCount = number.rollbackRanges + 2 * rollbackRangesKept

export function newSharedLog(path: string, readOnly: boolean, indexBytes: number): SharedLog {
  return {
    path,
    readOnly,
    words: new SharedArrayBuffer(word.count * 4),
    numbers: new SharedArrayBuffer(numberCount * 8),
    changes: new SharedArrayBuffer(changesBytes),
    snapshots: new SharedArrayBuffer(snapshotsBytes),
    seats: new SharedArrayBuffer(seatsBytes),
    gathering: new SharedArrayBuffer(gatheringBytes),
    index: acquireIndexBuffer(indexBytes),
  }
}

/** The 64-bit numbers of a shared log, by name. Each read or write is atomic; two together are not. */
export class SharedNumbers {
  readonly #numbers: BigInt64Array

  constructor(state: SharedLog) {
    this.#numbers = new BigInt64Array(state.numbers)
  }

  #get(at: number): number {
    return Number(Atomics.load(this.#numbers, at))
  }

  #set(at: number, value: number): void {
    Atomics.store(this.#numbers, at, BigInt(value))
  }

  /** Newest transaction that new snapshots show. */
  get lastTid(): Tid {
    return this.#get(number.lastTid) as Tid
  }
  set lastTid(tid: Tid) {
    this.#set(number.lastTid, tid)
  }

  // --- appending ---

  /** Newest transaction in the log, perhaps not yet durable. Never goes back, whatever is taken back. */
  get tailTid(): Tid {
    return this.#get(number.tailTid) as Tid
  }
  set tailTid(tid: Tid) {
    this.#set(number.tailTid, tid)
  }

  /** End of the log: where the next transaction goes. */
  get tail(): number {
    return this.#get(number.tail)
  }
  set tail(position: number) {
    this.#set(number.tail, position)
  }

  /** Everything before this position is on disk. */
  get durableEnd(): number {
    return this.#get(number.durableEnd)
  }
  set durableEnd(position: number) {
    this.#set(number.durableEnd, position)
  }

  /** Smallest object id never given out. */
  get nextOid(): number {
    return this.#get(number.nextOid)
  }
  set nextOid(oid: number) {
    this.#set(number.nextOid, oid)
  }

  /** Ids below this will not be given out again, even if the process is killed. */
  get reservedOids(): number {
    return this.#get(number.reservedOids)
  }
  set reservedOids(oid: number) {
    this.#set(number.reservedOids, oid)
  }

  /** Entries ever added to the list of recent changes. */
  get changeCount(): number {
    return this.#get(number.changeCount)
  }
  set changeCount(count: number) {
    this.#set(number.changeCount, count)
  }

  /** End of the log as of the newest checkpoint on disk, and the size of that checkpoint. */
  get checkpointEnd(): number {
    return this.#get(number.checkpointEnd)
  }
  set checkpointEnd(position: number) {
    this.#set(number.checkpointEnd, position)
  }
  get checkpointBytes(): number {
    return this.#get(number.checkpointBytes)
  }
  set checkpointBytes(bytes: number) {
    this.#set(number.checkpointBytes, bytes)
  }

  /** What snapshots before this transaction show may be gone: none may be opened there. */
  get packCutoff(): Tid {
    return this.#get(number.packCutoff) as Tid
  }
  set packCutoff(tid: Tid) {
    this.#set(number.packCutoff, tid)
  }

  /** Makes `oid` one that will not be given out again. */
  keepAbove(oid: Oid): void {
    if (oid >= this.nextOid) this.nextOid = oid + 1
  }

  /** Remembers that the transactions after `from` up to `to` were taken back, as rollback number `count`. */
  noteRollback(count: number, from: Tid, to: Tid): void {
    const at = number.rollbackRanges + 2 * (count % rollbackRangesKept)
    this.#set(at, from)
    this.#set(at + 1, to)
  }

  /** True if `tid`, appended when there had been `before` rollbacks, was taken back in one of those up to `now`. */
  wasRolledBack(tid: Tid, before: number, now: number): boolean {
    // So many failures in a row that this one is forgotten: then it failed too.
    if (now - before > rollbackRangesKept) return true
    for (let count = before + 1; count <= now; count++) {
      const at = number.rollbackRanges + 2 * (count % rollbackRangesKept)
      if (tid > this.#get(at) && tid <= this.#get(at + 1)) return true
    }
    return false
  }
}
