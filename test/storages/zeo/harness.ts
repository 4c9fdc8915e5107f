/** A server and clients in this process, for tests of what happens between them. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import type { BlobCache } from '../../../src/storages/cache/blobs/blob-cache.ts'
import memory from '../../../src/storages/memory.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { Capabilities, OpenContext, Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { parseAddress } from '../../../src/storages/zeo/address.ts'
import type { AheadSettings } from '../../../src/storages/zeo/client-ahead.ts'
import type { ClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { type ClientStorage, openClient } from '../../../src/storages/zeo/client-storage.ts'
import { dial } from '../../../src/storages/zeo/dial.ts'
import type { ServerPlace } from '../../../src/storages/zeo/dialer.ts'
import type { ServerLimits } from '../../../src/storages/zeo/limits.ts'
import type { Listener } from '../../../src/storages/zeo/listener.ts'
import { ZeoServer } from '../../../src/storages/zeo/server.ts'
import type { LogEntry } from '../../../src/storages/zeo/server-log.ts'
import type { Timers } from '../../../src/storages/zeo/timers.ts'
import type { Wire } from '../../../src/storages/zeo/wire.ts'
import { listen } from './listen.ts'

export interface Given {
  readonly storage?: Storage
  readonly token?: string
  readonly limits?: Partial<ServerLimits>
  readonly listen?: string
  readonly slowMs?: number
  /** Of the server. */
  readonly timers?: Timers
  /** Of the storage, where it is not memory. */
  readonly capabilities?: Capabilities
  readonly readOnly?: boolean
  readonly references?: (data: Uint8Array) => Iterable<Oid>
}

/** A server on a unix socket (or wherever it is told), with what was logged, and clients of it. */
export class Served {
  readonly folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  readonly logged: LogEntry[] = []
  /** Times that a client has tried to connect. */
  dials = 0
  storage!: Storage
  server!: ZeoServer
  listener!: Listener
  readonly #given: Given
  readonly #clients: ClientStorage[] = []
  readonly #wires: Wire[] = []

  private constructor(given: Given) {
    this.#given = given
  }

  static async start(given: Given = {}): Promise<Served> {
    const served = new Served(given)
    served.storage = given.storage ?? (await openStorage(memory, { history: false }))
    await served.listen()
    return served
  }

  get address() {
    return this.listener?.address ?? parseAddress(this.#given.listen ?? `unix:${join(this.folder, 's')}`)
  }

  /** A server, perhaps a new one over the same storage. */
  async listen(): Promise<void> {
    const { token, limits, slowMs = 60_000, timers, readOnly = false, references } = this.#given
    this.server = new ZeoServer({
      storage: this.storage,
      capabilities: this.#given.capabilities ?? memory.capabilities({ history: false }),
      name: 'memory',
      readOnly,
      log: (entry) => this.logged.push(entry),
      ...(token === undefined ? {} : { token }),
      slowMs,
      ...(timers === undefined ? {} : { timers }),
      ...(limits === undefined ? {} : { limits }),
      ...(references === undefined ? {} : { references }),
    })
    this.listener = await listen(this.server, this.address)
  }

  async stopServer(): Promise<void> {
    const closed = this.listener.close()
    await this.server.close(50)
    await closed
  }

  /** For clients of several servers. */
  get place(): ServerPlace {
    return {
      address: 'test',
      dial: async () => {
        this.dials++
        const wire = await dial(this.address, { token: this.#given.token ?? '', caFile: '' })
        this.#wires.push(wire)
        return wire
      },
    }
  }

  async client(
    given: Partial<OpenContext> & {
      readonly waitMs?: number
      readonly cache?: ClientCache
      readonly blobCache?: BlobCache
      readonly readAhead?: AheadSettings
    } = {},
  ): Promise<ClientStorage> {
    const { token = '' } = this.#given
    const { waitMs = 5000, cache, blobCache, readAhead, ...context } = given
    const client = await openClient(
      {
        servers: [this.place],
        token,
        waitMs,
        ...(cache === undefined ? {} : { cache }),
        ...(blobCache === undefined ? {} : { blobCache }),
        ...(readAhead === undefined ? {} : { readAhead }),
      },
      openContext(context),
    )
    this.#clients.push(client)
    return client
  }

  /** Cuts every client's connection. */
  cut(): void {
    for (const wire of this.#wires.splice(0)) wire.destroy()
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) await client.close()
    await this.stopServer()
    await this.storage.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export const bytes = (text: string) => new TextEncoder().encode(text)
export const text = (data: Uint8Array) => new TextDecoder().decode(data)
export const oid = (number: number) => number as Oid

/** Polls, then writes one object. */
export async function write(instance: StorageInstance, id: Oid, content: string): Promise<Tid> {
  await instance.pollInvalidations()
  const serial = await serialOf(instance, id)
  const transaction = instance.begin()
  await transaction.store(id, serial, bytes(content))
  return await (await transaction.vote()).finish()
}

/** Polls, then deletes one object. */
export async function remove(instance: StorageInstance, id: Oid): Promise<Tid> {
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.delete!(id, await serialOf(instance, id))
  return await (await transaction.vote()).finish()
}

/** Polls, then reads one object. */
export async function read(instance: StorageInstance, id: Oid): Promise<string | undefined> {
  await instance.pollInvalidations()
  const [revision] = await instance.loadMany([id])
  return revision === undefined ? undefined : text(revision.data)
}

export async function serialOf(instance: StorageInstance, id: Oid): Promise<Tid> {
  return (await instance.loadMany([id]))[0]?.serial ?? noTid
}

export async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let left = 20_000; left > 0; left--) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error(`never: ${what}`)
}
