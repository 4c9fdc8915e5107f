/** Takes a transaction of another store into the log, as it is. */

import { ShootoutError } from '../../core/errors.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import type { ObjectRecord, TransactionRecord } from '../storage.ts'
import { buryDead } from './bury.ts'
import { encodeMetadata } from './format.ts'
import type { Log } from './log.ts'
import { PendingBlobs } from './pending-blobs.ts'
import { word } from './shared-state.ts'
import { type StagedRecord, StagedTransaction } from './staged-transaction.ts'
import type { FileStorage } from './storage.ts'
import { changeOf } from './wait.ts'

/** What the log must say, at least, before it takes these. */
export function wholeSinceOf(transactions: readonly TransactionRecord[]): Tid {
  return transactions.reduce((latest, { wholeSince = noTid }) => Math.max(latest, wholeSince) as Tid, noTid)
}

export async function restoreTransaction(
  storage: FileStorage,
  { tid, metadata, records }: TransactionRecord,
): Promise<void> {
  const blobs = new PendingBlobs(storage.log, storage.durability === 'full')
  const named = new Set<string>()
  try {
    const staged = await withBlobs(records, blobs)
    storage.assertOpen()
    await append(storage, tid, new StagedTransaction(encodeMetadata(metadata), staged))
    for (const { blob } of staged) if (blob !== undefined) named.add(blob.id)
  } finally {
    blobs.end(named)
  }
  await storage.committed(tid, undefined)
}

async function append(storage: FileStorage, tid: Tid, staged: StagedTransaction): Promise<void> {
  const { log } = storage
  for (;;) {
    const endings = Atomics.load(log.words, word.endings)
    const done = log.locked(() => {
      assertNewer(log, tid)
      // A vote promised somebody that these objects stay as they are.
      if (staged.entries.some(({ oid }) => log.index.isClaimed(oid, true))) return false
      log.assertWritable()
      storage.append(staged, tid)
      return true
    })
    if (done) return
    await changeOf(log.words, word.endings, endings)
    buryDead(log)
  }
}

/** @throws ShootoutError `restore-order` */
export function assertNewer(log: Log, tid: Tid): void {
  const { path, numbers } = log
  if (tid > numbers.tailTid) return
  throw new ShootoutError(
    'restore-order',
    `${path}: transaction ${tid} cannot be restored after transaction ${numbers.tailTid}; restore in tid order, into an empty store`,
    { details: { tid, lastTid: numbers.tailTid } },
  )
}

/** The records of another storage, with their blobs taken over. */
async function withBlobs(records: readonly ObjectRecord[], blobs: PendingBlobs): Promise<StagedRecord[]> {
  const staged: StagedRecord[] = []
  for (const { oid, data, blob } of records) {
    staged.push({ oid, data, blob: blob && (await blobs.write(oid, blob.chunks())) })
  }
  blobs.flush()
  return staged
}
