/**
 * A conflict that the server could not merge, merged with the client's own resolver, over what a client can see: the
 * revision that is current now, and the one that the change started from.
 */

import { type ConflictError, ObjectNotFoundError } from '../../core/errors.ts'
import { after, maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { ConflictResolver, RevisionSpan, StorageInstance } from '../storage.ts'
import type { Change } from './client-changes.ts'
import type { ClientStorage } from './client-storage.ts'

/**
 * Makes of `change` one that applies to the current revision.
 * @param conflict thrown where there is nothing to be merged
 * @throws ConflictError also what the resolver gives up with
 */
export async function mergeHere(
  storage: ClientStorage,
  instance: StorageInstance,
  resolver: ConflictResolver,
  change: Change,
  conflict: ConflictError,
): Promise<void> {
  const { oid, serial, data } = change
  if (serial === noTid || data === null) throw conflict
  if (await hasBlobNow(storage, oid)) throw conflict
  const committed = await loadBefore(instance, oid, maxTid)
  if (committed === undefined) throw conflict
  change.data = resolveOrThrow(resolver, {
    oid,
    baseSerial: serial,
    base: change.base ?? (await loadBase(instance, oid, serial)),
    committed,
    mine: data,
  })
  change.serial = committed.serial
  change.base = committed.data
}

/** What is current now, which our snapshot does not show. */
async function hasBlobNow(storage: ClientStorage, oid: Oid): Promise<boolean> {
  if (!storage.capabilities.blobs) return false
  const instance = storage.newInstance()
  try {
    await instance.pollInvalidations()
    return (await instance.openBlob!(oid)) !== undefined
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return false
    throw error
  } finally {
    await instance.release()
  }
}

/** A storage without history may have the revision only in the snapshot that the change started from. */
async function loadBase(instance: StorageInstance, oid: Oid, serial: Tid): Promise<Uint8Array | undefined> {
  const [seen] = await instance.loadMany([oid])
  if (seen?.serial === serial) return seen.data
  const before = await loadBefore(instance, oid, after(serial))
  return before?.serial === serial ? before.data : undefined
}

/** Undefined where there is no such revision. */
async function loadBefore(
  instance: StorageInstance,
  oid: Oid,
  before: Tid,
): Promise<RevisionSpan | undefined> {
  try {
    return await instance.loadBefore(oid, before)
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return undefined
    throw error
  }
}
