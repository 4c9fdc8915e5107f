/**
 * Undo: which revisions bring back what a transaction changed.
 *
 * An object whose current state is still what the transaction wrote goes back to the state before it. Where somebody
 * has changed it since, the two changes are merged as in a conflict: both started from what the transaction wrote;
 * one leads back, the other to the current state.
 */

import { ShootoutError } from '../../core/errors.ts'
import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { Committer } from './committer.ts'
import type { Change } from './transaction.ts'

/**
 * @param pending what the transaction that undoes has written so far; several undos build on each other
 * @throws ShootoutError `undo`
 */
export async function undo(
  committer: Committer,
  pending: ReadonlyMap<Oid, Change>,
  tid: Tid,
): Promise<Change[]> {
  const oids = tid > committer.lastTid ? undefined : await committer.base.changedBy?.(tid)
  if (oids === undefined) {
    throw new ShootoutError(
      'undo',
      `transaction ${tid} cannot be undone: it does not exist, or what was before it has been packed away`,
      { details: { tid } },
    )
  }
  const changes: Change[] = []
  for (const oid of oids) changes.push(await undoObject(committer, pending.get(oid), oid, tid))
  return changes
}

async function undoObject(
  committer: Committer,
  pending: Change | undefined,
  oid: Oid,
  tid: Tid,
): Promise<Change> {
  const { base, context } = committer
  const written = await base.loadBefore(oid, after(tid))
  const before = await base.loadBefore(oid, tid)
  const current = await base.loadBefore(oid, maxTid)
  const serial = pending?.serial ?? current?.serial ?? noTid
  const now = pending ?? current
  const currentData = now?.data ?? null
  const writtenData = written?.data ?? null
  const previousData = before?.data ?? null
  const isUntouched = pending === undefined && current?.serial === tid
  const isSame = sameBytes(currentData, writtenData) && now?.blob === written?.blob
  if (isUntouched || isSame) return { oid, serial, data: previousData, blob: before?.blob }
  try {
    const hasBlob = (now?.blob ?? before?.blob) !== undefined
    const data = resolveOrThrow(hasBlob ? undefined : context.resolveConflict, {
      oid,
      baseSerial: tid,
      base: writtenData ?? undefined,
      committed: { serial, data: currentData },
      mine: previousData,
    })
    return { oid, serial, data }
  } catch (cause) {
    throw new ShootoutError(
      'undo',
      `transaction ${tid} cannot be undone: object ${oid} was changed after it by transaction ${serial}`,
      { cause, details: { tid, oid, current: serial } },
    )
  }
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  return a === b || Buffer.compare(a, b) === 0
}
