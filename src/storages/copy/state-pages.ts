/**
 * The current states of a source, in pages of bounded size, in an order that is the same each time while the source
 * does not change. Two sources of them: iteration, which finds every object, and a walk along the references from the
 * root, which finds every object that can be reached and is all there is where a storage cannot iterate.
 */

import { describeError, ShootoutError } from '../../core/errors.ts'
import { noTid, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import { OidSet } from '../../core/oid-set.ts'
import type { Revision, Storage, StorageInstance } from '../storage.ts'
import { batchBytes, type CopyJob } from './job.ts'

/** Objects in a page, however small. */
const pageObjects = 1000
/** Objects of the first page, before anything is known about their sizes. */
const firstPageObjects = 64

export interface State {
  readonly oid: Oid
  readonly data: Uint8Array
  /** False where it is known that there is none. */
  readonly mayHaveBlob: boolean
}

export interface Page {
  readonly states: readonly State[]
  /** How much of the source has been handled with this page; an estimate. */
  readonly fraction: number
}

interface Candidate {
  readonly oid: Oid
  readonly tid: Tid
  readonly hasBlob: boolean
}

/** Every object of a source that iterates, oldest revision first. Memory: a page. */
export async function* iteratedStates(source: Storage, instance: StorageInstance): AsyncGenerator<Page> {
  const last = instance.snapshotTid
  let first: Tid | undefined
  let page = new Map<Oid, Candidate>()
  let bytes = 0
  const load = async (tid: Tid): Promise<Page> => {
    const candidates = [...page.values()]
    page = new Map()
    bytes = 0
    const current = await instance.loadMany(candidates.map(({ oid }) => oid))
    const states: State[] = []
    for (const [index, { oid, tid: written, hasBlob }] of candidates.entries()) {
      const revision = current[index]
      // An older revision: the object comes again with a later transaction, or was deleted.
      if (revision?.serial !== written) continue
      states.push({ oid, data: revision.data, mayHaveBlob: hasBlob })
    }
    const span = last - (first ?? last)
    return { states, fraction: span === 0 ? 1 : (tid - first!) / span }
  }
  for await (const { tid, records } of source.iterate!(noTid, last)) {
    first ??= tid
    for (const { oid, data, blob } of records) {
      if (data === null) continue
      page.set(oid, { oid, tid, hasBlob: blob !== undefined })
      bytes += data.length
    }
    if (page.size >= pageObjects || bytes >= batchBytes) yield await load(tid)
  }
  if (page.size > 0) yield await load(last)
}

/**
 * Every object that can be reached from the root, breadth first. Memory: a page, one bit for each object, and the ids
 * of the objects found but not yet read.
 * @throws ShootoutError `copy-cannot-walk`
 */
export async function* reachableStates(instance: StorageInstance, job: CopyJob): AsyncGenerator<Page> {
  const found = new OidSet()
  found.add(rootOid)
  let waiting: Oid[] = [rootOid]
  let next = 0
  let done = 0
  let count = firstPageObjects
  const mayHaveBlob = instance.openBlob !== undefined
  while (next < waiting.length) {
    const oids = waiting.slice(next, next + count)
    next += oids.length
    const revisions = await instance.loadMany(oids)
    const states: State[] = []
    let bytes = 0
    for (const [index, oid] of oids.entries()) {
      const revision = revisions[index]
      if (revision === undefined) {
        // An empty source has no root; everything else that is missing is referred to by somebody.
        if (oid !== rootOid) job.dangling++
        continue
      }
      states.push({ oid, data: revision.data, mayHaveBlob })
      bytes += revision.data.length
      for (const target of referencesOf(oid, revision, job)) if (found.add(target)) waiting.push(target)
    }
    done += oids.length
    yield { states, fraction: done / (done + waiting.length - next) }
    // What has been visited need not be kept; cutting it off each time would cost more than it saves.
    if (next > 100_000) {
      waiting = waiting.slice(next)
      next = 0
    }
    count = Math.max(1, Math.min(pageObjects, Math.floor(batchBytes / Math.max(1, bytes / oids.length))))
  }
}

function referencesOf(oid: Oid, { data }: Revision, job: CopyJob): Iterable<Oid> {
  try {
    return job.options.references(data)
  } catch (cause) {
    throw new ShootoutError(
      'copy-cannot-walk',
      `the source cannot list its transactions, so objects are found by their references, and object ${oid} is not a record of the object layer (${describeError(cause)}); copy it with a source that keeps history`,
      { cause, details: { oid } },
    )
  }
}
