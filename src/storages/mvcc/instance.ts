/**
 * One connection's view of an adapted storage: a number. Its snapshot shows the newest revisions below that number,
 * so opening one costs nothing and readers never wait for writers.
 */

import { ClosedError, ObjectNotFoundError, StorageTransactionError } from '../../core/errors.ts'
import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { checkMetadata } from '../metadata.ts'
import {
  type Awaitable,
  type BlobReader,
  emptyMetadata,
  type HistoryEntry,
  type Invalidations,
  type Revision,
  type RevisionSpan,
  type StorageInstance,
  type Transaction,
  type TransactionMetadata,
} from '../storage.ts'
import type { BaseRevision } from './base-storage.ts'
import { MvccBlobReader } from './blob-reader.ts'
import type { Committer, Reader } from './committer.ts'
import { MvccTransaction } from './transaction.ts'

const nothing: ReadonlySet<Oid> = new Set()

export class MvccInstance implements StorageInstance, Reader {
  readonly history?: (oid: Oid, count: number) => Promise<readonly HistoryEntry[]>
  readonly openBlob?: (oid: Oid) => Promise<BlobReader | undefined>
  readonly #committer: Committer
  /** Open readers: they end with this instance. */
  readonly #blobs = new Set<MvccBlobReader>()
  /** Loads answer with revisions below this. `noTid` while no snapshot is open: then nothing is below it. */
  #before: Tid = noTid
  /** Newest transaction that this instance has been told of; undefined before the first poll. */
  #seen: Tid | undefined
  #hasLostTrack = false
  #transaction: MvccTransaction | undefined
  #isReleased = false

  constructor(committer: Committer) {
    this.#committer = committer
    committer.readers.add(this)
    if (committer.base.takeBlob !== undefined) this.openBlob = (oid) => this.#openBlob(oid)
    if (committer.base.history !== undefined) this.history = (oid, count) => this.#history(oid, count)
  }

  get snapshotTid(): Tid {
    return this.#seen ?? noTid
  }

  get seenTid(): Tid | undefined {
    return this.#seen
  }

  get oldestNeeded(): Tid | undefined {
    return this.#before === noTid ? undefined : this.#seen
  }

  get hasTransaction(): boolean {
    return this.#transaction !== undefined
  }

  pollInvalidations(): Invalidations {
    this.#checkOpen()
    const { lastTid, log } = this.#committer
    const seen = this.#seen
    this.#seen = lastTid
    this.#before = after(lastTid)
    if (this.#hasLostTrack) {
      this.#hasLostTrack = false
      return 'all'
    }
    // An instance that has never had a snapshot has nothing that could be out of date.
    return seen === undefined || seen === lastTid ? nothing : log.since(seen, this)
  }

  load(oid: Oid): Awaitable<Revision> {
    if (this.#before === noTid) this.#refuseRead()
    const revision = this.#committer.base.loadBefore(oid, this.#before)
    if (revision instanceof Promise) return revision.then((found) => this.#found(oid, found))
    return this.#found(oid, revision)
  }

  #found(oid: Oid, revision: BaseRevision | undefined): Revision {
    if (revision === undefined || revision.data === null) throw new ObjectNotFoundError(oid)
    this.#count(revision.data)
    return revision as Revision
  }

  loadMany(oids: readonly Oid[]): Awaitable<readonly (Revision | undefined)[]> {
    if (this.#before === noTid) this.#refuseRead()
    const { base } = this.#committer
    const before = this.#before
    const found = oids.map((oid) => base.loadBefore(oid, before))
    if (!found.some((revision) => revision instanceof Promise)) {
      return (found as (BaseRevision | undefined)[]).map((revision) => this.#existing(revision))
    }
    return Promise.all(found).then((revisions) => revisions.map((revision) => this.#existing(revision)))
  }

  #existing(revision: BaseRevision | undefined): Revision | undefined {
    if (revision === undefined || revision.data === null) return undefined
    this.#count(revision.data)
    return revision as Revision
  }

  #count(data: Uint8Array): void {
    const { counters } = this.#committer
    counters.loads++
    counters.backendLoads++
    counters.loadedBytes += data.length
  }

  async loadBefore(oid: Oid, before: Tid): Promise<RevisionSpan | undefined> {
    this.#checkOpen()
    const { lastTid } = this.#committer
    const revision = await this.#committer.loadVisible(oid, before)
    if (revision === undefined) {
      if ((await this.#committer.loadVisible(oid, maxTid)) === undefined) throw new ObjectNotFoundError(oid)
      return undefined
    }
    const { data, serial, nextSerial } = revision
    if (data === null) throw new ObjectNotFoundError(oid)
    this.#count(data)
    const isReplaced = nextSerial !== undefined && nextSerial <= lastTid
    return { data, serial, nextSerial: isReplaced ? nextSerial : undefined }
  }

  async #openBlob(oid: Oid): Promise<BlobReader | undefined> {
    if (this.#before === noTid) this.#refuseRead()
    const revision = await this.#committer.base.loadBefore(oid, this.#before)
    if (revision === undefined || revision.data === null) throw new ObjectNotFoundError(oid)
    const { blob, serial } = revision
    if (blob === undefined) return undefined
    const reader = new MvccBlobReader(await blob.open(), serial, blob.bytes, () => this.#blobs.delete(reader))
    this.#blobs.add(reader)
    if (this.#isReleased) await reader.close()
    return reader
  }

  newOids(count: number): Awaitable<readonly Oid[]> {
    this.#checkOpen()
    this.#committer.checkWritable()
    return this.#committer.base.newOids(count)
  }

  async #history(oid: Oid, count: number): Promise<readonly HistoryEntry[]> {
    this.#checkOpen()
    const { base, lastTid } = this.#committer
    // One more, because the newest may be of a transaction that is being committed.
    const entries = (await base.history?.(oid, count + 1)) ?? []
    const visible = entries.filter((entry) => entry.tid <= lastTid).slice(0, count)
    if (entries.length === 0) throw new ObjectNotFoundError(oid)
    return visible
  }

  begin(metadata: TransactionMetadata = emptyMetadata): Transaction {
    this.#checkOpen()
    this.#committer.checkWritable()
    if (this.#before === noTid)
      throw new StorageTransactionError('begin: this instance has no snapshot; poll first')
    if (this.#transaction !== undefined) {
      throw new StorageTransactionError('begin: this instance has a transaction; finish or abort it first')
    }
    checkMetadata(metadata)
    this.#transaction = new MvccTransaction(this.#committer, this, metadata, () => {
      this.#transaction = undefined
    })
    return this.#transaction
  }

  afterCompletion(): void {
    this.#before = noTid
  }

  release(): Awaitable<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#before = noTid
    this.#transaction?.abort()
    this.#committer.readers.delete(this)
    return this.#closeBlobs()
  }

  close(): Awaitable<void> {
    this.#isReleased = true
    this.#before = noTid
    return this.#closeBlobs()
  }

  #closeBlobs(): Awaitable<void> {
    if (this.#blobs.size === 0) return
    return Promise.all([...this.#blobs].map((reader) => reader.close())).then(() => {})
  }

  loseTrack(): void {
    this.#before = noTid
    this.#hasLostTrack = this.#seen !== undefined
    this.#seen = undefined
  }

  #checkOpen(): void {
    if (this.#isReleased) throw new ClosedError('the storage instance')
  }

  #refuseRead(): never {
    this.#checkOpen()
    throw new StorageTransactionError('load: this instance has no snapshot; poll first')
  }
}
