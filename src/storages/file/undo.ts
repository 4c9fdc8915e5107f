/**
 * Undo: which revisions bring back what a transaction changed.
 *
 * An object whose current state is still what the transaction wrote goes back to the state before it. Where somebody
 * has changed it since, the two changes are merged as in a conflict: both started from what the transaction wrote; one
 * leads back, the other to the current state.
 */

import { ShootoutError } from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { ConflictResolver } from '../storage.ts'
import { damage } from './file-errors.ts'
import { readFileHeader } from './file-header.ts'
import { type BlobReference, flagPacked } from './format.ts'
import type { Log } from './log.ts'
import { LogScanner } from './scan.ts'
import { positionOf } from './transactions.ts'

/** One revision that a transaction writes. */
export interface Change {
  readonly oid: Oid
  /** The revision it replaces. */
  serial: Tid
  /** Null deletes the object. */
  data: Uint8Array | null
  readonly blob?: BlobReference | undefined
}

/**
 * @param visible newest transaction there is for the caller
 * @param pending what the transaction that undoes has written so far; several undos build on each other
 * @throws ShootoutError `undo`
 */
export function undo(
  log: Log,
  resolver: ConflictResolver | undefined,
  visible: Tid,
  pending: ReadonlyMap<Oid, Change>,
  tid: Tid,
): Change[] {
  const oids = tid > visible ? undefined : log.undisturbed(() => changedBy(log, tid))
  if (oids === undefined) {
    throw new ShootoutError(
      'undo',
      `transaction ${tid} cannot be undone: it does not exist, or what was before it has been packed away`,
      { details: { tid } },
    )
  }
  return oids.map((oid) => undoObject(log, resolver, pending.get(oid), oid, tid))
}

function undoObject(
  log: Log,
  resolver: ConflictResolver | undefined,
  pending: Change | undefined,
  oid: Oid,
  tid: Tid,
): Change {
  const written = log.find(oid, tid, maxTid)?.record
  const previous = log.find(oid, (tid - 1) as Tid, maxTid)?.record
  const newest = log.find(oid, maxTid, maxTid)?.record
  const current = pending ?? newest
  const serial = current?.serial ?? noTid
  const mine = previous?.data ?? null
  const isSame =
    sameBytes(current?.data ?? null, written?.data ?? null) && current?.blob?.id === written?.blob?.id
  // The same file again: a blob is never copied within a store.
  if ((pending === undefined && serial === tid) || isSame)
    return { oid, serial, data: mine, blob: previous?.blob }
  try {
    const hasBlob = (current?.blob ?? previous?.blob) !== undefined
    const committed = { serial, data: current?.data ?? null }
    const conflict = { oid, baseSerial: tid, base: written?.data ?? undefined, committed, mine }
    return { oid, serial, data: resolveOrThrow(hasBlob ? undefined : resolver, conflict) }
  } catch (cause) {
    throw new ShootoutError(
      'undo',
      `transaction ${tid} cannot be undone: object ${oid} was changed after it by transaction ${serial}; undo that one first`,
      { cause, details: { tid, oid, current: serial } },
    )
  }
}

/** Objects that a transaction changed; undefined when there is no such transaction, or what it replaced may be gone. */
function changedBy(log: Log, tid: Tid): Oid[] | undefined {
  if (tid <= readFileHeader(log.files, log.file, log.path).wholeSince) return undefined
  const end = log.locked(() => log.publishedEnd)
  const scanner = new LogScanner(log.files, log.file, log.seed)
  for (let position = positionOf(scanner, tid, end); position < end; ) {
    const header = scanner.header(position, end)
    if ('reason' in header) throw damage(log.path, `the transaction at position ${position}`, header.reason)
    if (header.tid > tid) return undefined
    if (header.tid === tid) {
      if ((header.flags & flagPacked) !== 0) return undefined
      const oids: Oid[] = []
      const read = scanner.read(position, end, (record) => oids.push(record.oid))
      if ('reason' in read) throw damage(log.path, `transaction ${tid} at position ${position}`, read.reason)
      return oids
    }
    position += header.length
  }
  return undefined
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  return Buffer.compare(a, b) === 0
}
