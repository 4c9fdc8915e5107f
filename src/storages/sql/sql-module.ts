/** What the modules of all three databases have in common: what they can do, and how a store is opened. */

import type { Awaitable } from '../../core/awaitable.ts'
import { option } from '../../core/options.ts'
import { type BlobCacheOptions, openBlobCache } from '../cache/blobs/open.ts'
import {
  type Capabilities,
  type MutableCounters,
  type OpenContext,
  type SharedState,
  type Storage,
  zeroCounters,
} from '../storage.ts'
import type { SqlAdapter } from './adapter.ts'
import { type CacheOptions, cacheOf, type SharedCache, shareCache } from './shared-cache.ts'
import { openSqlStorage } from './sql-storage.ts'

export const historyOption = option.boolean({
  default: false,
  summary: 'keep every revision: undo, history, iteration',
})

interface StoreOptions {
  readonly history: boolean
  readonly durability: 'full' | 'os'
}

/** All three do the same; how they can be reached is what differs. */
export function capabilitiesOf(
  { history, durability }: StoreOptions,
  access: Pick<Capabilities, 'reach' | 'blocking'>,
): Capabilities {
  return {
    ...access,
    durability,
    persistent: true,
    history,
    conflictResolution: true,
    deletion: true,
    undo: history,
    iteration: history,
    pack: true,
    prefetch: true,
    blobs: true,
  }
}

export interface InstallableAdapter extends SqlAdapter {
  /** Makes the schema where it is missing, and checks it elsewhere. */
  install(): Promise<void>
}

/** How a module is opened. */
export interface Opening<O> {
  share(options: O, context: OpenContext): Promise<SharedState<SharedCache>>
  open(options: O, context: OpenContext, shared: SharedCache | undefined): Promise<Storage>
}

/** @param adapterOf checks the options, and connects to nothing yet */
export function openingWith<O extends CacheOptions & BlobCacheOptions>(
  adapterOf: (options: O, context: OpenContext, counters: MutableCounters) => Awaitable<InstallableAdapter>,
): Opening<O> {
  const openAdapter = async (
    options: O,
    context: OpenContext,
    counters = zeroCounters(),
  ): Promise<SqlAdapter> => {
    const adapter = await adapterOf(options, context, counters)
    await closingOnFailure(adapter, () => adapter.install())
    return adapter
  }
  return {
    share: (options, context) => shareCache(options, context, () => openAdapter(options, context)),
    async open(options, context, shared) {
      const counters = zeroCounters()
      const adapter = await openAdapter(options, context, counters)
      return closingOnFailure(adapter, async () => {
        const cache = cacheOf(options.cacheBytesLimit, shared)
        const blobCache = openBlobCache(options, context)
        return openSqlStorage(adapter, { context, counters, cache, blobCache })
      })
    },
  }
}

async function closingOnFailure<T>(adapter: SqlAdapter, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await adapter.close()
    throw error
  }
}
