/**
 * Opens a store of any storage module and serves it: what `shootout serve` does, and what a server process of a run
 * does. Ends in the opposite order.
 */

import { rmSync } from 'node:fs'
import { ShootoutError } from '../../core/errors.ts'
import { loadDefault } from '../../core/load-module.ts'
import { parseOptions } from '../../core/options.ts'
import { openStorage } from '../open.ts'
import { type OpenContext, type StorageModule, storageModuleProblem } from '../storage.ts'
import { type Address, formatAddress } from './address.ts'
import type { ServerLimits } from './limits.ts'
import { type Listener, takeAddress } from './listener.ts'
import { loadReferences, loadResolver } from './record-functions.ts'
import { ZeoServer } from './server.ts'
import type { ServerLog } from './server-log.ts'
import type { TlsFiles } from './tls.ts'

export interface ServeRequest {
  /** URL of the storage module. */
  readonly moduleUrl: string
  /** Its options, as a person gives them. */
  readonly options: Readonly<Record<string, unknown>>
  /** A fresh store is made in this folder, and removed at the end. Without it the options name the store. */
  readonly folder?: string
  /** Made for the socket alone, and removed with it. */
  readonly socketFolder?: string
  readonly address: Address
  readonly token: string
  readonly tls?: TlsFiles
  /** URL of a module that exports `resolveConflict`; without it conflicts are left to the clients. */
  readonly resolverUrl?: string
  /** URL of a module that exports `references`; without it no neighbours are sent along. */
  readonly referencesUrl?: string
  readonly readOnly?: boolean
  readonly limits?: Partial<ServerLimits>
  /** Requests that take longer than this are logged, ms. */
  readonly slowMs?: number
}

export interface ServedStore {
  readonly server: ZeoServer
  readonly listener: Listener
  /** Lets go of the clients, waits for commits under way, closes the store. Closing twice is fine. */
  close(): Promise<void>
}

/** @throws what loading, opening or listening throws; nothing is left open then */
export async function serveStore(request: ServeRequest, log: ServerLog): Promise<ServedStore> {
  const say = (reason: string) => log({ level: 'warn', event: 'storage', facts: { reason } })
  const { address, token, tls, moduleUrl } = request
  const closers: (() => unknown)[] = []
  const { socketFolder } = request
  if (socketFolder !== undefined) closers.push(() => rmSync(socketFolder, { recursive: true, force: true }))
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    // Before anything is opened, which may make a store: a refusal must not leave a trace.
    const taken = await takeAddress(address, { hasToken: token !== '', ...(tls && { tls }) })
    closers.push(() => taken.close())
    const module = await loadDefault<StorageModule>(moduleUrl, 'storage', storageModuleProblem)
    let options = parseOptions(`storage ${module.name}`, module.options, request.options)
    if (request.folder !== undefined && module.provision !== undefined) {
      const provision = await module.provision(options, { folder: request.folder, log: say })
      if (!provision.available) throw new ShootoutError('storage-unavailable', provision.reason)
      closers.push(() => provision.dispose())
      const store = await provision.newStore('served')
      closers.push(() => store.dispose())
      options = store.options
    }
    const resolveConflict =
      request.resolverUrl === undefined ? undefined : await loadResolver(request.resolverUrl)
    const context: Partial<OpenContext> = {
      log: say,
      readOnly: request.readOnly ?? false,
      ...(resolveConflict === undefined ? {} : { resolveConflict }),
    }
    const storage = await openStorage(module, options, context)
    closers.push(() => storage.close())
    const references =
      request.referencesUrl === undefined ? undefined : await loadReferences(request.referencesUrl)
    const server = new ZeoServer({
      storage,
      capabilities: module.capabilities(options),
      name: module.name,
      readOnly: request.readOnly ?? false,
      log,
      ...(token === '' ? {} : { token }),
      ...(references === undefined ? {} : { references }),
      ...(request.slowMs === undefined ? {} : { slowMs: request.slowMs }),
      ...(request.limits === undefined ? {} : { limits: request.limits }),
    })
    const listener = taken.serve(server)
    const facts = { address: formatAddress(listener.address), storage: module.name, pid: process.pid }
    log({ level: 'info', event: 'listening', facts })
    let closing: Promise<void> | undefined
    closers.push(async () => {
      const closed = listener.close()
      await server.close()
      await closed
    })
    return {
      server,
      listener,
      close() {
        closing ??= closeAll()
        return closing
      },
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}
