/**
 * Undo, for every database with history: finds for each object that a transaction changed what it was before, and
 * merges later changes where that is possible. The result is stored like any other change, so the vote notices whatever
 * is committed meanwhile.
 */

import { ShootoutError } from '../../core/errors.ts'
import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { ConflictResolver } from '../storage.ts'
import type { Change, Reader } from './adapter.ts'

/**
 * @param pending changes that the undoing transaction holds already; undoing several transactions builds on them
 * @throws ShootoutError `undo`
 */
export async function undoChanges(
  reader: Reader,
  tid: Tid,
  pending: ReadonlyMap<Oid, Change>,
  resolver: ConflictResolver | undefined,
): Promise<readonly Change[]> {
  const oids = await reader.changedBy(tid)
  if (oids === undefined) throw goneError(tid)
  const changes: Change[] = []
  for (const oid of oids)
    changes.push(await undoObject(reader, { tid, oid, pending: pending.get(oid), resolver }))
  // A pack that has begun meanwhile may have taken away what was before: that looks as if there had been nothing.
  if ((await reader.packed()) >= tid) throw goneError(tid)
  return changes
}

function goneError(tid: Tid): ShootoutError {
  return new ShootoutError('undo', `transaction ${tid} does not exist, or was packed; it cannot be undone`, {
    details: { tid },
  })
}

interface ObjectUndo {
  readonly tid: Tid
  readonly oid: Oid
  readonly pending: Change | undefined
  readonly resolver: ConflictResolver | undefined
}

async function undoObject(reader: Reader, { tid, oid, pending, resolver }: ObjectUndo): Promise<Change> {
  const blobOf = async (serial: Tid | undefined) =>
    serial === undefined ? undefined : await reader.blobs.find(oid, serial)
  const written = (await reader.loadBefore(oid, after(tid)))?.data ?? null
  const earlier = await reader.loadBefore(oid, tid)
  const previous = earlier?.serial === undefined ? null : earlier.data
  const newest = await reader.loadBefore(oid, maxTid)
  const base = pending?.base ?? newest?.serial ?? noTid
  const current = pending === undefined ? (newest?.data ?? null) : pending.data
  const isUntouched = pending === undefined && newest?.serial === tid
  const earlierBlob = previous === null ? undefined : await blobOf(earlier?.serial)
  if (isUntouched) return { oid, base, data: previous, blob: earlierBlob }
  const writtenBlob = await blobOf(tid)
  const currentBlob = pending === undefined ? await blobOf(newest?.serial) : pending.blob
  if (isSame(current, written) && currentBlob?.id === writtenBlob?.id) {
    return { oid, base, data: previous, blob: earlierBlob }
  }
  const hasBlob = currentBlob !== undefined || earlierBlob !== undefined
  try {
    // The later changes and the undoing both start from the state that is undone.
    const data = resolveOrThrow(hasBlob ? undefined : resolver, {
      oid,
      baseSerial: tid,
      base: written ?? undefined,
      committed: { serial: base, data: current },
      mine: previous,
    })
    return { oid, base, data }
  } catch (cause) {
    throw new ShootoutError(
      'undo',
      `transaction ${tid} cannot be undone: object ${oid} was changed after it by transaction ${base}; undo that one first`,
      { cause, details: { tid, oid, current: base } },
    )
  }
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0
}
