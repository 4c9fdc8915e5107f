/**
 * What a storage does when somebody else has changed an object meanwhile: merge the two changes, or raise
 * ConflictError. Every storage that resolves conflicts does it through this function, so that all of them agree on
 * what counts as resolved.
 */

import { ConflictError } from '../core/errors.ts'
import type { Oid, Tid } from '../core/ids.ts'
import type { ConflictResolver, Revision } from './storage.ts'

/** Two changes of one object that started from the same revision. */
export interface Conflict {
  readonly oid: Oid
  /** Serial that the caller's change started from. */
  readonly baseSerial: Tid
  /** The bytes of that revision; undefined when they are gone, or the object was new. */
  readonly base: Uint8Array | undefined
  /** The revision that is current now. `data` is null when the object was deleted. */
  readonly committed: { readonly serial: Tid; readonly data: Revision['data'] | null }
  /** The bytes that the caller wants to store; null to delete the object. */
  readonly mine: Uint8Array | null
}

/**
 * The merged state.
 * @throws ConflictError when there is no resolver, a state is missing, or the resolver cannot merge them. What the
 * resolver threw is the `cause`.
 */
export function resolveOrThrow(resolver: ConflictResolver | undefined, conflict: Conflict): Uint8Array {
  const { oid, base, committed, mine } = conflict
  if (resolver === undefined || base === undefined || committed.data === null || mine === null) {
    throw new ConflictError(oid, committed.serial, conflict.baseSerial)
  }
  let merged: unknown
  try {
    merged = resolver(oid, base, committed.data, mine)
  } catch (cause) {
    throw new ConflictError(oid, committed.serial, conflict.baseSerial, { cause })
  }
  if (merged instanceof Uint8Array) return merged
  const cause =
    merged === undefined
      ? undefined
      : new TypeError(`the conflict resolver answered with ${typeof merged}, not bytes`)
  throw new ConflictError(oid, committed.serial, conflict.baseSerial, cause === undefined ? {} : { cause })
}
