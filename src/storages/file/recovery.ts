/**
 * Opening a log: reads what follows the newest checkpoint, builds the index, and decides what to do where the
 * transactions end before the file does.
 *
 * The decision: transactions are written one after the other, but pages reach the disk in any order. So after a crash
 * the end of the file may be torn, with whole transactions behind the torn place. None of them was ever confirmed if
 * no header behind the tear says that the disk had confirmed more than the tear: then the rest is set aside, in a file
 * of its own, and cut off. If one does, the tear is not from a crash but damage to confirmed data, and opening is
 * refused.
 */

import { dirname } from 'node:path'
import { type FileSystem, readFully, systemErrorCode, writeFully } from '../../core/file-system.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import { formatBytes } from '../../core/units.ts'
import { damage } from './file-errors.ts'
import { LogScanner } from './scan.ts'

/** Where the log stands: after a scan, or as a checkpoint says. */
export interface LogState {
  /** End of the last whole transaction. */
  end: number
  lastTid: Tid
  /** Smallest object id above all that were given out or stored, as far as known. */
  nextOid: number
}

export interface RecoverySource {
  readonly files: FileSystem
  readonly file: number
  readonly path: string
  readonly seed: number
}

/**
 * Reads every whole transaction from `state` on, and returns where they end.
 * @param confirmedEnd everything before this position is known to have been confirmed
 * @param set told the newest revision of each object
 * @throws CorruptDataError where confirmed data are damaged
 */
export function readLog(
  source: RecoverySource,
  state: Readonly<LogState>,
  confirmedEnd: number,
  set: (oid: Oid, position: number, serial: Tid) => void,
): LogState {
  const { files, file, path, seed } = source
  const size = files.size(file)
  const scanner = new LogScanner(files, file, seed)
  let { end, lastTid, nextOid } = state
  const oids: Oid[] = []
  const positions: number[] = []
  while (end < size) {
    oids.length = 0
    positions.length = 0
    const read = scanner.read(end, size, (record) => {
      oids.push(record.oid)
      positions.push(record.position)
    })
    if ('reason' in read) {
      refuseDamage(path, scanner, end, size, confirmedEnd, read.reason)
      break
    }
    const { tid } = read.header
    if (tid <= lastTid) {
      throw damage(
        path,
        `the transaction at position ${end}`,
        `its tid ${tid} is not above ${lastTid} before it`,
      )
    }
    for (let at = 0; at < oids.length; at++) {
      set(oids[at]!, positions[at]!, tid)
      if (oids[at]! >= nextOid) nextOid = oids[at]! + 1
    }
    lastTid = tid
    end = read.end
  }
  return { end, lastTid, nextOid }
}

/** @throws CorruptDataError if what is not whole at `position` had been confirmed */
function refuseDamage(
  path: string,
  scanner: LogScanner,
  position: number,
  size: number,
  confirmedEnd: number,
  reason: string,
): void {
  if (confirmedEnd > position) {
    throw damage(path, `the transaction at position ${position}`, `${reason}, though it had been confirmed`)
  }
  for (let from = position + 1; ; ) {
    const later = scanner.findHeader(from, size)
    if (later === undefined) return
    if (later.durableEnd > position) {
      const where = `the transaction at position ${position} is damaged, and a later one, at ${later.position}, is not`
      throw damage(path, where, reason)
    }
    from = later.position + 1
  }
}

/**
 * Cuts off what follows `end`, after copying it to a file of its own. Zeros, which some file systems leave after a
 * crash, are not worth keeping.
 */
export function setTailAside(source: RecoverySource, end: number, log: (message: string) => void): void {
  const { files, file, path } = source
  const size = files.size(file)
  if (size <= end) return
  if (hasContent(source, end, size)) {
    const aside = copyTail(source, end, size)
    log(
      `${path}: ${formatBytes(size - end)} after position ${end} are not a whole transaction, as a crash leaves behind; they were moved to ${aside}`,
    )
  }
  files.truncate(file, end)
  files.sync(file)
}

const chunkBytes = 1 << 20

function hasContent({ files, file }: RecoverySource, from: number, to: number): boolean {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  for (let position = from; position < to; position += chunkBytes) {
    const got = readFully(files, file, chunk, 0, Math.min(chunkBytes, to - position), position)
    if (chunk.subarray(0, got).some((byte) => byte !== 0)) return true
  }
  return false
}

function copyTail({ files, file, path }: RecoverySource, from: number, to: number): string {
  const { path: aside, file: target } = createFree(files, `${path}.tail-${from}`)
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    for (let position = from; position < to; position += chunkBytes) {
      const got = readFully(files, file, chunk, 0, Math.min(chunkBytes, to - position), position)
      writeFully(files, target, chunk, 0, got, position - from)
    }
    files.sync(target)
  } finally {
    files.close(target)
  }
  files.syncFolder(dirname(path))
  return aside
}

/** Creates `path`, or the first of `path-2`, `path-3` … that does not exist. */
function createFree(files: FileSystem, path: string): { path: string; file: number } {
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? path : `${path}-${count}`
    try {
      return { path: candidate, file: files.open(candidate, 'create') }
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
    }
  }
}
