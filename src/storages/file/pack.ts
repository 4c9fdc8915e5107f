/**
 * Packing: a new log with what stays takes the place of the old one, while commits and reads go on.
 *
 * 1. Plan: which revisions stay (pack-plan.ts).
 * 2. Copy what the plan covers, then what was committed meanwhile, until only little is left (pack-copy.ts).
 * 3. With the mutex held: copy the rest, flush, rename over the old log, flush the folder, switch index and file.
 *
 * A pack of nothing raises `wholeSince` alone: restoring needs that. Until the rename nothing of the old log has
 * changed, so stopping at any point, by error or power loss, leaves it as it was. Memory, given back at the end: 17
 * bytes per object, and one transaction.
 */

import { randomBytes } from 'node:crypto'
import { ShootoutError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { PackOptions, PackResult } from '../storage.ts'
import { blobName } from './blob-file.ts'
import { blobBytes, prepareBlobs, sweepAfterPack } from './blob-folder.ts'
import { damage } from './file-errors.ts'
import { readFileHeader } from './file-header.ts'
import { fileHeaderBytes, fileIdBytes, formatVersion } from './format.ts'
import type { Log } from './log.ts'
import { PackWriter } from './pack-copy.ts'
import { markNewer, markReached } from './pack-marks.ts'
import { bytesPerTurn, type PackPlan, planPack, type References, stays, type Yield } from './pack-plan.ts'
import { putInPlace } from './replace.ts'
import { LogScanner, type ScannedRecord } from './scan.ts'
import type { StagedRecord } from './staged-transaction.ts'

/** Under which name the new log is written. What is found there was never finished. */
export function unfinishedPackPath(path: string): string {
  return `${path}.pack`
}

/** So little is copied with the mutex held. */
const lockedBytesMax = 1 << 16
/** Bytes of the new log between two flushes, so that none of them takes long. */
const bytesPerFlush = 1 << 23
/** How often a commit may bring garbage back to life before packing gives up. */
const attemptsMax = 5

/** What `pack` is to do to a log. */
export interface LogPackOptions extends Pick<PackOptions, 'before' | 'references'> {
  /** What the new log shall say at least, even where nothing goes. */
  readonly wholeSince: Tid
}

/**
 * Call it with the `packing` and `checkpointing` words held.
 * @param options `before` is at most the newest published transaction, and at most the oldest open snapshot
 * @param pause runs between pieces of work; throws when packing is to stop
 */
export async function pack(log: Log, options: LogPackOptions, pause: Yield): Promise<PackResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await packOnce(log, options, pause)
    if (result !== undefined) return result
    if (attempt === attemptsMax) {
      throw new ShootoutError(
        'pack-disturbed',
        `${log.path}: ${attemptsMax} times, a commit referred to an object that was about to be collected; nothing was changed, pack again later`,
        { transient: true },
      )
    }
  }
}

/** Undefined when a commit referred to an object that was not to stay. */
async function packOnce(
  log: Log,
  { before: cutoff, references, wholeSince }: LogPackOptions,
  pause: Yield,
): Promise<PackResult | undefined> {
  const { files, path } = log
  const header = readFileHeader(files, log.file, path)
  const scanner = new LogScanner(files, log.file, log.seed)
  const end = log.locked(() => log.publishedEnd)
  const plan = await planPack(log, scanner, cutoff, end, references, pause)
  if (plan.removes === 0 && wholeSince <= header.wholeSince) {
    return { removedRevisions: 0, removedObjects: 0, ...(await sweep(log, [], end, end)) }
  }
  const writer = new PackWriter(files, unfinishedPackPath(path), log.counters, {
    version: formatVersion,
    fileId: new Uint8Array(randomBytes(fileIdBytes)),
    createdUs: header.createdUs,
    nextOid: log.numbers.nextOid,
    // An earlier pack may have gone further than this one.
    lastTid: Math.max(header.lastTid, cutoff) as Tid,
    wholeSince: Math.max(header.wholeSince, cutoff, wholeSince) as Tid,
  })
  let isSwitched = false
  try {
    const copy = new Copy(log, scanner, plan, writer, references)
    await copyMost(log, copy, pause)
    const bytesBefore = log.locked(() => {
      scanner.forget()
      copy.upTo(log.numbers.tail)
      writer.write()
      if (copy.isDisturbed) return undefined
      if (copy.droppedBlobs.length > 0) prepareBlobs(log, true)
      const before = log.numbers.tail
      putInPlace(log, writer)
      isSwitched = true
      return before
    })
    if (bytesBefore === undefined) return undefined
    return {
      removedRevisions: copy.removedRevisions,
      removedObjects: copy.removedObjects,
      ...(await sweep(log, copy.droppedBlobs, bytesBefore, writer.end)),
    }
  } finally {
    log.counters.bytesRead += scanner.bytesRead
    if (!isSwitched) writer.discard()
  }
}

/**
 * Removes blobs that are no longer needed.
 * @returns the bytes of the whole store, given those of the log before and after
 */
async function sweep(log: Log, dropped: readonly string[], logBytesBefore: number, logBytesAfter: number) {
  const bytesBefore = logBytesBefore + (await blobBytes(log))
  await sweepAfterPack(log, dropped)
  return { bytesBefore, bytesAfter: logBytesAfter + (await blobBytes(log)) }
}

/** Copies and flushes until there is little left to do. */
async function copyMost(log: Log, copy: Copy, pause: Yield): Promise<void> {
  const { files, counters } = log
  let flushedEnd = 0
  for (;;) {
    const end = log.locked(() => log.publishedEnd)
    copy.scanner.forget()
    while (copy.position < end) {
      copy.upTo(Math.min(end, copy.position + bytesPerTurn))
      await pause(0.4 + 0.6 * Math.min(1, copy.position / end))
      if (copy.writer.end - flushedEnd < bytesPerFlush) continue
      copy.writer.write()
      await files.syncLater(copy.writer.file)
      counters.syncs++
      flushedEnd = copy.writer.end
    }
    copy.writer.write()
    await files.syncLater(copy.writer.file)
    counters.syncs++
    flushedEnd = copy.writer.end
    if (log.numbers.tail - copy.position <= lockedBytesMax || copy.isDisturbed) return
  }
}

/** Copies the log piece by piece, in order. */
class Copy {
  readonly writer: PackWriter
  position = fileHeaderBytes
  removedRevisions = 0
  removedObjects = 0
  /** A commit that the plan did not know refers to an object that was not to stay. */
  isDisturbed = false
  /** Names of blobs of which a record was left out. Another record may name the same. */
  readonly droppedBlobs: string[] = []
  readonly #log: Log
  readonly scanner: LogScanner
  readonly #plan: PackPlan
  readonly #references: References | undefined

  constructor(
    log: Log,
    scanner: LogScanner,
    plan: PackPlan,
    writer: PackWriter,
    references: References | undefined,
  ) {
    this.#log = log
    this.scanner = scanner
    this.#plan = plan
    this.#references = references
    this.writer = writer
  }

  /** Copies the transactions that begin before `end`. */
  upTo(end: number): void {
    const { cutoff } = this.#plan
    const limit = this.#log.numbers.tail
    while (this.position < end) {
      const isPlanned = this.position < this.#plan.end
      const records: StagedRecord[] = []
      this.scanner.hold(this.position, limit)
      const read = this.scanner.read(this.position, limit, (record) => {
        if (isPlanned && !stays(this.#plan, record)) {
          this.#leaveOut(record)
          return
        }
        records.push({ oid: record.oid, data: record.view(), blob: record.blob() })
        if (!isPlanned) this.#checkReferences(record)
      })
      if ('reason' in read) {
        throw damage(this.#log.path, `the transaction at position ${this.position}`, read.reason)
      }
      const isPacked = read.header.tid <= cutoff
      // A transaction of which nothing is left goes too.
      if (!isPacked || records.length > 0) this.writer.add(read, records, isPacked)
      this.position = read.end
    }
  }

  #leaveOut(record: ScannedRecord): void {
    const { oid, position } = record
    const { marks } = this.#plan
    const blob = record.blob()
    if (blob !== undefined) this.droppedBlobs.push(blobName(oid, blob.id))
    this.removedRevisions++
    if (marks.position(oid) === position && !marks.has(oid, markNewer)) this.removedObjects++
  }

  #checkReferences(record: ScannedRecord): void {
    const { marks } = this.#plan
    if (this.#references === undefined || this.isDisturbed) return
    const data = record.data()
    if (data === null) return
    for (const oid of this.#references(data)) {
      if (marks.position(oid) !== 0 && !marks.has(oid, markReached)) this.isDisturbed = true
    }
  }
}
