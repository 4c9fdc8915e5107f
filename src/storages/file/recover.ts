/** Copies every transaction that verifies into a new log. The damaged one is only read. */

import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { UsageError } from '../../core/errors.ts'
import type { FileSystem } from '../../core/file-system.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import { zeroCounters } from '../storage.ts'
import { newFileHeader } from './file-header.ts'
import { type CopiedRecord, PackWriter } from './pack-copy.ts'
import { acquireIndexBuffer, PositionIndex, releaseIndexBuffer } from './position-index.ts'
import { type Verification, type Visitor, walkLog } from './verify.ts'

export interface Recovery extends Verification {
  /** Transactions in the new log. */
  readonly copied: number
  /** Whole transactions left out, because their tid is not above the one before. */
  readonly leftOut: number
}

/**
 * @param target must not exist
 * @throws UsageError `file-exists`
 */
export function recoverLog(
  files: FileSystem,
  source: string,
  target: string,
  indexBytes: number,
  clock: Clock,
  visitor: Pick<Visitor, 'progress' | 'damage'> = {},
): Recovery {
  if (files.exists(target)) {
    throw new UsageError('file-exists', `${target} exists already; choose another name for the recovered log`)
  }
  const buffer = acquireIndexBuffer(indexBytes)
  const writer = new PackWriter(
    files,
    `${target}.new`,
    new PositionIndex(buffer),
    zeroCounters(),
    newFileHeader(clock),
  )
  let records: CopiedRecord[] = []
  let [copied, leftOut, lastTid] = [0, 0, noTid as Tid]
  try {
    const found = walkLog(files, source, {
      ...visitor,
      record: (record) => records.push({ oid: record.oid, data: record.data() }),
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
    writer.write()
    files.sync(writer.file)
    files.rename(writer.path, target)
    writer.isInPlace = true
    files.syncFolder(dirname(target))
    return { ...found, copied, leftOut }
  } finally {
    writer.discard()
    releaseIndexBuffer(buffer)
  }
}
