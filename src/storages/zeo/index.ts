/**
 * `zeo`: a client of a server, which serves any storage to any number of processes and machines.
 *
 * A run starts servers of its own, one process for each store, so that every fork begins with a fresh server too. To
 * use a server that exists, give its address to `openStorage`; a run never touches such a store.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import { type OptionsOf, option } from '../../core/options.ts'
import { blobCacheOptions, openBlobCache } from '../cache/blobs/open.ts'
import { openDiskCache } from '../cache/disk/open.ts'
import { type Capabilities, defineStorage, type SharedState } from '../storage.ts'
import { formatAddress, parseAddress } from './address.ts'
import type { AheadSettings } from './client-ahead.ts'
import { ClientCache, type SharedClientCache, shareClientCache } from './client-cache.ts'
import { openClient } from './client-storage.ts'
import { dial } from './dial.ts'
import { loadReferences } from './record-functions.ts'
import { startServer } from './server-process.ts'

const options = {
  address: option.string({
    default: '',
    summary:
      'the server to use: unix:/path, host:port or tls:host:port, or several, separated by commas; a run starts its own',
  }),
  serve: option.choice({
    choices: ['file', 'sqlite', 'memory'],
    default: 'file',
    summary: 'what the servers of a run serve',
  }),
  durability: option.choice({
    choices: ['full', 'os'],
    default: 'full',
    summary: 'of what the servers of a run serve; memory has none',
  }),
  history: option.boolean({
    default: false,
    summary: 'the servers of a run keep every revision; file always does',
  }),
  token: option.string({ default: '', summary: 'what the server asks for, where it asks' }),
  caFile: option.path({
    default: '',
    summary: 'certificates to trust, PEM (default: those of the system); for addresses with tls:',
  }),
  certFile: option.path({
    default: '',
    summary: 'our own certificate, PEM, for servers that want one; with keyFile',
  }),
  keyFile: option.path({ default: '', summary: 'the key of certFile, PEM' }),
  wait: option.duration({ default: 30e9, summary: 'how long a call waits for a connection; 0s: not at all' }),
  readOnlyFallback: option.boolean({
    default: false,
    summary: 'a read-only server will do while no other answers',
  }),
  alwaysAsk: option.boolean({
    default: false,
    summary: 'every snapshot asks the server; else one may lack what others committed a moment ago',
  }),
  cacheBytesLimit: option.bytes({
    default: 64 * 1024 ** 2,
    summary: 'memory for object states, shared by the threads of a process; 0 for no cache',
  }),
  cachePolicy: option.choice({
    choices: ['s3-fifo', 'slru', 'lru', 'fifo', 'clock', 'sieve', '2q', 'arc'],
    default: 's3-fifo',
    summary: 'what the caches in memory and on disk keep when they are full',
  }),
  cacheFolder: option.path({
    default: '',
    summary: 'keeps object states on disk too, in this folder, for this process and the next; needs a cache',
  }),
  diskBytesLimit: option.bytes({ default: 256 * 1024 ** 2, summary: 'size of all files in cacheFolder' }),
  updateStates: option.boolean({
    default: false,
    summary: 'the new states of small objects come with the notice of their change; needs a cache',
  }),
  ...blobCacheOptions,
  neighbours: option.integer({
    default: 0,
    min: 0,
    max: 1024,
    summary:
      'objects that the server sends along with each that is loaded, by following references; needs a cache',
  }),
  prefetchDepth: option.integer({
    default: 0,
    min: 0,
    max: 16,
    summary:
      'objects up to so many references away from what was loaded are fetched meanwhile; needs a cache',
  }),
  prefetchObjects: option.integer({
    default: 256,
    min: 1,
    max: 100_000,
    summary: 'objects fetched after one load; for prefetchDepth',
  }),
  aheadBytesLimit: option.bytes({
    default: 64 * 1024,
    summary: 'bytes sent along with one object, or brought by one request of prefetchDepth',
  }),
}

/** What the threads of a process have in common. */
interface Shared {
  /** Undefined: no cache is kept. */
  readonly cache: SharedClientCache | undefined
}

const shareCache = ({ cacheBytesLimit, cachePolicy }: CacheOptions): SharedClientCache | undefined =>
  cacheBytesLimit === 0 ? undefined : shareClientCache(cacheBytesLimit, cachePolicy)

type CacheOptions = Pick<
  Options,
  'cacheBytesLimit' | 'cachePolicy' | 'cacheFolder' | 'diskBytesLimit' | 'updateStates'
>

function openCache(
  given: CacheOptions,
  shared: Shared | undefined,
  log: (message: string) => void,
): ClientCache | undefined {
  const { cacheFolder: folder, diskBytesLimit: bytesLimit, cachePolicy: policy, updateStates } = given
  const memory = shared === undefined ? shareCache(given) : shared.cache
  if (memory === undefined) {
    if (folder === '') return undefined
    throw new UsageError('bad-options', 'zeo: cacheFolder needs a cache in memory too; give cacheBytesLimit')
  }
  const disk = folder === '' ? undefined : openDiskCache({ folder, bytesLimit, policy, log })
  return new ClientCache(memory, { updateStates, ...(disk === undefined ? {} : { disk }) })
}

/** @throws UsageError `bad-options` */
async function readAheadOf(
  given: Options,
  cache: ClientCache | undefined,
): Promise<AheadSettings | undefined> {
  const { neighbours, prefetchDepth: depth, prefetchObjects: objectsMax, aheadBytesLimit: bytesMax } = given
  if (neighbours === 0 && depth === 0) return undefined
  if (cache === undefined) {
    throw new UsageError(
      'bad-options',
      'zeo: neighbours and prefetchDepth need a cache to bring objects to; give cacheBytesLimit',
    )
  }
  if (neighbours > 0 && depth > 0) {
    throw new UsageError(
      'bad-options',
      'zeo: with neighbours and prefetchDepth both ends would fetch the same objects; give one of them',
    )
  }
  const references = await loadReferences(recordDecoder)
  return { neighbours, depth, objectsMax, bytesMax: Math.min(bytesMax, 0xffff_ffff), references }
}

/** Where references are found: in the records of the object layer. */
const recordDecoder = siblingModule(import.meta.url, '../../database/record-decoder')

type Options = OptionsOf<typeof options>

const moduleNames = { file: '../file/index', sqlite: '../sql/sqlite/index', memory: '../memory' } as const

export default defineStorage({
  name: 'zeo',
  summary: 'a server process, over a unix socket or TCP, that serves a file, SQLite or any other storage',
  options,
  capabilities,

  provision(given, context) {
    if (given.address !== '') {
      throw new UsageError(
        'bad-options',
        `zeo: a run makes fresh stores on servers of its own and would not touch ${given.address}; leave address out`,
      )
    }
    return {
      available: true,
      facts: { serves: given.serve, transport: 'unix socket' },
      async newStore() {
        const folder = await mkdtemp(join(context.folder, 'store-'))
        // Not in `folder`: the path of a socket must be short, whatever folder the run was given.
        const socketFolder = await mkdtemp(join(tmpdir(), 'shootout-zeo-'))
        const removeFolders = async () => {
          await rm(socketFolder, { recursive: true, force: true })
          await rm(folder, { recursive: true, force: true })
        }
        try {
          const server = await startServer(
            {
              moduleUrl: siblingModule(import.meta.url, moduleNames[given.serve]),
              options: servedOptions(given),
              folder,
              socketFolder,
              address: parseAddress(`unix:${join(socketFolder, 'socket')}`),
              token: given.token,
              resolverUrl: siblingModule(import.meta.url, '../../database/resolve-conflict'),
              referencesUrl: recordDecoder,
            },
            (message) => context.log(message),
          )
          return {
            options: { ...given, address: formatAddress(server.address) },
            processIds: [server.pid],
            async dispose() {
              await server.stop()
              await removeFolders()
            },
          }
        } catch (error) {
          await removeFolders()
          throw error
        }
      },
      dispose() {},
    }
  },

  share(given): SharedState<Shared> {
    return { state: { cache: shareCache(given) }, close() {} }
  },

  async open(given, context, shared) {
    if (given.address === '') {
      throw new UsageError(
        'missing-option',
        'zeo: say where the server is, with address=unix:/path or host:port',
      )
    }
    const { token, caFile, certFile, keyFile, alwaysAsk, readOnlyFallback } = given
    if ((certFile === '') !== (keyFile === '')) {
      throw new UsageError('bad-options', 'zeo: certFile and keyFile belong together; give both')
    }
    const servers = given.address.split(',').map((text) => {
      const address = parseAddress(text.trim())
      return {
        address: formatAddress(address),
        dial: () => dial(address, { token, caFile, certFile, keyFile }),
      }
    })
    const blobCache = openBlobCache(given, context)
    const cache = openCache(given, shared, (message) => context.log(message))
    const settings = {
      ...{ servers, readOnlyFallback, token, waitMs: given.wait / 1e6, alwaysAsk },
      ...(cache === undefined ? {} : { cache }),
      ...(blobCache === undefined ? {} : { blobCache }),
    }
    try {
      const readAhead = await readAheadOf(given, cache)
      return await openClient(readAhead === undefined ? settings : { ...settings, readAhead }, context)
    } catch (error) {
      cache?.close()
      throw error
    }
  },
})

/** What a client can do of what is served. A server that exists may serve something else; its clients find out. */
function capabilities({ serve, durability, history }: Options): Capabilities {
  const keepsHistory = serve === 'file' || history
  return {
    reach: 'network',
    durability: serve === 'memory' ? 'memory' : durability,
    // As long as the server lives, for memory.
    persistent: true,
    blocking: false,
    history: keepsHistory,
    conflictResolution: true,
    deletion: true,
    undo: keepsHistory,
    iteration: keepsHistory || serve === 'memory',
    pack: true,
    prefetch: true,
    blobs: true,
  }
}

function servedOptions({ serve, durability, history }: Options): Record<string, unknown> {
  if (serve === 'file') return { durability }
  return serve === 'sqlite' ? { durability, history } : { history }
}
