/**
 * The server: one served storage, any number of clients. It knows nothing of sockets; `listener.ts` brings it wires.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { describeError, ShootoutError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { Capabilities, Storage } from '../storage.ts'
import { defaultLimits, type ServerLimits } from './limits.ts'
import { Outcomes } from './outcomes.ts'
import { nonceBytes } from './protocol.ts'
import { ServerConnection } from './server-connection.ts'
import { systemTimers, type Timers } from './timers.ts'
import type { Wire } from './wire.ts'

export interface ServerSettings {
  readonly storage: Storage
  /** Of the served storage. */
  readonly capabilities: Capabilities
  /** Of the served storage. */
  readonly name: string
  /** What clients must know. Without it everybody who reaches the server may use it. */
  readonly token?: string
  readonly limits?: Partial<ServerLimits>
  readonly timers?: Timers
  log(message: string): void
}

/** What `shootout status` shows. Counts are since the start. */
export interface ServerStatus {
  readonly storage: string
  readonly durability: string
  readonly lastTid: Tid
  readonly uptimeSeconds: number
  readonly connections: number
  readonly connectionsTotal: number
  readonly dropped: number
  readonly loads: number
  readonly commits: number
  readonly conflicts: number
  readonly errors: number
  readonly residentBytes: number
}

/** How the system says that the other end is gone. */
const vanished: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

export class ZeoServer {
  readonly settings: Required<Omit<ServerSettings, 'token' | 'limits'>> &
    Pick<ServerSettings, 'token'> & { readonly limits: ServerLimits }
  readonly run = new Uint8Array(randomBytes(nonceBytes))
  readonly outcomes: Outcomes
  readonly counts = { connections: 0, dropped: 0, loads: 0, commits: 0, conflicts: 0, errors: 0 }
  zaps = 0
  isClosing = false
  readonly #connections = new Set<ServerConnection>()
  readonly #tokenHash: Buffer | undefined
  readonly #startedAt: number
  #closing: Promise<void> | undefined

  constructor(settings: ServerSettings) {
    const { limits, timers = systemTimers } = settings
    this.settings = { ...settings, timers, limits: { ...defaultLimits, ...limits } }
    this.outcomes = new Outcomes(timers)
    this.#startedAt = timers.now()
    if (settings.token !== undefined) this.#tokenHash = hash(new TextEncoder().encode(settings.token))
  }

  /** A peer has connected. */
  accept(wire: Wire): void {
    const { limits, log } = this.settings
    if (this.isClosing || this.#connections.size >= limits.connectionsMax) {
      if (!this.isClosing) log(`${wire.peer}: turned away, ${limits.connectionsMax} clients are connected`)
      wire.listen({ data: () => {}, drained: () => {}, closed: () => {} })
      wire.destroy()
      return
    }
    this.counts.connections++
    this.#connections.add(new ServerConnection(this, wire))
  }

  left(connection: ServerConnection, error: Error | undefined): void {
    this.#connections.delete(connection)
    if (error === undefined || this.isClosing) return
    this.counts.dropped++
    // A client that dies is no oddity, but what became of its connection is counted.
    if (vanished.has((error as NodeJS.ErrnoException).code ?? '')) return
    this.settings.log(`${connection.channel.peer}: connection lost: ${describeError(error)}`)
  }

  /** Always compares, and always the same number of bytes: time tells nothing about the token. */
  accepts(token: Uint8Array): boolean {
    return this.#tokenHash === undefined || timingSafeEqual(this.#tokenHash, hash(token))
  }

  /** A transaction is visible in the served storage. Others are told before its committer is. */
  committed(by: ServerConnection): void {
    this.counts.commits++
    const { lastTid } = this.settings.storage
    for (const connection of this.#connections) if (connection !== by) connection.notify(lastTid)
  }

  zapped(by: ServerConnection): void {
    this.zaps++
    for (const connection of this.#connections) if (connection !== by) connection.notifyZapped()
  }

  failed(error: unknown): void {
    const code = error instanceof ShootoutError ? error.code : undefined
    if (code === 'conflict' || code === 'read-conflict') this.counts.conflicts++
    else if (code === undefined) {
      this.counts.errors++
      this.settings.log(`a request failed: ${describeError(error)}`)
    }
  }

  status(): ServerStatus {
    const { settings, counts } = this
    return {
      storage: settings.name,
      durability: settings.capabilities.durability,
      lastTid: settings.storage.lastTid,
      uptimeSeconds: (settings.timers.now() - this.#startedAt) / 1000,
      connections: this.#connections.size,
      connectionsTotal: counts.connections,
      dropped: counts.dropped,
      loads: counts.loads,
      commits: counts.commits,
      conflicts: counts.conflicts,
      errors: counts.errors,
      residentBytes: process.memoryUsage.rss(),
    }
  }

  /**
   * Says goodbye, waits for what has voted, drops everybody. The served storage stays open; it is not ours.
   * @param graceMs after which clients are dropped whatever they are doing
   */
  close(graceMs = 1000): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    this.isClosing = true
    for (const connection of this.#connections) {
      connection.notifyGoodbye()
      connection.channel.flush()
    }
    const deadline = this.settings.timers.now() + graceMs
    while (this.#isHolding() && this.settings.timers.now() < deadline) {
      await new Promise<void>((resolve) => {
        this.settings.timers.after(5, resolve)
      })
    }
    await Promise.race([
      Promise.all([...this.#connections].map((connection) => connection.channel.drained())),
      new Promise<void>((resolve) => {
        this.settings.timers.after(graceMs, resolve)
      }),
    ])
    for (const connection of this.#connections) connection.channel.destroy()
  }

  #isHolding(): boolean {
    for (const connection of this.#connections) if (connection.isHolding) return true
    return false
  }
}

function hash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
