/** The state cache of the SQL storages: one for all threads of a process, made by `share`, attached to by `open`. */

import { UsageError } from '../../core/errors.ts'
import { option } from '../../core/options.ts'
import { blobCacheOptions } from '../cache/blobs/open.ts'
import { createStateCache, StateCache, type StateCacheMemory } from '../cache/state-cache.ts'
import type { OpenContext, SharedState } from '../storage.ts'
import type { SqlAdapter } from './adapter.ts'
import { CacheKeeper } from './cache-keeper.ts'

export const cacheOptions = {
  cacheBytesLimit: option.bytes({
    default: 64 * 1024 ** 2,
    summary: 'memory for object states, shared by the threads of a process; 0 for no cache',
  }),
  cacheFile: option.path({
    default: '',
    summary: 'a file that keeps the cache from one process to the next (default: none)',
  }),
  ...blobCacheOptions,
}

export interface CacheOptions {
  readonly cacheBytesLimit: number
  readonly cacheFile: string
}

/** What the threads of a process have in common. */
export interface SharedCache {
  /** Undefined: no cache is kept. */
  readonly memory: StateCacheMemory | undefined
}

/** @param openAdapter opens the store once more, for whoever keeps the cache in a file */
export async function shareCache(
  { cacheBytesLimit, cacheFile }: CacheOptions,
  context: OpenContext,
  openAdapter: () => Promise<SqlAdapter>,
): Promise<SharedState<SharedCache>> {
  const memory = makeCache(cacheBytesLimit)
  if (cacheFile === '') return { state: { memory }, close() {} }
  if (memory === undefined) {
    throw new UsageError(
      'bad-options',
      'cacheFile keeps a cache, and cacheBytesLimit=0 means that there is none; leave one of them out',
    )
  }
  const keeper = await CacheKeeper.start(cacheFile, new StateCache(memory), context, openAdapter)
  return { state: { memory }, close: () => keeper.close() }
}

/** The cache to attach to: the one shared, or one of its own for who opens without sharing. */
export function cacheOf(bytesLimit: number, shared: SharedCache | undefined): StateCacheMemory | undefined {
  return shared === undefined ? makeCache(bytesLimit) : shared.memory
}

function makeCache(bytesLimit: number): StateCacheMemory | undefined {
  return bytesLimit === 0 ? undefined : createStateCache({ bytesLimit })
}
