/**
 * Finding out which of what a client has kept is still current, when nobody can name the changes since: the server runs
 * anew, or the client was away for too long. The server is asked by object id, tid and checksum, some hundred entries at
 * a time, so that whatever else the client wants passes in between. What is not proven yet is not given out.
 */

import { ClosedError, describeError, isTransient } from '../../core/errors.ts'
import { checksumOf } from '../cache/disk/disk-cache.ts'
import type { ClientCache } from './client-cache.ts'
import type { ClientStorage } from './client-storage.ts'
import type { Kept, Verified } from './messages.ts'

const entriesAtATime = 512
/** Requests in one snapshot: held for long, it keeps the server from forgetting old revisions. */
const requestsPerSnapshot = 16

const running = new WeakMap<ClientCache, { isStale: boolean }>()

/** Begins to verify what is doubtful, or begins again where that is under way. */
export function verifyCache(storage: ClientStorage, cache: ClientCache): void {
  const already = running.get(cache)
  if (already !== undefined) {
    already.isStale = true
    return
  }
  const run = { isStale: true }
  running.set(cache, run)
  void verifyAll(storage, cache, run).finally(() => running.delete(cache))
}

async function verifyAll(
  storage: ClientStorage,
  cache: ClientCache,
  run: { isStale: boolean },
): Promise<void> {
  while (run.isStale) {
    run.isStale = false
    try {
      await verifyOnce(storage, cache, run)
    } catch (error) {
      if (error instanceof ClosedError || storage.isClosed) return
      if (isTransient(error)) {
        run.isStale = true
        continue
      }
      storage.context.log(
        `zeo: what the cache holds could not be verified, and is not used: ${describeError(error)}`,
      )
      return
    }
  }
}

async function verifyOnce(
  storage: ClientStorage,
  cache: ClientCache,
  run: { isStale: boolean },
): Promise<void> {
  const instance = storage.newInstance()
  try {
    // Not before what has brought the doubt has been dealt with.
    await new Promise((resolve) => setImmediate(resolve))
    let requests = 0
    for (const kept of batches(cache)) {
      if (requests++ % requestsPerSnapshot === 0) await instance.pollInvalidations()
      const { generation } = cache.states
      take(cache, kept, await instance.verify(kept), generation)
      // What was doubted anew begins anew.
      if (run.isStale) return
    }
  } finally {
    await instance.release()
  }
}

interface Entry extends Kept {
  /** Where it is in memory; undefined: on the disk. */
  readonly data?: Uint8Array
}

function* batches(cache: ClientCache): Generator<Entry[]> {
  let batch: Entry[] = []
  for (const entry of doubtful(cache)) {
    batch.push(entry)
    if (batch.length < entriesAtATime) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function* doubtful(cache: ClientCache): Generator<Entry> {
  for (const keys of cache.states.keys()) {
    for (const { oid, tid, through } of keys) {
      if (cache.index.isCurrent(oid, tid, through)) continue
      const data = cache.states.peek(oid, tid)
      if (data !== undefined) yield { oid, tid, checksum: checksumOf(oid, tid, data), data }
    }
  }
  if (cache.disk !== undefined) yield* cache.disk.doubtful()
}

/** @param generation of the store that was asked */
function take(
  { states, index, disk }: ClientCache,
  kept: readonly Entry[],
  { snapshot, stale }: Verified,
  generation: number,
): void {
  if (generation !== states.generation) return
  for (const { oid, tid, data } of kept) {
    const isShown = !stale.has(oid)
    if (data !== undefined && isShown) states.add(oid, tid, data, snapshot, generation)
    if (data !== undefined) continue
    if (!isShown) disk!.dropDoubtful(oid, tid)
    else if (index.horizon === disk!.horizon && index.isCurrent(oid, tid, snapshot)) disk!.confirm(oid, tid)
  }
}
