/**
 * The memory storage: every revision in a map, gone when the process ends.
 *
 * It is the floor of every benchmark, because a storage can hardly do less, and it shows how little a storage of your
 * own has to be: a base storage, and `mvccAdapter` around it. Everything answers with plain values.
 */

import { after, noTid, type Oid, rootOid, type Tid } from '../core/ids.ts'
import { option } from '../core/options.ts'
import {
  type BaseBlob,
  type BaseRecord,
  type BaseRevision,
  type BaseStorage,
  type BaseTransaction,
  mvccAdapter,
} from './mvcc-adapter.ts'
import {
  type BlobSource,
  defineStorage,
  type HistoryEntry,
  type ObjectRecord,
  type PackOptions,
  type PackResult,
  type TransactionMetadata,
  type TransactionRecord,
} from './storage.ts'

/** A transaction, kept for as long as a revision of it is. */
interface KeptTransaction {
  readonly tid: Tid
  readonly metadata: TransactionMetadata
  readonly oids: readonly Oid[]
  /** How many of its revisions are still kept. */
  revisionCount: number
}

interface KeptRevision extends BaseRevision {
  readonly transaction: KeptTransaction
  nextSerial: Tid | undefined
}

/** The chunks as they came. Nothing is copied: bytes are immutable. */
class MemoryBlob implements BaseBlob {
  bytes = 0
  readonly #chunks: Uint8Array[] = []
  /** Where in the blob each chunk begins. */
  readonly #starts: number[] = []

  add(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#starts.push(this.bytes)
    this.#chunks.push(chunk)
    this.bytes += chunk.length
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    yield* this.#chunks
  }

  open() {
    return { read: (position: number, length: number) => this.#read(position, length), close() {} }
  }

  #read(position: number, length: number): Uint8Array {
    const result = new Uint8Array(length)
    for (let at = this.#chunkAt(position), done = 0; done < length; at++) {
      const from = position + done - this.#starts[at]!
      const piece = this.#chunks[at]!.subarray(from, from + length - done)
      result.set(piece, done)
      done += piece.length
    }
    return result
  }

  /** The chunk that has this position, by halving: a blob may have come byte by byte. */
  #chunkAt(position: number): number {
    let [low, high] = [0, this.#starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}

class MemoryStore implements BaseStorage {
  lastTid: Tid = noTid
  readonly history?: (oid: Oid, count: number) => readonly HistoryEntry[]
  readonly changedBy?: (tid: Tid) => readonly Oid[] | undefined
  readonly wholeSince?: () => Tid
  readonly #keepsHistory: boolean
  /** Revisions of each object, oldest first. Never empty. */
  readonly #objects = new Map<Oid, KeptRevision[]>()
  /** In the order of their tids. */
  readonly #transactions = new Map<Tid, KeptTransaction>()
  #lastOid: number = rootOid
  #packedTid: Tid = noTid

  constructor(keepsHistory: boolean) {
    this.#keepsHistory = keepsHistory
    if (!keepsHistory) return
    this.history = (oid, count) => this.#history(oid, count)
    this.changedBy = (tid) => this.#changedBy(tid)
    this.wholeSince = () => this.#packedTid
  }

  newOids(count: number): Oid[] {
    const oids: Oid[] = []
    for (let made = 0; made < count; made++) oids.push(++this.#lastOid as Oid)
    return oids
  }

  loadBefore(oid: Oid, before: Tid): KeptRevision | undefined {
    const revisions = this.#objects.get(oid)
    if (revisions === undefined) return undefined
    const newest = revisions[revisions.length - 1]!
    if (newest.serial < before) return newest
    // How many are older than `before`, by halving: histories can be long.
    let low = 0
    let high = revisions.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (revisions[middle]!.serial < before) low = middle + 1
      else high = middle
    }
    return revisions[low - 1]
  }

  async takeBlob(source: BlobSource): Promise<MemoryBlob> {
    const blob = new MemoryBlob()
    for await (const chunk of source) blob.add(chunk)
    return blob
  }

  commit({ tid, metadata, records, wholeSince = noTid }: BaseTransaction, oldestSnapshot: Tid): void {
    this.lastTid = tid
    this.#lose(wholeSince)
    if (records.length === 0) return
    const oids = records.map((record) => record.oid)
    const transaction: KeptTransaction = { tid, metadata, oids, revisionCount: oids.length }
    this.#transactions.set(tid, transaction)
    for (const record of records) this.#append(record, transaction, oldestSnapshot)
  }

  #append({ oid, data, blob }: BaseRecord, transaction: KeptTransaction, oldestSnapshot: Tid): void {
    const serial = transaction.tid
    const revision: KeptRevision = { data, serial, nextSerial: undefined, transaction, ...(blob && { blob }) }
    const revisions = this.#objects.get(oid)
    if (revisions === undefined) {
      this.#objects.set(oid, [revision])
      if (oid > this.#lastOid) this.#lastOid = oid
      return
    }
    revisions[revisions.length - 1]!.nextSerial = serial
    revisions.push(revision)
    if (!this.#keepsHistory) this.#dropReplaced(revisions, oldestSnapshot)
  }

  /** Drops the revisions that were replaced at `tid` or before, and says how many. The current one always stays. */
  #dropReplaced(revisions: KeptRevision[], tid: Tid): number {
    let count = 0
    while (revisions.length > 1 && revisions[1]!.serial <= tid) {
      this.#lose(revisions[1]!.serial)
      this.#drop(revisions.shift()!)
      count++
    }
    return count
  }

  /** Of transactions up to this one something is gone: of itself, or of what was before it. */
  #lose(tid: Tid): void {
    if (tid > this.#packedTid) this.#packedTid = tid
  }

  #drop({ transaction }: KeptRevision): void {
    if (--transaction.revisionCount === 0) this.#transactions.delete(transaction.tid)
  }

  #history(oid: Oid, count: number): HistoryEntry[] {
    const newestFirst = (this.#objects.get(oid) ?? []).slice(-count).reverse()
    return newestFirst.map(({ serial, transaction, data }) => ({
      tid: serial,
      metadata: transaction.metadata,
      bytes: data?.length ?? 0,
    }))
  }

  #changedBy(tid: Tid): readonly Oid[] | undefined {
    return tid <= this.#packedTid ? undefined : this.#transactions.get(tid)?.oids
  }

  /** An array, not a generator: what is committed while the caller iterates would change the maps under it. */
  iterate(from: Tid, to: Tid): TransactionRecord[] {
    const found: TransactionRecord[] = []
    const packed = this.#packedTid > noTid && { wholeSince: this.#packedTid }
    for (const { tid, metadata, oids } of this.#transactions.values()) {
      if (tid < from || tid > to) continue
      const records: ObjectRecord[] = []
      for (const oid of oids) {
        const revision = this.loadBefore(oid, after(tid))
        // A revision of another transaction: the one of this has been dropped.
        if (revision?.serial !== tid) continue
        const { data, blob } = revision
        records.push({ oid, data, ...(blob && { blob }) })
      }
      found.push({ tid, metadata, records, ...packed })
    }
    return found
  }

  pack({ before, references, onProgress }: PackOptions): PackResult {
    const bytesBefore = this.#bytes()
    const reachable = references === undefined ? undefined : this.#reachable(before, references)
    let removedRevisions = 0
    let removedObjects = 0
    for (const [oid, revisions] of this.#objects) {
      removedRevisions += this.#dropReplaced(revisions, before)
      const only = revisions.length === 1 ? revisions[0]! : undefined
      if (only === undefined || only.serial > before) continue
      if (only.data !== null && (reachable === undefined || reachable.has(oid))) continue
      this.#drop(only)
      this.#objects.delete(oid)
      removedRevisions++
      removedObjects++
    }
    this.#lose(before)
    onProgress?.(1)
    return { removedRevisions, removedObjects, bytesBefore, bytesAfter: this.#bytes() }
  }

  /** Everything that a revision visible at `before` or later refers to, starting from the root and from what is newer. */
  #reachable(before: Tid, references: (data: Uint8Array) => Iterable<Oid>): Set<Oid> {
    const reached = new Set<Oid>([rootOid])
    for (const [oid, revisions] of this.#objects) {
      if (revisions.at(-1)!.serial > before) reached.add(oid)
    }
    // A set yields what is added to it while it is walked: it is the list of what is still to do as well.
    for (const oid of reached) {
      for (const { data, nextSerial } of this.#objects.get(oid) ?? []) {
        const isVisible = nextSerial === undefined || nextSerial > before
        if (isVisible && data !== null) for (const target of references(data)) reached.add(target)
      }
    }
    return reached
  }

  #bytes(): number {
    let bytes = 0
    const blobs = new Set<BaseBlob>()
    for (const revisions of this.#objects.values()) {
      for (const { data, blob } of revisions) {
        bytes += data?.length ?? 0
        if (blob !== undefined) blobs.add(blob)
      }
    }
    for (const blob of blobs) bytes += blob.bytes
    return bytes
  }

  zap(): void {
    this.#objects.clear()
    this.#transactions.clear()
    this.#lastOid = rootOid
    this.#packedTid = noTid
    this.lastTid = noTid
  }

  close(): void {
    this.zap()
  }
}

export default defineStorage({
  name: 'memory',
  summary: 'objects in a map of this process; the floor of every comparison',
  options: {
    history: option.boolean({
      default: false,
      summary: 'keep every revision; without it only those that an open snapshot can see',
    }),
  },
  capabilities: ({ history }) => ({
    reach: 'isolate',
    durability: 'memory',
    persistent: false,
    blocking: false,
    history,
    conflictResolution: true,
    deletion: true,
    undo: history,
    iteration: true,
    pack: true,
    prefetch: false,
    blobs: true,
  }),
  open: ({ history }, context) => mvccAdapter(new MemoryStore(history), context),
})
