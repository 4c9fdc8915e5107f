/**
 * One client, as the server has it: after the handshake (`greeting.ts`) its views, and the requests about the store as a
 * whole.
 *
 * Replies and notices are queued in the order in which they were evaluated. In particular, a commit of this client is
 * answered before any answer to this client shows it.
 */

import { DisconnectedError, ReadOnlyError, ShootoutError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { Awaitable, StorageInstance } from '../storage.ts'
import type { Background } from './background.ts'
import { BodyReader } from './body.ts'
import { Channel } from './channel.ts'
import { writeError } from './error-codec.ts'
import { greet, turnAway, welcome } from './greeting.ts'
import { KnownObjects } from './known-objects.ts'
import type { Kept } from './messages.ts'
import { greetingBytesMax, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'
import { ServedBlobs } from './served-blobs.ts'
import type { Changes } from './served-changes.ts'
import type { Commits } from './served-transaction.ts'
import { ServedView } from './served-view.ts'
import type { ZeoServer } from './server.ts'
import { type StoreHost, StoreRequests } from './store-requests.ts'
import type { Cancel } from './timers.ts'
import { Slots } from './turns.ts'
import type { ViewHost } from './view-host.ts'
import type { Wire } from './wire.ts'

/** About the blobs of an iteration. */
const storeBlobTypes: ReadonlySet<number> = new Set([types.recordedBlob, types.recordedEnd])

/** Enough to keep a database busy; what they have read may all be queued at once. */
const partsMax = 4

const typeNames = new Map<number, string>(Object.entries(types).map(([name, type]) => [type, name]))

interface Announced {
  readonly request: number
  readonly tid: Tid
}

export class ServerConnection implements ViewHost, StoreHost {
  readonly channel: Channel
  readonly #server: ZeoServer
  readonly #views = new Map<number, ServedView>()
  readonly #store: StoreRequests
  readonly blobs: ServedBlobs
  readonly parts = new Slots(partsMax)
  /** Commits that are durable in the served storage but not answered yet, oldest first. */
  readonly #announced: Announced[] = []
  #session: string | undefined
  #known: KnownObjects | undefined
  isReadOnly = false
  /** Of messages that wait for an earlier one of their view. */
  #waitingBytes = 0
  #isWatching = false
  #isPaused = false
  #cancelGreeting: Cancel
  /** Transactions that have voted and hold locks. */
  holdingCount = 0
  readonly connectedAt: number
  readonly isSecure: boolean
  readonly #refusal: ShootoutError | undefined

  constructor(server: ZeoServer, wire: Wire, tls?: { readonly refusal: ShootoutError | undefined }) {
    this.#server = server
    this.isSecure = tls !== undefined
    this.#refusal = tls?.refusal
    this.blobs = new ServedBlobs(this)
    this.#store = new StoreRequests(this)
    const { limits, timers } = server.settings
    this.connectedAt = timers.now()
    this.channel = new Channel(
      wire,
      {
        limits: { messageBytesMax: greetingBytesMax, assemblyBytesMax: 0, streamsMax: 0 },
        timers,
        silenceMs: limits.silenceMs,
        pingMs: 0,
      },
      {
        message: (type, id, view, body) => this.#onMessage(type, id, view, body),
        closed: (error) => this.#onClosed(error),
      },
    )
    this.#cancelGreeting = timers.limit(limits.greetingMs, () => this.drop('no handshake in time'))
  }

  get storage() {
    return this.#server.settings.storage
  }

  get limits() {
    return this.#server.settings.limits
  }

  get isGreeted(): boolean {
    return this.#session !== undefined
  }

  /** The first part of its random name, enough to tell clients apart; undefined before the handshake. */
  get client(): string | undefined {
    return this.#session?.slice(0, 8)
  }

  get viewCount(): number {
    return this.#views.size
  }

  /** Ends the connection because of what the peer does. */
  drop(reason: string): void {
    this.channel.destroy(new ProtocolError(reason))
  }

  // --- Notices --------------------------------------------------------------------------------------------------------

  watch(): void {
    this.#isWatching = true
  }

  /** There is something newer than what this client has been shown. */
  notify(lastTid: Tid): void {
    if (!this.#isWatching) return
    // One notice makes the client drop every snapshot it holds ahead; the next one is due after the next `renew`.
    this.#isWatching = false
    this.channel.send(types.changed, 0, 0, this.channel.fields.id(lastTid).take())
  }

  restored(): void {
    this.#server.committed(this)
  }

  zapped(): void {
    this.#known?.clear()
    this.#server.zapped(this)
  }

  notifyZapped(): void {
    this.#known?.clear()
    if (this.isGreeted) this.channel.send(types.zapped, 0, 0)
  }

  notifyGoodbye(): void {
    this.channel.send(types.goodbye, 0, 0)
  }

  // --- Messages -------------------------------------------------------------------------------------------------------

  #onMessage(type: number, id: number, view: number, body: Uint8Array): void {
    if (this.#session === undefined) {
      this.#greet(type, new BodyReader(body))
      return
    }
    if (type >= types.poll && type < types.outcome) this.#toView(type, id, view, body)
    else if (type === types.cancel && view !== 0) this.#views.get(view)?.cancel(new BodyReader(body).u32())
    else this.#answer(id, () => this.#carryOut(type, id, new BodyReader(body)))
    if (!this.#isPaused && this.channel.queuedBytes > this.#server.settings.limits.outputBytesMax) {
      void this.#pauseUntilDrained()
    }
  }

  #greet(type: number, body: BodyReader): void {
    const { settings, outcomes } = this.#server
    if (this.#refusal !== undefined) {
      turnAway(this.#server, this.channel, this.#refusal)
      return
    }
    const greeted = greet(this.#server, this.channel, type, body)
    if (greeted === undefined) return
    this.#cancelGreeting()
    this.#session = greeted.session
    this.isReadOnly = greeted.isReadOnly
    outcomes.arrive(this.#session)
    const { limits } = settings
    this.channel.parser.limits = {
      messageBytesMax: limits.messageBytesMax,
      assemblyBytesMax: limits.messageBytesMax,
      streamsMax: limits.streamsMax,
    }
    welcome(this.#server, this.channel)
    const facts = { peer: this.channel.peer, client: this.client, readOnly: this.isReadOnly }
    settings.log({ level: 'info', event: 'connected', facts })
  }

  #toView(type: number, id: number, number: number, body: Uint8Array): void {
    let view = this.#views.get(number)
    if (view === undefined) {
      // Ending what does not exist is fine: it may have ended with an earlier connection.
      if (type === types.release || type === types.complete || type === types.abort) return
      if (type === types.prefetch) {
        // It went behind the end of its view.
        this.channel.send(types.reply, id, 0, this.channel.fields.u32(0).take())
        return
      }
      const { limits } = this.#server.settings
      if (this.#views.size >= limits.viewsMax) throw new ProtocolError(`more than ${limits.viewsMax} views`)
      view = new ServedView(number, this)
      this.#views.set(number, view)
    }
    if (this.isReadOnly && ((type >= types.storeBlob && type < types.outcome) || type === types.newOids)) {
      this.fail(id, new ReadOnlyError('the storage'))
      return
    }
    const { waitingMax, transactionBytesMax } = this.#server.settings.limits
    if (view.waiting > waitingMax || this.#waitingBytes > transactionBytesMax)
      throw new ProtocolError(`${view.waiting} messages wait for an earlier one, ${this.#waitingBytes} bytes`)
    view.handle(type, id, body)
    if (type === types.release) {
      this.#views.delete(number)
      this.#server.outcomes.release(this.#session!, number)
    }
  }

  async #pauseUntilDrained(): Promise<void> {
    this.#isPaused = true
    this.channel.pause()
    await this.channel.drained()
    this.#isPaused = false
    this.channel.resume()
  }

  #answer(id: number, call: () => void | Promise<void>): void {
    try {
      const done = call()
      if (done instanceof Promise) done.catch((error: unknown) => this.fail(id, error))
    } catch (error) {
      this.fail(id, error)
    }
  }

  #carryOut(type: number, id: number, body: BodyReader): void | Promise<void> {
    if (type === types.outcome) return this.#outcome(id, body.u32(), body.tid())
    if (type >= types.blobChunk && type <= types.recordedEnd && !storeBlobTypes.has(type)) {
      return this.blobs.carryOut(type, id, body)
    }
    return this.#store.carryOut(type, id, body)
  }

  fail(request: number, error: unknown): void {
    if (error instanceof ProtocolError) {
      this.channel.destroy(error)
      return
    }
    this.#server.failed(error, this.channel.peer, request !== 0)
    if (request === 0) return
    let told = error
    if (this.#server.isClosing && error instanceof ShootoutError && error.code === 'closed') {
      told = new DisconnectedError('the server is shutting down')
    }
    this.channel.send(types.failed, request, 0, writeError(this.channel.fields, told))
  }

  waits(bytes: number): void {
    this.#waitingBytes += bytes
  }

  now(): number {
    return this.#server.settings.timers.now()
  }

  took(type: number, view: number, sinceMs: number): void {
    const ms = this.now() - sinceMs
    if (ms < this.#server.settings.slowMs) return
    this.#server.counts.slow++
    const request = typeNames.get(type) ?? `${type}`
    const facts = { peer: this.channel.peer, client: this.client, view, request, ms: Math.round(ms) }
    this.#server.settings.log({ level: 'warn', event: 'slow', facts })
  }

  // --- Commits --------------------------------------------------------------------------------------------------------

  changesSince(instance: StorageInstance, since: Tid, withData: boolean): Awaitable<Changes> {
    return this.#server.changes.since(instance, since, withData)
  }

  changesBefore(instance: StorageInstance, since: Tid, witness: Kept, withData: boolean): Promise<Changes> {
    return this.#server.changes.sinceBefore(instance, since, witness, withData)
  }

  loaded(count: number): void {
    this.#server.counts.loads += count
  }

  // --- Reading ahead --------------------------------------------------------------------------------------------------

  get background(): Background {
    return this.#server.background
  }

  get references() {
    return this.#server.settings.references
  }

  get known(): KnownObjects {
    this.#known ??= new KnownObjects()
    return this.#known
  }

  sent(oid: Oid): void {
    this.#known?.add(oid)
  }

  changed(oids: Iterable<Oid> | 'all'): void {
    if (this.#known === undefined) return
    if (oids === 'all') this.#known.clear()
    else for (const oid of oids) this.#known.delete(oid)
  }

  sentAlong(count: number, bytes: number): void {
    this.#server.counts.neighbours += count
    this.#server.counts.neighbourBytes += bytes
  }

  sentAhead(count: number): void {
    this.#server.counts.prefetched += count
  }

  begin(view: ServedView, number: number): boolean {
    return this.#server.outcomes.begin(this.#session!, view.number, number, () => void view.abandon())
  }

  holding(): Cancel {
    const { limits, timers } = this.#server.settings
    this.holdingCount++
    const cancel = timers.limit(limits.votedMs, () => {
      this.drop(`a transaction has been voted for ${limits.votedMs} ms without being finished`)
    })
    return () => {
      this.holdingCount--
      cancel()
    }
  }

  commitsOf(view: ServedView): Commits {
    const { outcomes } = this.#server
    const session = this.#session!
    return {
      queue: this.#server.commitQueue,
      finishing: (number) => outcomes.finishing(session, view.number, number),
      announce: (request, tid) => {
        this.#announced.push({ request, tid })
      },
      committed: (number, request, tid) => {
        outcomes.committed(session, view.number, number, tid)
        this.#server.committed(this)
        const place = this.#announced.findIndex((one) => one.request === request)
        // Not there any more: an answer that shows it went out before.
        if (place !== -1) this.#announced.splice(place, 1)
        if (place !== -1) this.#sendFinished(request, tid)
      },
      lost: (number) => outcomes.lost(session, view.number, number),
    }
  }

  showing(tid: Tid): void {
    if (this.#announced.length === 0) return
    for (const one of this.#announced.filter((announced) => announced.tid <= tid)) {
      this.#announced.splice(this.#announced.indexOf(one), 1)
      this.#sendFinished(one.request, one.tid)
    }
  }

  #sendFinished(request: number, tid: Tid): void {
    this.channel.send(types.reply, request, 0, this.channel.fields.id(tid).take())
  }

  async #outcome(id: number, view: number, number: number): Promise<void> {
    const outcome = await this.#server.outcomes.ask(this.#session!, view, number)
    const { fields } = this.channel
    if (typeof outcome === 'string') fields.u8(outcome === 'unknown' ? 2 : 0).id(noTid)
    else fields.u8(1).id(outcome.tid)
    this.channel.send(types.reply, id, 0, fields.take())
  }

  // --- The end --------------------------------------------------------------------------------------------------------

  #onClosed(error: Error | undefined): void {
    this.#cancelGreeting()
    for (const view of this.#views.values()) view.release()
    this.#views.clear()
    this.#answer(0, () => this.#store.end())
    this.#answer(0, () => this.blobs.end())
    if (this.#session !== undefined) this.#server.outcomes.leave(this.#session)
    this.#server.left(this, error)
  }
}
