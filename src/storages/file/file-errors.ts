/** The errors of a log, worded in one place. */

import { dirname } from 'node:path'
import { CorruptDataError, describeError, ShootoutError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import type { Oid } from '../../core/ids.ts'
import { formatBytes } from '../../core/units.ts'
import { payloadBytesMax } from './format.ts'

/** Stored bytes are not what was written. */
export function damage(path: string, where: string, reason: string): CorruptDataError {
  return new CorruptDataError(
    `${path}: ${where}: ${reason}. See what else is damaged with "shootout file verify ${path}"; "shootout file recover ${path} NEW" copies everything intact into a new file`,
    { details: { path, where, reason } },
  )
}

/** A write to the log failed. Nothing of the transaction is left, and the next one may succeed. */
export function writeFailed(path: string, cause: unknown): ShootoutError {
  const full = isDiskFull(cause)
  return new ShootoutError(
    full ? 'disk-full' : 'write-failed',
    full
      ? `${path}: there is no room for the transaction (${describeError(cause)}). Nothing of it was kept; make room and repeat it`
      : `${path}: the transaction cannot be written: ${describeError(cause)}. Nothing of it was kept; check the disk and repeat it`,
    { cause, details: { path } },
  )
}

function isDiskFull(cause: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemErrorCode(cause) ?? '')
}

/** Neither one that says already what is wrong, nor a bug. */
function isOfSystem(cause: unknown): boolean {
  return !(cause instanceof ShootoutError) && systemErrorCode(cause) !== undefined
}

/** What to throw where a log that is to be written to, or the lock beside it, cannot be made. */
export function notMade(path: string, cause: unknown): unknown {
  if (!isOfSystem(cause)) return cause
  const options = { cause, details: { path } }
  const reason = describeError(cause)
  if (systemErrorCode(cause) === 'ENOENT') {
    return new ShootoutError(
      'folder-not-found',
      `${path}: there is no folder ${dirname(path)}; create it, or check the path`,
      options,
    )
  }
  if (isDiskFull(cause)) {
    return new ShootoutError(
      'disk-full',
      `${path}: there is no room to open it for writing (${reason}); make room, or open it read-only`,
      options,
    )
  }
  return new ShootoutError(
    'folder-not-writable',
    `${path}: cannot be opened for writing: ${reason}; open it read-only, or choose a folder that can be written to`,
    options,
  )
}

/** What to throw where the log is there, and cannot be opened or read. */
export function notAccessible(path: string, cause: unknown): unknown {
  if (!isOfSystem(cause)) return cause
  const code = systemErrorCode(cause)
  const advice =
    code === 'EISDIR'
      ? 'it is a folder; name the log in it'
      : code === 'EACCES' || code === 'EPERM'
        ? 'check the rights of the file'
        : 'check the path and the disk'
  return new ShootoutError(
    'log-not-accessible',
    `${path}: cannot be opened (${describeError(cause)}); ${advice}`,
    { cause, details: { path } },
  )
}

/** The transaction was written, but the disk would not confirm it; it was taken back. */
export function syncFailed(path: string): ShootoutError {
  return new ShootoutError(
    'sync-failed',
    `${path}: the disk did not confirm the transaction, which was taken back. Check the disk; the transaction may be repeated`,
    { details: { path } },
  )
}

/**
 * After a failed flush the log could not be cut back either, or a thread was terminated in the middle of a change: what is
 * on disk can only be told by opening it anew.
 */
export function logFailed(path: string): ShootoutError {
  return new ShootoutError(
    'log-failed',
    `${path}: takes no more commits, because the disk failed or a thread was terminated in the middle of a commit, and what is on the disk is not certain. Close the store, check the disk and open it again; opening verifies the log`,
    { details: { path } },
  )
}

export function recordTooLarge(oid: Oid, bytes: number): ShootoutError {
  return new ShootoutError(
    'record-too-large',
    `file: object ${oid} has ${formatBytes(bytes)}, a record holds at most ${formatBytes(payloadBytesMax)}; split it over several objects`,
    { details: { oid, bytes } },
  )
}
