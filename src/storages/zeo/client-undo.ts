/**
 * Undo with the client's own resolver, for objects that the server could not merge. What the server's undo does, over
 * what a client can see: an object that nobody has touched since goes back to its state before the transaction; where
 * somebody has, the two changes are merged.
 */

import { ConflictError, ObjectNotFoundError } from '../../core/errors.ts'
import { maxTid, noTid, type Oid, type Tid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { ConflictResolver, StorageInstance, TransactionRecord } from '../storage.ts'
import type { Change } from './client-changes.ts'
import type { ClientStorage } from './client-storage.ts'

/**
 * The changes that undo transaction `tid`. Undefined when it cannot be read, or something cannot be merged.
 * @param pending what the transaction that undoes has written so far
 */
export async function undoHere(
  storage: ClientStorage,
  instance: StorageInstance,
  resolver: ConflictResolver,
  pending: ReadonlyMap<Oid, Change>,
  tid: Tid,
): Promise<Change[] | undefined> {
  const transaction = await find(storage, tid)
  if (transaction === undefined) return undefined
  // There is no merging of blobs, and an undo that brings one back is the server's.
  if (transaction.records.some(({ blob }) => blob !== undefined)) return undefined
  const changes: Change[] = []
  try {
    for (const { oid, data: written } of transaction.records) {
      const previous = await dataBefore(instance, oid, tid)
      const current = pending.get(oid) ?? (await dataBefore(instance, oid, maxTid))
      for (const { serial } of [previous, current]) {
        if (await hasBlob(storage, oid, serial)) return undefined
      }
      const isUntouched = current.serial === tid && !pending.has(oid)
      const data = isUntouched
        ? previous.data
        : resolveOrThrow(resolver, {
            oid,
            baseSerial: tid,
            base: written ?? undefined,
            committed: current,
            mine: previous.data,
          })
      changes.push({ oid, serial: current.serial, data })
    }
  } catch (error) {
    if (error instanceof ConflictError) return undefined
    throw error
  }
  return changes
}

async function find(storage: ClientStorage, tid: Tid): Promise<TransactionRecord | undefined> {
  for await (const transaction of storage.iterate?.(tid, tid) ?? []) return transaction
  return undefined
}

async function hasBlob(storage: ClientStorage, oid: Oid, serial: Tid): Promise<boolean> {
  if (!storage.capabilities.blobs || serial === noTid) return false
  const transaction = await find(storage, serial)
  return transaction?.records.some((record) => record.oid === oid && record.blob !== undefined) ?? false
}

interface State {
  readonly serial: Tid
  /** Null where the object does not exist. */
  readonly data: Uint8Array | null
}

async function dataBefore(instance: StorageInstance, oid: Oid, before: Tid): Promise<State> {
  try {
    return (await instance.loadBefore(oid, before)) ?? { serial: noTid, data: null }
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return { serial: noTid, data: null }
    throw error
  }
}
