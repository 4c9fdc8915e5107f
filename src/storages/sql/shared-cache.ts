/** The state cache of the SQL storages: one for all threads of a process, made by `share`, attached to by `open`. */

import { option } from '../../core/options.ts'
import { createStateCache, type StateCacheMemory } from '../cache/state-cache.ts'
import type { SharedState } from '../storage.ts'

export const cacheOptions = {
  cacheBytesLimit: option.bytes({
    default: 64 * 1024 ** 2,
    summary: 'memory for object states, shared by the threads of a process; 0 for no cache',
  }),
}

/** What the threads of a process have in common. */
export interface SharedCache {
  /** Undefined: no cache is kept. */
  readonly memory: StateCacheMemory | undefined
}

export function shareCache(bytesLimit: number): SharedState<SharedCache> {
  return { state: { memory: makeCache(bytesLimit) }, close() {} }
}

/** The cache to attach to: the one shared, or one of its own for who opens without sharing. */
export function cacheOf(bytesLimit: number, shared: SharedCache | undefined): StateCacheMemory | undefined {
  return shared === undefined ? makeCache(bytesLimit) : shared.memory
}

function makeCache(bytesLimit: number): StateCacheMemory | undefined {
  return bytesLimit === 0 ? undefined : createStateCache({ bytesLimit })
}
