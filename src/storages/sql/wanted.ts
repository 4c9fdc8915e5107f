/** What one transaction wants: objects as they shall be, and objects that must be current. */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Change, Expectation } from './adapter.ts'

export class Wanted {
  readonly changes = new Map<Oid, Change>()
  readonly expectations = new Map<Oid, Expectation>()
  /** Stored with another state than the caller's. */
  readonly resolved = new Set<Oid>()

  put(change: Change): void {
    this.changes.set(change.oid, change)
    this.resolved.delete(change.oid)
  }

  /** A state that the caller does not know. */
  putResolved(change: Change): void {
    this.changes.set(change.oid, change)
    this.resolved.add(change.oid)
  }

  expect(oid: Oid, serial: Tid): void {
    const earlier = this.expectations.get(oid)
    // Both cannot be current, so the one that is wrong must be kept.
    if (earlier === undefined || earlier.serial > serial) this.expectations.set(oid, { oid, serial })
  }

  /** Ascending. */
  orderedChanges(): readonly Change[] {
    return [...this.changes.values()].sort((a, b) => a.oid - b.oid)
  }

  /** Ascending; without objects that are changed too, which are compared anyway. */
  orderedExpectations(): readonly Expectation[] {
    if (this.expectations.size === 0) return []
    return [...this.expectations.values()]
      .filter(({ oid }) => !this.changes.has(oid))
      .sort((a, b) => a.oid - b.oid)
  }

  /** There is something that a writer's `commit` does not do. */
  get needsVote(): boolean {
    for (const { base, data, blob } of this.changes.values()) {
      if (blob !== undefined || (data === null && base === noTid)) return true
    }
    for (const { oid, serial } of this.expectations.values()) {
      const change = this.changes.get(oid)
      if (serial === noTid || (change !== undefined && change.base !== serial)) return true
    }
    return false
  }

  /** Objects whose committed state, or whose past since the snapshot, the caller cannot know. */
  unknownSince(snapshotTid: Tid): ReadonlySet<Oid> {
    const unknown = new Set(this.resolved)
    for (const { oid, base } of this.changes.values()) if (base > snapshotTid) unknown.add(oid)
    return unknown
  }
}
