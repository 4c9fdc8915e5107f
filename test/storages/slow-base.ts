/**
 * A base storage that answers everything late: it drives the adapter through its asynchronous paths, where every
 * await is a chance for something else to happen in between.
 */

import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import {
  type BaseBlob,
  type BaseRecord,
  type BaseStorage,
  type BaseTransaction,
  mvccAdapter,
} from '../../src/storages/mvcc-adapter.ts'
import { type BlobSource, defineStorage, type HistoryEntry } from '../../src/storages/storage.ts'

const late = () => new Promise<void>((resolve) => setImmediate(resolve))

export class SlowStore implements BaseStorage {
  #transactions: BaseTransaction[] = []
  #nextOid = 1
  #isCommitting = false

  get lastTid(): Tid {
    return this.#transactions.at(-1)?.tid ?? noTid
  }

  async newOids(count: number): Promise<Oid[]> {
    const first = this.#nextOid
    this.#nextOid += count
    await late()
    return Array.from({ length: count }, (_, index) => (first + index) as Oid)
  }

  #revisions(oid: Oid): { tid: Tid; record: BaseRecord; transaction: BaseTransaction }[] {
    return this.#transactions.flatMap((transaction) => {
      const record = transaction.records.find((one) => one.oid === oid)
      return record === undefined ? [] : [{ tid: transaction.tid, record, transaction }]
    })
  }

  async loadBefore(oid: Oid, before: Tid) {
    await late()
    const revisions = this.#revisions(oid)
    const newest = revisions.filter(({ tid }) => tid < before).length - 1
    const found = revisions[newest]
    if (found === undefined) return undefined
    const { data, blob } = found.record
    return { data, serial: found.tid, nextSerial: revisions[newest + 1]?.tid, ...(blob && { blob }) }
  }

  async takeBlob(source: BlobSource): Promise<BaseBlob> {
    const chunks: Uint8Array[] = []
    for await (const chunk of source) {
      await late()
      chunks.push(chunk)
    }
    const content = Buffer.concat(chunks)
    const open = async () => {
      await late()
      let isOpen = true
      return {
        async read(position: number, length: number) {
          await late()
          if (!isOpen) throw new Error('read after close')
          return new Uint8Array(content.subarray(position, position + length))
        },
        async close() {
          await late()
          if (!isOpen) throw new Error('closed twice')
          isOpen = false
        },
      }
    }
    return {
      bytes: content.length,
      open,
      async *chunks() {
        await late()
        yield* chunks.filter((chunk) => chunk.length > 0)
      },
    }
  }

  async commit(transaction: BaseTransaction): Promise<void> {
    if (this.#isCommitting) throw new Error('two commits at once')
    this.#isCommitting = true
    await late()
    // From here on the base storage has it, and nobody may see it before `commit` has ended.
    this.#transactions.push(transaction)
    for (const { oid } of transaction.records) this.#nextOid = Math.max(this.#nextOid, oid + 1)
    await late()
    await late()
    this.#isCommitting = false
  }

  async history(oid: Oid, count: number): Promise<HistoryEntry[]> {
    await late()
    return this.#revisions(oid)
      .reverse()
      .slice(0, count)
      .map(({ tid, record, transaction }) => ({
        tid,
        metadata: transaction.metadata,
        bytes: record.data?.length ?? 0,
      }))
  }

  async changedBy(tid: Tid): Promise<Oid[] | undefined> {
    await late()
    return this.#transactions.find((one) => one.tid === tid)?.records.map((record) => record.oid)
  }

  async *iterate(from: Tid, to: Tid): AsyncGenerator<BaseTransaction> {
    for (const transaction of this.#transactions) {
      if (transaction.tid < from || transaction.tid > to) continue
      await late()
      yield transaction
    }
  }

  async zap(): Promise<void> {
    await late()
    this.#transactions = []
    this.#nextOid = 1
  }

  async close(): Promise<void> {
    await late()
    if (this.#isCommitting) throw new Error('closed while committing')
  }
}

export default defineStorage({
  name: 'slow',
  summary: 'answers everything late',
  options: {},
  capabilities: () => ({
    reach: 'isolate',
    durability: 'memory',
    persistent: false,
    blocking: false,
    history: true,
    conflictResolution: true,
    deletion: true,
    undo: true,
    iteration: true,
    pack: false,
    prefetch: false,
    blobs: true,
  }),
  open: (_options, context) => mvccAdapter(new SlowStore(), context),
})
