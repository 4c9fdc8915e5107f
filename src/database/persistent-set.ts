/**
 * A set of strings and integers in one record. Concurrent changes are merged unless both touch the same member, where
 * the storage merges at all.
 */

import { CorruptDataError } from '../core/errors.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'
import { isMapKey, type MapKey, mustBeKey } from './persistent-map.ts'

/** A set in one record. Concurrent changes are merged unless both touch the same member. */
export class PersistentSet extends Persistent {
  static readonly className: string = 'shootout.Set'

  #members: Set<MapKey> | undefined

  constructor(members?: Iterable<MapKey>) {
    super()
    this.#members = new Set(members)
    for (const member of this.#members) mustBeKey(member)
  }

  get size(): number {
    return this.#loaded().size
  }

  has(member: MapKey): boolean {
    return this.#loaded().has(member)
  }

  add(member: MapKey): this {
    mustBeKey(member)
    const members = this.#loaded()
    if (members.has(member)) return this
    this.willChange()
    members.add(member)
    return this
  }

  /** Says whether the member was there. */
  delete(member: MapKey): boolean {
    const members = this.#loaded()
    if (!members.has(member)) return false
    this.willChange()
    return members.delete(member)
  }

  values(): IterableIterator<MapKey> {
    return this.#loaded().values()
  }

  #loaded(): Set<MapKey> {
    if (this.#members === undefined) throw notLoaded(this)
    return this.#members
  }

  override getState(): Value {
    return [...this.#loaded()]
  }

  override setState(state: Value): void {
    this.#members = membersOf(state)
  }

  override dropState(): void {
    this.#members = undefined
  }

  static resolveConflict(base: Value, committed: Value, mine: Value): Value | undefined {
    const before = membersOf(base)
    const theirs = membersOf(committed)
    const ours = membersOf(mine)
    const merged = new Set(theirs)
    for (const member of new Set([...before, ...ours])) {
      if (before.has(member) === ours.has(member)) continue
      // Both added it or both removed it: no telling what that was meant to count as.
      if (before.has(member) !== theirs.has(member)) return undefined
      if (ours.has(member)) merged.add(member)
      else merged.delete(member)
    }
    return [...merged]
  }
}

function membersOf(state: Value): Set<MapKey> {
  if (!Array.isArray(state) || !state.every(isMapKey)) {
    throw new CorruptDataError('the state of a set is not a list of strings and integers')
  }
  const members = new Set<MapKey>(state)
  if (members.size !== state.length) throw new CorruptDataError('a member of a set occurs twice')
  return members
}
