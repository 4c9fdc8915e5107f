/**
 * A storage module for the conformance suite: each store is a server in this process, over a real unix socket, that
 * serves a store of another module. So the whole path is checked, and a failure can be debugged in one process.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Oid } from '../../../src/core/ids.ts'
import type { OptionsOf, OptionsSpec } from '../../../src/core/options.ts'
import { option } from '../../../src/core/options.ts'
import { openBlobCache } from '../../../src/storages/cache/blobs/open.ts'
import { openDiskCache } from '../../../src/storages/cache/disk/open.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { defineStorage, type Storage, type StorageModule } from '../../../src/storages/storage.ts'
import { parseAddress } from '../../../src/storages/zeo/address.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { openClient } from '../../../src/storages/zeo/client-storage.ts'
import { dial } from '../../../src/storages/zeo/dial.ts'
import type { Listener } from '../../../src/storages/zeo/listener.ts'
import { ZeoServer } from '../../../src/storages/zeo/server.ts'
import { listen } from './listen.ts'

interface Running {
  readonly server: ZeoServer
  readonly storage: Storage
  readonly listener: Listener
}

export interface ServedCache {
  /** 0, the default: the clients keep no cache. */
  readonly cacheBytesLimit?: number
  readonly updateStates?: boolean
  /** As of zeo; every record refers to the first objects of the store. */
  readonly neighbours?: number
  readonly prefetchDepth?: number
  /** Of the storages of a store that are open at the same time, the first has it. */
  readonly onDisk?: boolean
  /** Blobs are cached in a folder. */
  readonly blobs?: boolean
}

const references = (): readonly Oid[] => Array.from({ length: 30 }, (_, id) => id as Oid)

/** @param options of the served module */
export function servedModule<S extends OptionsSpec>(
  served: StorageModule<S>,
  options: OptionsOf<S>,
  cache: ServedCache = {},
) {
  const capabilities = served.capabilities(options)
  const { neighbours = 0, prefetchDepth: depth = 0 } = cache
  const readAhead = { neighbours, depth, objectsMax: 50, bytesMax: 16 * 1024, references }
  return defineStorage({
    name: `served-${served.name}`,
    summary: 'a server in this process',
    options: {
      address: option.string({ default: '', summary: 'where the server listens' }),
      cacheBytesLimit: option.bytes({ default: cache.cacheBytesLimit ?? 0, summary: 'as of zeo' }),
      cacheFolder: option.path({ default: '', summary: 'as of zeo' }),
      blobCacheFolder: option.path({ default: '', summary: 'as of zeo' }),
      updateStates: option.boolean({ default: cache.updateStates ?? false, summary: 'as of zeo' }),
    },
    capabilities: () => servedCapabilities(capabilities),
    async provision(given, { folder, log }) {
      const provision = await served.provision?.(options, { folder, log })
      if (provision?.available === false) return provision
      return {
        available: true as const,
        facts: {},
        async newStore(name: string) {
          const store = await provision?.newStore(name)
          // The path of a socket is short.
          const socketFolder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
          const address = parseAddress(`unix:${join(socketFolder, 's')}`)
          const running = await start(await openStorage(served, store?.options ?? options), address)
          return {
            options: {
              ...given,
              address: `unix:${join(socketFolder, 's')}`,
              cacheFolder: cache.onDisk === true ? join(socketFolder, 'cache') : '',
              blobCacheFolder: cache.blobs === true ? join(socketFolder, 'blobs') : '',
            },
            async dispose() {
              await running.listener.close()
              await running.server.close()
              await running.storage.close()
              await store?.dispose()
              rmSync(socketFolder, { recursive: true })
            },
          }
        },
        dispose: () => provision?.dispose(),
      }
    },
    share: ({ cacheBytesLimit }) => ({
      state: { cache: cacheBytesLimit === 0 ? undefined : shareClientCache(cacheBytesLimit) },
      close() {},
    }),
    async open({ address, updateStates, cacheFolder: folder, blobCacheFolder }, context, shared) {
      const parsed = parseAddress(address)
      const kept = shared?.cache
      const blobCache = openBlobCache({ blobCacheFolder, blobBytesLimit: 16 * 1024 ** 2 }, context)
      const disk =
        folder === ''
          ? undefined
          : openDiskCache({ folder, bytesLimit: 4 * 1024 ** 2, policy: 's3-fifo', log: context.log })
      return openClient(
        {
          servers: [{ address, dial: () => dial(parsed, { token: '', caFile: '' }) }],
          ...(kept === undefined
            ? {}
            : {
                readAhead,
                cache: new ClientCache(kept, { updateStates, ...(disk === undefined ? {} : { disk }) }),
              }),
          ...(blobCache === undefined ? {} : { blobCache }),
        },
        context,
      )
    },
  })

  async function start(storage: Storage, address: ReturnType<typeof parseAddress>): Promise<Running> {
    const server = new ZeoServer({ storage, capabilities, name: served.name, references, log: () => {} })
    // Listening ends, with what is connected, when the store is disposed of.
    return { server, storage, listener: await listen(server, address) }
  }
}

/** What a client can do of what the served storage can do. */
export function servedCapabilities(capabilities: ReturnType<StorageModule['capabilities']>) {
  return {
    ...capabilities,
    reach: 'network' as const,
    persistent: true,
    blocking: false,
    conflictResolution: true,
    prefetch: true,
  }
}
