/**
 * Merging of concurrent changes, as storages are given it: bytes in, bytes out. The class of a record decides how, by
 * its static `resolveConflict`; a class without one cannot be merged.
 *
 * Called by storages in the middle of a commit, perhaps in a server process that knows nothing of the application. So it
 * is pure and loads nothing: references are handles that can only be compared and copied.
 */

import type { Oid } from '../core/ids.ts'
import type { ConflictResolver } from '../storages/storage.ts'
import { type ClassRegistry, GenericObject } from './class-registry.ts'
import type { Persistent } from './persistent.ts'
import { classNameOf, decodeRecord } from './record-decoder.ts'
import { encodeRecord } from './record-encoder.ts'
import { standardClasses } from './standard-classes.ts'

/** The resolver that dispatches to the classes of `classes`. */
export function conflictResolver(classes: ClassRegistry): ConflictResolver {
  return (_oid, base, committed, mine) => {
    const className = classNameOf(mine)
    const found = classes.find(className)
    if (found?.resolveConflict === undefined) return undefined
    // One handle per oid, so that equal references are identical in all three states.
    const handles = new Map<Oid, Persistent>()
    const refer = (oid: Oid, targetClass: string): Persistent => {
      let handle = handles.get(oid)
      if (handle === undefined) {
        handle = new GenericObject(targetClass)
        handle.oid = oid
        handle.status = 'ghost'
        handles.set(oid, handle)
      }
      return handle
    }
    const states = [base, committed, mine].map((data) => decodeRecord(data, refer))
    if (states.some((record) => record.className !== className)) return undefined
    const merged = found.resolveConflict(states[0]!.state, states[1]!.state, states[2]!.state)
    return merged === undefined ? undefined : encodeRecord(className, merged)
  }
}

/** Merges by the standard classes and those added with `registerClass`. */
export const resolveConflict: ConflictResolver = conflictResolver(standardClasses)
