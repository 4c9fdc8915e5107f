/** Copies every transaction that verifies into a new log. The damaged one is only read. */

import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { UsageError } from '../../core/errors.ts'
import { type FileSystem, readFully, writeFully } from '../../core/file-system.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import { zeroCounters } from '../storage.ts'
import { blobPath, blobsFolder } from './blob-file.ts'
import { newFileHeader } from './file-header.ts'
import { PackWriter } from './pack-copy.ts'
import type { StagedRecord } from './staged-transaction.ts'
import { blobProblem, type NamedBlob, type Verification, type Visitor, walkLog } from './verify.ts'

export interface Recovery extends Verification {
  /** Transactions in the new log. */
  readonly copied: number
  /** Whole transactions left out, because their tid is not above the one before. */
  readonly leftOut: number
  /** What is wrong with blobs. They are copied nevertheless, where they are there: most of their bytes may be right. */
  readonly blobProblems: readonly string[]
}

/**
 * @param target must not exist
 * @throws UsageError `file-exists`
 */
export function recoverLog(
  files: FileSystem,
  source: string,
  target: string,
  clock: Clock,
  visitor: Pick<Visitor, 'progress' | 'damage'> = {},
): Recovery {
  if (files.exists(target)) {
    throw new UsageError('file-exists', `${target} exists already; choose another name for the recovered log`)
  }
  const writer = new PackWriter(files, `${target}.new`, zeroCounters(), newFileHeader(clock))
  let records: StagedRecord[] = []
  let [copied, leftOut, lastTid] = [0, 0, noTid as Tid]
  try {
    const found = walkLog(files, source, {
      ...visitor,
      record: (record) => records.push({ oid: record.oid, data: record.data(), blob: record.blob() }),
      damage: (damage) => {
        // Records of a transaction that turned out not to be whole.
        records = []
        visitor.damage?.(damage)
      },
      transaction: (transaction) => {
        if (transaction.header.tid > lastTid) {
          writer.add(transaction, records, false)
          lastTid = transaction.header.tid
          copied++
        } else leftOut++
        records = []
      },
    })
    const { header, damages } = found
    // What the damage has taken is not known: nobody may believe that this history has everything.
    const isWhole = damages.length === 0 && leftOut === 0
    writer.setPast(isWhole ? header : { lastTid, wholeSince: Math.max(lastTid, header.wholeSince) as Tid })
    writer.write()
    files.sync(writer.file)
    // Before the log appears: it names them.
    const blobProblems = copyBlobs(files, source, target, found.blobs)
    files.rename(writer.path, target)
    writer.isInPlace = true
    files.syncFolder(dirname(target))
    return { ...found, copied, leftOut, blobProblems }
  } finally {
    writer.discard()
  }
}

/** Copies the files of all blobs, damaged ones too. Returns what is wrong with them. */
function copyBlobs(
  files: FileSystem,
  source: string,
  target: string,
  blobs: ReadonlyMap<string, NamedBlob>,
): string[] {
  const problems: string[] = []
  if (blobs.size === 0) return problems
  files.makeFolder(blobsFolder(target))
  for (const blob of blobs.values()) {
    const problem = blobProblem(files, source, blob)
    if (problem !== undefined) problems.push(problem)
    const { oid, reference } = blob
    const from = blobPath(source, oid, reference.id)
    if (files.exists(from)) copyFile(files, from, blobPath(target, oid, reference.id))
  }
  files.syncFolder(blobsFolder(target))
  return problems
}

const copyBytes = 1 << 20

function copyFile(files: FileSystem, from: string, to: string): void {
  const input = files.open(from, 'read')
  const output = files.open(to, 'create')
  try {
    const buffer = Buffer.allocUnsafe(copyBytes)
    for (let position = 0; ; position += copyBytes) {
      const got = readFully(files, input, buffer, 0, copyBytes, position)
      writeFully(files, output, buffer, 0, got, position)
      if (got < copyBytes) break
    }
    files.sync(output)
  } finally {
    files.close(input)
    files.close(output)
  }
}
