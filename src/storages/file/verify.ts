/** Reads a whole log without opening it for use, and lists everything that is wrong with it. Changes nothing. */

import { CorruptDataError } from '../../core/errors.ts'
import type { FileSystem } from '../../core/file-system.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import { zeroCounters } from '../storage.ts'
import { BlobFile } from './blob-file.ts'
import { readFileHeader } from './file-header.ts'
import { type BlobReference, checksumSeed, type FileHeader, fileHeaderBytes } from './format.ts'
import { LogScanner, type ScannedRecord, type ScannedTransaction } from './scan.ts'

/** A stretch of the log that is not a whole transaction. */
export interface Damage {
  readonly from: number
  /** Where the next whole transaction begins, or the file ends. */
  readonly to: number
  readonly reason: string
  /** The disk had confirmed it, so it is damage; otherwise it is what a crash leaves at the end. */
  readonly wasConfirmed: boolean
}

export interface Verification {
  readonly header: FileHeader
  readonly bytes: number
  readonly transactions: number
  readonly records: number
  /** Objects of which there is a revision. */
  readonly objects: number
  readonly firstTid: Tid
  readonly lastTid: Tid
  readonly damages: readonly Damage[]
  /** Those that a record of a whole transaction names, by id: each once, though an undo names one again. */
  readonly blobs: ReadonlyMap<string, NamedBlob>
}

export interface NamedBlob {
  readonly oid: Oid
  readonly reference: BlobReference
}

export interface Visitor {
  record?(record: ScannedRecord): void
  transaction?(transaction: ScannedTransaction): void
  damage?(damage: Damage): void
  progress?(fraction: number): void
}

/**
 * Walks over every transaction that verifies, also behind damage.
 * @throws ShootoutError `not-a-log`, `log-version`, `corrupt-data` for the file header
 */
export function walkLog(files: FileSystem, path: string, visitor: Visitor): Verification {
  const file = files.open(path, 'read')
  try {
    const header = readFileHeader(files, file, path)
    const bytes = files.size(file)
    const scanner = new LogScanner(files, file, checksumSeed(header.fileId))
    const damages: Damage[] = []
    const objects = new Set<Oid>()
    const blobs = new Map<string, NamedBlob>()
    let [transactions, records, firstTid, lastTid] = [0, 0, noTid, noTid]
    for (let position = fileHeaderBytes; position < bytes; ) {
      let oids: Oid[] = []
      const named: NamedBlob[] = []
      const read = scanner.read(position, bytes, (record) => {
        oids.push(record.oid)
        const reference = record.blob()
        if (reference !== undefined) named.push({ oid: record.oid, reference })
        visitor.record?.(record)
      })
      if ('reason' in read) {
        oids = []
        const damage = measure(scanner, position, bytes, read.reason)
        damages.push(damage)
        visitor.damage?.(damage)
        position = damage.to
        continue
      }
      for (const oid of oids) objects.add(oid)
      for (const blob of named) blobs.set(blob.reference.id, blob)
      records += oids.length
      transactions++
      if (firstTid === noTid) firstTid = read.header.tid
      lastTid = read.header.tid
      visitor.transaction?.(read)
      position = read.end
      visitor.progress?.(position / bytes)
    }
    return { header, bytes, transactions, records, objects: objects.size, firstTid, lastTid, damages, blobs }
  } finally {
    files.close(file)
  }
}

/** Reads a whole blob and checks it. Returns what is wrong, or undefined. */
export function blobProblem(
  files: FileSystem,
  path: string,
  { oid, reference }: NamedBlob,
): string | undefined {
  let file: BlobFile | undefined
  try {
    file = new BlobFile(files, zeroCounters(), path, oid, reference)
    for (const _chunk of file.chunks());
    return undefined
  } catch (error) {
    if (!(error instanceof CorruptDataError)) throw error
    return `${String(error.details['where'])}: ${String(error.details['reason'])}`
  } finally {
    file?.close()
  }
}

/** How far damage reaches, and whether what was there had been confirmed. */
function measure(scanner: LogScanner, from: number, bytes: number, reason: string): Damage {
  let to = bytes
  let wasConfirmed = false
  for (let next = from + 1; next < bytes; ) {
    const header = scanner.findHeader(next, bytes)
    if (header === undefined) break
    if (header.durableEnd > from) wasConfirmed = true
    if (to === bytes && !('reason' in scanner.read(header.position, bytes))) to = header.position
    if (wasConfirmed && to < bytes) break
    next = header.position + 1
  }
  return { from, to, reason, wasConfirmed }
}
