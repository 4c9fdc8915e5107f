/**
 * Copying with history: whole transactions in tid order, each as it is. What the destination holds already must be the
 * beginning of the source, and the copy goes on behind it; so a copy that was killed is continued by starting it again.
 */

import { after, noTid, type Tid } from '../../core/ids.ts'
import type { ObjectRecord, Storage, TransactionRecord } from '../storage.ts'
import { compareTransactions } from './compare.ts'
import { batchBytes, type CopyJob, type CopyPhase, notPrefixError } from './job.ts'

/** Transactions in a batch, however small: a destination takes a batch in one step. */
const batchTransactions = 1000

/** Both storages can iterate, and the destination can restore. */
export async function copyTransactions(source: Storage, destination: Storage, job: CopyJob): Promise<void> {
  const last = source.lastTid
  const there = destination.lastTid
  if (there > last) {
    throw notPrefixError(`its last transaction is ${there}, and the source ends with ${last}`)
  }
  if (there !== noTid) await checkPrefix(source, destination, there, job)
  if (!job.isStopped) await upload(source, destination, last, job)
  if (job.options.verify && !job.isStopped) await verify(source, destination, last, job)
}

async function checkPrefix(source: Storage, destination: Storage, there: Tid, job: CopyJob): Promise<void> {
  await compare(source, destination, there, job, 'checking', (difference) => {
    throw notPrefixError(difference)
  })
}

async function verify(source: Storage, destination: Storage, last: Tid, job: CopyJob): Promise<void> {
  await compare(source, destination, last, job, 'verifying', (difference) => job.differs(difference))
  const unknown = await unknownPack(source, destination)
  if (unknown !== undefined && !job.isStopped) job.differs(unknown)
}

/** What the destination does not know to be packed away, in words. An empty one has nothing that could be taken for whole. */
async function unknownPack(source: Storage, destination: Storage): Promise<string | undefined> {
  const [wanted, found] = [await source.wholeSince?.(), await destination.wholeSince?.()]
  if (wanted === undefined || found === undefined || found >= wanted || destination.lastTid === noTid) return
  return `the source was packed up to transaction ${wanted}, and the destination takes its history for whole since ${found}`
}

/** Walks through both side by side, up to `last`. */
async function compare(
  source: Storage,
  destination: Storage,
  last: Tid,
  job: CopyJob,
  phase: CopyPhase,
  tell: (difference: string) => void,
): Promise<void> {
  const withBlobs = job.options.blobs === 'copy'
  const others = destination.iterate!(noTid, last)[Symbol.asyncIterator]()
  const position = new Position(last)
  const done = { records: 0, bytes: 0, blobs: 0 }
  try {
    let other = await others.next()
    for await (const transaction of source.iterate!(noTid, last)) {
      await job.breathe()
      if (job.isStopped) return
      while (other.done !== true && other.value.tid < transaction.tid) {
        tell(`transaction ${other.value.tid} is not in the source`)
        other = await others.next()
      }
      if (other.done === true || other.value.tid > transaction.tid) {
        tell(`transaction ${transaction.tid} is missing`)
        continue
      }
      const difference = await compareTransactions(transaction, other.value, withBlobs)
      if (difference !== undefined) tell(difference)
      add(done, transaction)
      if (phase === 'verifying') add(job.verified, transaction)
      else job.recordsThere += transaction.records.length
      job.progress(phase, position.of(transaction.tid), done)
      other = await others.next()
    }
    for (; other.done !== true; other = await others.next()) {
      tell(`transaction ${other.value.tid} is not in the source`)
    }
  } finally {
    await others.return?.()
  }
}

async function upload(source: Storage, destination: Storage, last: Tid, job: CopyJob): Promise<void> {
  const batch = new Batch(destination, job)
  const position = new Position(last)
  try {
    for await (const transaction of source.iterate!(after(destination.lastTid), last)) {
      await job.breathe()
      if (job.isStopped) break
      const records = transaction.records.map((record) => copied(record, job))
      await batch.add({ ...transaction, records })
      job.progress('copying', position.of(transaction.tid), job.written)
    }
    await batch.end()
  } finally {
    // Whatever went wrong, nothing may be on its way when the storages are closed.
    await batch.settled()
  }
}

function copied({ oid, data, blob }: ObjectRecord, job: CopyJob): ObjectRecord {
  const wanted = job.blobToCopy(oid, blob)
  return wanted === undefined ? { oid, data } : { oid, data, blob: wanted }
}

/** Transactions on their way: one batch is filled while the one before is written. */
class Batch {
  readonly #destination: Storage
  readonly #job: CopyJob
  #transactions: TransactionRecord[] = []
  #bytes = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(destination: Storage, job: CopyJob) {
    this.#destination = destination
    this.#job = job
  }

  async add(transaction: TransactionRecord): Promise<void> {
    this.#transactions.push(transaction)
    this.#bytes += transaction.records.reduce((bytes, { data }) => bytes + (data?.length ?? 0), 0)
    const hasBlob = transaction.records.some(({ blob }) => blob !== undefined)
    if (!hasBlob && this.#bytes < batchBytes && this.#transactions.length < batchTransactions) return
    await this.send()
    // The source shows a blob only until it is asked for the next transaction.
    if (hasBlob) await this.#writing
  }

  /** Resolves when the batch before this one is written. */
  async send(): Promise<void> {
    await this.#writing
    const transactions = this.#transactions
    if (transactions.length === 0) return
    this.#transactions = []
    this.#bytes = 0
    this.#writing = this.#write(transactions)
    // A failure is told by whoever waits next.
    this.#writing.catch(() => {})
  }

  /** Sends the rest and waits for it. */
  async end(): Promise<void> {
    await this.send()
    await this.#writing
  }

  async settled(): Promise<void> {
    await this.#writing.catch(() => {})
  }

  async #write(transactions: readonly TransactionRecord[]): Promise<void> {
    if (this.#destination.restoreMany === undefined) {
      for (const transaction of transactions) await this.#destination.restore!(transaction)
    } else await this.#destination.restoreMany(transactions)
    this.#job.written.transactions += transactions.length
    for (const transaction of transactions) {
      add(this.#job.written, transaction)
      for (const { blob } of transaction.records) this.#job.written.blobBytes += blob?.bytes ?? 0
    }
  }
}

function add(total: { records: number; bytes: number; blobs: number }, { records }: TransactionRecord): void {
  total.records += records.length
  for (const { data, blob } of records) {
    total.bytes += data?.length ?? 0
    if (blob !== undefined) total.blobs++
  }
}

/** How far a tid is between the first one met and the last: the only measure that every source has. */
class Position {
  readonly #last: Tid
  #first: Tid | undefined

  constructor(last: Tid) {
    this.#last = last
  }

  of(tid: Tid): number {
    this.#first ??= tid
    const span = this.#last - this.#first
    return span === 0 ? 1 : (tid - this.#first) / span
  }
}
