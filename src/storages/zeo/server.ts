/**
 * The server: one served storage, any number of clients. It knows nothing of sockets; `listener.ts` brings it wires.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { describeError, ShootoutError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Capabilities, Storage } from '../storage.ts'
import { Background } from './background.ts'
import { CommitQueue } from './commit-queue.ts'
import { defaultLimits, type ServerLimits } from './limits.ts'
import { Outcomes } from './outcomes.ts'
import { nonceBytes, protocolVersion } from './protocol.ts'
import { ServedChanges } from './served-changes.ts'
import { ServerConnection } from './server-connection.ts'
import type { ServerLog } from './server-log.ts'
import { systemTimers, type Timers } from './timers.ts'
import { seeThePeer } from './tls.ts'
import type { Wire } from './wire.ts'

export interface ServerSettings {
  readonly storage: Storage
  /** Of the served storage. */
  readonly capabilities: Capabilities
  /** Of the served storage. */
  readonly name: string
  /** What clients must know. Without it everybody who reaches the server may use it. */
  readonly token?: string
  /** The served storage is opened read-only; clients are told. */
  readonly readOnly?: boolean
  /** Finds what a record refers to. Without it no neighbours are sent along. */
  readonly references?: (data: Uint8Array) => Iterable<Oid>
  readonly limits?: Partial<ServerLimits>
  readonly timers?: Timers
  /** Requests that take longer than this are logged, ms. */
  readonly slowMs?: number
  readonly log: ServerLog
}

/** What `shootout status` shows. Counts are since the start. */
export interface ServerStatus {
  readonly storage: string
  readonly durability: string
  readonly readOnly: boolean
  readonly protocolVersion: number
  readonly pid: number
  readonly lastTid: Tid
  readonly uptimeSeconds: number
  /** Connected now. */
  readonly clients: number
  /** With those that have not said who they are, and that of who asks for the status. */
  readonly connections: number
  readonly connectionsTotal: number
  /** Peers that never became clients: wrong token, wrong version, one too many. */
  readonly refused: number
  /** Connections that ended with an error. */
  readonly dropped: number
  /** Instances of clients. */
  readonly views: number
  /** Blobs that clients have open. */
  readonly blobsOpen: number
  /** Transactions that have voted and wait for their client. */
  readonly voted: number
  /** Transactions whose vote waits for that of another one. */
  readonly waiting: number
  readonly loads: number
  /** Revisions sent along with what was loaded, and their bytes. */
  readonly neighbours: number
  readonly neighbourBytes: number
  /** Revisions sent because clients prefetch them. */
  readonly prefetched: number
  readonly commits: number
  readonly conflicts: number
  readonly errors: number
  /** Requests that took longer than the limit. */
  readonly slow: number
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Bytes that wait for slow clients. */
  readonly queuedBytes: number
  readonly residentBytes: number
  /** CPU time of the server's process, of all its threads, since it started. */
  readonly cpuUserSeconds: number
  readonly cpuSystemSeconds: number
}

const slowMsDefault = 1000

/** How the system says that the other end is gone. */
const vanished: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

export class ZeoServer {
  readonly settings: Required<Omit<ServerSettings, 'token' | 'limits' | 'references'>> &
    Pick<ServerSettings, 'token' | 'references'> & { readonly limits: ServerLimits }
  readonly run = new Uint8Array(randomBytes(nonceBytes))
  readonly outcomes: Outcomes
  readonly changes: ServedChanges
  readonly commitQueue = new CommitQueue()
  readonly background = new Background()
  readonly counts = {
    connections: 0,
    refused: 0,
    dropped: 0,
    loads: 0,
    neighbours: 0,
    neighbourBytes: 0,
    prefetched: 0,
    commits: 0,
    conflicts: 0,
    errors: 0,
    slow: 0,
    bytesRead: 0,
    bytesWritten: 0,
  }
  zaps = 0
  isClosing = false
  readonly #connections = new Set<ServerConnection>()
  readonly #tokenHash: Buffer | undefined
  readonly #startedAt: number
  #closing: Promise<void> | undefined

  constructor(settings: ServerSettings) {
    const { limits, timers = systemTimers, slowMs = slowMsDefault, readOnly = false } = settings
    this.settings = { ...settings, readOnly, timers, slowMs, limits: { ...defaultLimits, ...limits } }
    this.outcomes = new Outcomes(timers, this.settings.limits.viewsMax)
    this.changes = new ServedChanges(settings.storage, (reason) =>
      settings.log({ level: 'warn', event: 'storage', facts: { reason } }),
    )
    this.#startedAt = timers.now()
    if (settings.token !== undefined) this.#tokenHash = hash(new TextEncoder().encode(settings.token))
  }

  /** A peer has connected. @param tls that is the case over TLS; with a refusal it hears that and nothing else */
  accept(wire: Wire, tls?: { readonly refusal: ShootoutError | undefined }): void {
    const { limits } = this.settings
    const isFull = this.#connections.size >= limits.connectionsMax
    if (this.isClosing || isFull) {
      if (isFull)
        this.refused(wire.peer, 'too-many-clients', `${limits.connectionsMax} clients are connected`)
      wire.listen({ data: () => {}, drained: () => {}, closed: () => {} })
      wire.destroy()
      return
    }
    this.counts.connections++
    this.#connections.add(new ServerConnection(this, wire, tls))
  }

  /** A peer was turned away. */
  refused(peer: string, code: string, reason: string): void {
    this.counts.refused++
    this.settings.log({ level: 'warn', event: 'refused', facts: { peer, code, reason } })
  }

  left(connection: ServerConnection, error: Error | undefined): void {
    this.#connections.delete(connection)
    const { channel, client, connectedAt } = connection
    this.counts.bytesRead += channel.bytesRead
    this.counts.bytesWritten += channel.bytesWritten
    if (connection.isSecure && channel.bytesRead === 0 && !this.isClosing) {
      this.refused(channel.peer, 'tls-left', `it left after the TLS handshake without a word; ${seeThePeer}`)
      return
    }
    const hasFailed = error !== undefined && !this.isClosing
    if (hasFailed) this.counts.dropped++
    // A status request or a refusal: it was no client, and what there is to say has been said.
    if (client === undefined && !hasFailed) return
    // A client that dies is no oddity.
    const isOdd = hasFailed && !vanished.has(codeOf(error) ?? '')
    this.settings.log({
      level: isOdd ? 'warn' : 'info',
      event: 'disconnected',
      facts: {
        peer: channel.peer,
        client,
        code: hasFailed ? codeOf(error) : undefined,
        cause: this.isClosing
          ? 'the server is closing'
          : error === undefined
            ? 'closed by the client'
            : describeError(error),
        seconds: Math.round(this.settings.timers.now() - connectedAt) / 1000,
        bytesRead: channel.bytesRead,
        bytesWritten: channel.bytesWritten,
      },
    })
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
    this.changes.forget()
    for (const connection of this.#connections) if (connection !== by) connection.notifyZapped()
  }

  /** A request of `peer` failed. @param isHeard by the peer; else whoever operates the server should know */
  failed(error: unknown, peer: string, isHeard: boolean): void {
    const code = error instanceof ShootoutError ? error.code : undefined
    if (code === 'conflict' || code === 'read-conflict') this.counts.conflicts++
    else if (code === undefined || !isHeard) {
      this.counts.errors++
      this.settings.log({ level: 'error', event: 'error', facts: { peer, reason: describeError(error) } })
    }
  }

  status(): ServerStatus {
    const { settings, counts } = this
    const { connections: connectionsTotal, ...counted } = counts
    const { user, system } = process.cpuUsage()
    const sum = (of: (connection: ServerConnection) => number) =>
      [...this.#connections].reduce((total, connection) => total + of(connection), 0)
    return {
      storage: settings.name,
      durability: settings.capabilities.durability,
      readOnly: settings.readOnly,
      protocolVersion,
      pid: process.pid,
      lastTid: settings.storage.lastTid,
      uptimeSeconds: Math.round(settings.timers.now() - this.#startedAt) / 1000,
      clients: sum(({ isGreeted }) => (isGreeted ? 1 : 0)),
      connections: this.#connections.size,
      connectionsTotal,
      ...counted,
      views: sum(({ viewCount }) => viewCount),
      blobsOpen: sum(({ blobs }) => blobs.openCount),
      voted: sum(({ holdingCount }) => holdingCount),
      waiting: this.commitQueue.waiting,
      bytesRead: counted.bytesRead + sum(({ channel }) => channel.bytesRead),
      bytesWritten: counted.bytesWritten + sum(({ channel }) => channel.bytesWritten),
      queuedBytes: sum(({ channel }) => channel.queuedBytes),
      residentBytes: process.memoryUsage.rss(),
      cpuUserSeconds: user / 1e6,
      cpuSystemSeconds: system / 1e6,
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
    this.settings.log({ level: 'info', event: 'closing', facts: { clients: this.#connections.size } })
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
    this.changes.close()
  }

  #isHolding(): boolean {
    for (const connection of this.#connections) if (connection.holdingCount > 0) return true
    return false
  }
}

function codeOf(error: Error): string | undefined {
  return (error as { readonly code?: string }).code
}

function hash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
