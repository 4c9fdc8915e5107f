/** The log read as a list of transactions: iteration, and the history of one object. */

import { ObjectNotFoundError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type {
  HistoryEntry,
  ObjectRecord,
  RecordedBlob,
  TransactionMetadata,
  TransactionRecord,
} from '../storage.ts'
import { BlobFile } from './blob-file.ts'
import { damage } from './file-errors.ts'
import { readFileHeader } from './file-header.ts'
import { type BlobReference, fileHeaderBytes } from './format.ts'
import type { Log } from './log.ts'
import { LogScanner } from './scan.ts'

/** A search ends here, and reading on begins: less than one read of the scanner. */
const linearBytes = 1 << 18

/** Transactions from `from` to `to`, both inclusive, in tid order. Packing meanwhile does not disturb it. */
export async function* transactions(log: Log, from: Tid, to: Tid): AsyncGenerator<TransactionRecord> {
  // A descriptor of our own: packing closes the one that all share.
  const { file, seed, tail } = log.locked(() => {
    const opened = log.files.open(log.path, 'read')
    log.seats.add('iterations', 1)
    return { file: opened, seed: log.seed, tail: log.publishedEnd }
  })
  const scanner = new LogScanner(log.files, file, seed)
  try {
    const { wholeSince } = readFileHeader(log.files, file, log.path)
    const packed = wholeSince > noTid && { wholeSince }
    for (let position = positionOf(scanner, from, tail); position < tail; ) {
      const records: ObjectRecord[] = []
      const read = scanner.read(position, tail, (record) => {
        const blob = record.blob()
        const recorded = blob && { blob: recordedBlob(log, record.oid, blob) }
        records.push({ oid: record.oid, data: record.data(), ...recorded })
      })
      if ('reason' in read) throw damage(log.path, `the transaction at position ${position}`, read.reason)
      position = read.end
      const { tid } = read.header
      if (tid > to) return
      if (tid < from) continue
      yield { tid, metadata: read.metadata, records, ...packed }
    }
  } finally {
    log.counters.bytesRead += scanner.bytesRead
    log.files.close(file)
    log.seats.add('iterations', -1)
  }
}

/** While the iteration goes on, packing leaves the file where it is. */
function recordedBlob(log: Log, oid: Oid, blob: BlobReference): RecordedBlob {
  return {
    bytes: blob.bytes,
    async *chunks() {
      const file = new BlobFile(log.files, log.counters, log.path, oid, blob)
      try {
        for (const chunk of file.chunks()) yield chunk
      } finally {
        file.close()
      }
    },
  }
}

/**
 * A position at or before the transaction with the smallest tid ≥ `tid`, and not far before it. Tids rise along the
 * log, so this is a binary search; the transactions are found by how they begin.
 */
export function positionOf(scanner: LogScanner, tid: Tid, tail: number): number {
  let low = fileHeaderBytes
  let high = tail
  while (high - low > linearBytes) {
    const middle = Math.floor((low + high) / 2)
    const header = scanner.findHeader(middle, high)
    if (header === undefined || header.tid > tid) high = middle
    else if (header.position === low) break
    else low = header.position
  }
  return low
}

/** Revisions of one object up to `visible`, newest first. @throws ObjectNotFoundError */
export function historyOf(log: Log, oid: Oid, visible: Tid, count: number): readonly HistoryEntry[] {
  const found = log.find(oid, visible, visible)
  if (found === undefined) throw new ObjectNotFoundError(oid)
  const scanner = new LogScanner(log.files, log.file, log.seed)
  const entries: HistoryEntry[] = []
  let record = found.record
  while (entries.length < count) {
    entries.push({
      tid: record.serial,
      metadata: metadataOf(log, scanner, record.serial),
      bytes: record.data?.length ?? 0,
    })
    if (record.previous === 0) break
    record = log.read(log.file, record.previous, oid)
  }
  log.counters.bytesRead += scanner.bytesRead
  return entries
}

function metadataOf(log: Log, scanner: LogScanner, tid: Tid): TransactionMetadata {
  const { tail } = log.numbers
  for (let position = positionOf(scanner, tid, tail); position < tail; ) {
    const header = scanner.header(position, tail)
    if ('reason' in header) throw damage(log.path, `the transaction at position ${position}`, header.reason)
    if (header.tid === tid) return scanner.metadata(position, header)
    position += header.length
  }
  throw damage(log.path, `transaction ${tid}`, 'it is not in the log, though an object was changed in it')
}
