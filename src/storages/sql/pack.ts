/**
 * Packing, for every SQL database: first mark what can be reached, then sweep in short transactions, while commits and
 * reads go on.
 *
 * Marking reads whatever is current at that moment, not a snapshot, so it holds none open. What is committed meanwhile
 * is visited again before every step of the sweep: a reference that moved from an object not yet visited to one that was
 * is found there. Only objects that nobody touched after `before` are ever swept.
 *
 * Memory: one bit for each object, and the list of objects found but not yet visited.
 */

import { type Oid, rootOid, type Tid } from '../../core/ids.ts'
import { OidSet } from '../../core/oid-set.ts'
import type { Awaitable, PackOptions, PackResult } from '../storage.ts'

/** Objects visited or swept at once. A sweep of this many rows locks writers out for a few milliseconds. */
const batchSize = 500

/** What packing needs of a database. A session of its own, with no snapshot and no transaction between calls. */
export interface PackSession {
  /** Newest transaction, bytes in use, number of objects (roughly). */
  survey(): Awaitable<{ readonly tid: Tid; readonly bytes: number; readonly objects: number }>
  /** Objects changed in transactions after `tid`. */
  changedAfter(tid: Tid): Awaitable<readonly Oid[]>
  /** Of each object: every state that a snapshot at or after `before` can see, and later ones. */
  states(oids: readonly Oid[], before: Tid): Awaitable<readonly Uint8Array[]>
  /** The next `count` objects after `oid` (−1: from the first), in order. */
  objectsAfter(oid: number, count: number): Awaitable<readonly Oid[]>
  /**
   * In one transaction: of `oids` removes revisions that had been replaced, and deletions that had happened, at `before`;
   * of `garbage`, which is a part of them, everything, unless it was changed after `before`.
   */
  remove(oids: readonly Oid[], garbage: readonly Oid[], before: Tid): Awaitable<Removed>
  /** Removes transactions up to `before` of which nothing is left. */
  finish(before: Tid): Awaitable<void>
  /** Records that transactions up to `before` are packed: from now on something of them may be gone. */
  begin(before: Tid): Awaitable<void>
  /** Removes blobs that no revision has, and those that have been pending for more than a day. */
  sweepBlobs(): Awaitable<void>
  close(): Awaitable<void>
}

export interface Removed {
  readonly revisions: number
  /** Objects of which nothing is left. */
  readonly objects: number
}

/** Packs, and closes the session. @param gone told of unreachable objects, when they have been removed */
export async function pack(
  session: PackSession,
  options: PackOptions,
  gone: (oids: readonly Oid[]) => void,
): Promise<PackResult> {
  try {
    const { tid, bytes, objects } = await session.survey()
    const before = Math.min(options.before, tid) as Tid
    const marker =
      options.references === undefined ? undefined : new Marker(session, before, options, objects)
    await marker?.mark([rootOid, ...(await session.changedAfter(before))])
    // Before anything goes: a pack that is stopped, or killed, must not leave a history that looks whole.
    await session.begin(before)
    const removed = await sweep(session, { before, marker, options, gone })
    await session.finish(before)
    await session.sweepBlobs()
    options.onProgress?.(1)
    const { bytes: bytesAfter } = await session.survey()
    return {
      removedRevisions: removed.revisions,
      removedObjects: removed.objects,
      bytesBefore: bytes,
      bytesAfter,
    }
  } finally {
    await session.close()
  }
}

interface Sweep {
  readonly before: Tid
  readonly marker: Marker | undefined
  readonly options: PackOptions
  readonly gone: (oids: readonly Oid[]) => void
}

async function sweep(session: PackSession, { before, marker, options, gone }: Sweep): Promise<Removed> {
  let revisions = 0
  let objects = 0
  let last = -1
  for (;;) {
    options.signal?.throwIfAborted()
    const oids = await session.objectsAfter(last, batchSize)
    if (oids.length === 0) return { revisions, objects }
    await marker?.catchUp()
    const garbage = marker === undefined ? [] : oids.filter((oid) => !marker.marked.has(oid))
    const removed = await session.remove(oids, garbage, before)
    gone(garbage)
    revisions += removed.revisions
    objects += removed.objects
    last = oids.at(-1)!
    await breathe()
  }
}

/** Finds what can be reached. */
class Marker {
  readonly marked = new OidSet()
  readonly #session: PackSession
  readonly #before: Tid
  readonly #options: PackOptions
  readonly #objects: number
  /** Changes up to here have been visited. */
  #seen: Tid
  #visited = 0

  constructor(session: PackSession, before: Tid, options: PackOptions, objects: number) {
    this.#session = session
    this.#before = before
    this.#options = options
    this.#objects = objects
    this.#seen = before
  }

  /** Visits `oids` and everything that can be reached from them and was not visited before. */
  async mark(oids: readonly Oid[]): Promise<void> {
    const { signal, references, onProgress } = this.#options
    const found = [...oids]
    for (const oid of found) this.marked.add(oid)
    while (found.length > 0) {
      signal?.throwIfAborted()
      const batch = found.splice(Math.max(0, found.length - batchSize))
      for (const data of await this.#session.states(batch, this.#before)) {
        for (const oid of references!(data)) if (this.marked.add(oid)) found.push(oid)
      }
      this.#visited += batch.length
      onProgress?.(Math.min(0.9, (0.9 * this.#visited) / Math.max(1, this.#objects)))
      await breathe()
    }
  }

  /** Visits again what has been committed meanwhile. */
  async catchUp(): Promise<void> {
    const { tid } = await this.#session.survey()
    if (tid === this.#seen) return
    const changed = await this.#session.changedAfter(this.#seen)
    this.#seen = tid
    await this.mark(changed)
  }
}

/** Lets everybody else of this event loop have a turn. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
