/**
 * `shootout file verify|recover|dump PATH`: looking at the log of a file storage, and saving what can be saved.
 * None of them changes the log, and none needs it to be closed elsewhere.
 */

import { systemClock } from '../core/clock.ts'
import { UsageError } from '../core/errors.ts'
import { realFileSystem } from '../core/file-system.ts'
import { tidToDate } from '../core/ids.ts'
import { counted, formatBytes } from '../core/units.ts'
import { blobName } from '../storages/file/blob-file.ts'
import { recoverLog } from '../storages/file/recover.ts'
import { blobProblem, type Damage, type Verification, walkLog } from '../storages/file/verify.ts'
import { exitCodes } from './exit-codes.ts'

export interface Output {
  line(text: string): void
  /** Only for a person who watches; fractions from 0 to 1. */
  progress?(fraction: number): void
}

/** @returns exit code: 0 when the log is whole, or only its end is what a crash leaves; 1 when it is damaged */
export function verifyFile(path: string, output: Output): number {
  assertThere(path)
  const found = walkLog(realFileSystem, path, progressOf(output))
  output.line(summary(path, found))
  for (const damage of found.damages) output.line(describeDamage(damage))
  let damaged = found.damages.some((damage) => damage.wasConfirmed)
  for (const blob of found.blobs.values()) {
    const problem = blobProblem(realFileSystem, path, blob)
    if (problem === undefined) continue
    output.line(`damaged: ${problem}`)
    damaged = true
  }
  if (damaged) output.line(`save what is intact with: shootout file recover ${path} NEW`)
  else output.line(found.damages.length === 0 ? 'everything verifies' : 'opening the log sets this end aside')
  return damaged ? exitCodes.regression : exitCodes.pass
}

/** Copies everything intact from `path` to `target`, which must not exist. @returns exit code */
export function recoverFile(path: string, target: string, output: Output): number {
  assertThere(path)
  const found = recoverLog(realFileSystem, path, target, systemClock, progressOf(output))
  output.line(summary(path, found))
  for (const damage of found.damages) output.line(describeDamage(damage))
  for (const problem of found.blobProblems) output.line(`damaged: ${problem}; copied as it is`)
  output.line(
    `${target}: ${counted(found.copied, 'transaction')}` +
      (found.leftOut === 0 ? '' : `; ${found.leftOut} were left out, because they are out of order`),
  )
  return exitCodes.pass
}

/** One line for each transaction, and with `records` one for each record. @returns exit code */
export function dumpFile(path: string, options: { readonly records: boolean }, output: Output): number {
  assertThere(path)
  let lines: string[] = []
  walkLog(realFileSystem, path, {
    record(record) {
      const { oid, bytes, position, previous, isDeletion } = record
      const blob = record.blob()
      const what = isDeletion
        ? 'deleted'
        : `${bytes} bytes${blob === undefined ? '' : `  blob ${blobName(oid, blob.id)} of ${blob.bytes} bytes`}`
      lines.push(`    oid ${oid}  ${what}  at ${position}${previous === 0 ? '' : `, replaces ${previous}`}`)
    },
    transaction({ header, metadata }) {
      const { tid, position, length, recordCount, flags } = header
      const words = [metadata.user, metadata.description]
        .filter((word) => word !== '')
        .map((word) => JSON.stringify(word))
      output.line(
        [
          `${tid}  ${tidToDate(tid).toISOString()}  at ${position}  ${length} bytes  ${counted(recordCount, 'record')}`,
        ]
          .concat((flags & 1) === 0 ? [] : ['packed'], words)
          .join('  '),
      )
      if (options.records) for (const line of lines) output.line(line)
      lines = []
    },
    damage(damage) {
      output.line(describeDamage(damage))
      lines = []
    },
  })
  return exitCodes.pass
}

function assertThere(path: string): void {
  if (realFileSystem.exists(path)) return
  throw new UsageError('log-not-found', `there is no file ${path}; check the path`, { details: { path } })
}

function progressOf({ progress }: Output): { progress?: (fraction: number) => void } {
  return progress === undefined ? {} : { progress }
}

function summary(path: string, found: Verification): string {
  const { bytes, transactions, records, objects, firstTid, lastTid, blobs } = found
  const ofBlobs = blobs.size === 0 ? '' : `, ${counted(blobs.size, 'blob')}`
  const span =
    transactions === 0
      ? ''
      : `, from ${tidToDate(firstTid).toISOString()} to ${tidToDate(lastTid).toISOString()} (tid ${lastTid})`
  const content = `${counted(transactions, 'transaction')}, ${counted(records, 'record')} of ${counted(objects, 'object')}`
  return `${path}: ${formatBytes(bytes)}, ${content}${ofBlobs}${span}`
}

function describeDamage({ from, to, reason, wasConfirmed }: Damage): string {
  return `${wasConfirmed ? 'damaged' : 'not finished'}: bytes ${from} to ${to} (${formatBytes(to - from)}): ${reason}`
}
