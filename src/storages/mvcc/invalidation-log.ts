/**
 * What recent transactions changed, in tid order: one log for all instances of a storage.
 *
 * Each instance remembers only how far it has seen. Asking "what changed since then" and taking "now" as the snapshot
 * is one synchronous step, so no change can fall between the two, and a commit costs the same however many instances
 * there are. What everybody has seen is forgotten. The log is bounded all the same: whoever stays away too long is told
 * that everything may have changed.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import { noTid } from '../../core/ids.ts'
import type { Invalidations } from '../storage.ts'

/** Entries at which the log is looked through for the first time for what everybody has seen. */
const dueEntriesMin = 64

/** Oids that the log holds at most. At some 40 bytes each in a set, this is a few megabytes. */
const oidsLimit = 100_000

interface Entry {
  readonly tid: Tid
  readonly oids: ReadonlySet<Oid>
  /** Who committed it, and need not be told. */
  readonly committer: object | undefined
}

const nothing: ReadonlySet<Oid> = new Set()

export class InvalidationLog {
  #entries: Entry[] = []
  #oidCount = 0
  #dueEntries = dueEntriesMin
  /** Transactions up to this one are not in the log. */
  #forgottenTid: Tid

  constructor(lastTid: Tid) {
    this.#forgottenTid = lastTid
  }

  append(tid: Tid, oids: ReadonlySet<Oid>, committer: object | undefined): void {
    this.#entries.push({ tid, oids, committer })
    this.#oidCount += oids.size
  }

  /** The log has grown so much that it is time to call `forget`. */
  get isDue(): boolean {
    return this.#entries.length > this.#dueEntries || this.#oidCount > oidsLimit
  }

  /** Forgets the transactions up to `seen`, which every reader knows of; more, if the log is too long even so. */
  forget(seen: Tid): void {
    const entries = this.#entries
    let count = 0
    while (count < entries.length && entries[count]!.tid <= seen)
      this.#oidCount -= entries[count++]!.oids.size
    while (this.#oidCount > oidsLimit || entries.length - count > oidsLimit) {
      this.#oidCount -= entries[count++]!.oids.size
    }
    if (count > 0) this.#forgottenTid = entries[count - 1]!.tid
    entries.splice(0, count)
    // Twice as long as what is left: then looking through it costs little for each commit.
    this.#dueEntries = Math.max(dueEntriesMin, 2 * entries.length)
  }

  /** Objects changed by others than `reader` in transactions after `seen`. */
  since(seen: Tid, reader: object): Invalidations {
    if (seen < this.#forgottenTid) return 'all'
    const entries = this.#entries
    let first = entries.length
    while (first > 0 && entries[first - 1]!.tid > seen) first--
    // Almost always there is one entry or none; then nothing has to be copied.
    if (first === entries.length) return nothing
    if (first === entries.length - 1) {
      const only = entries[first]!
      return only.committer === reader ? nothing : only.oids
    }
    const changed = new Set<Oid>()
    for (let index = first; index < entries.length; index++) {
      const entry = entries[index]!
      if (entry.committer !== reader) for (const oid of entry.oids) changed.add(oid)
    }
    return changed
  }

  /** The store was emptied. */
  clear(): void {
    this.#entries = []
    this.#oidCount = 0
    this.#dueEntries = dueEntriesMin
    this.#forgottenTid = noTid
  }
}
