/**
 * The client's connection to its server, for as long as the storage is open: dials, and dials again with growing
 * pauses when the connection is lost. What was under way when it was lost fails; what begins afterwards waits for the
 * next link.
 */

import { randomBytes } from 'node:crypto'
import { ClosedError, DisconnectedError, ShootoutError } from '../../core/errors.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import type { BodyReader } from './body.ts'
import { Link } from './link.ts'
import type { Welcome } from './messages.ts'
import { helloReadOnly, nonceBytes } from './protocol.ts'
import type { Timers } from './timers.ts'
import type { Wire } from './wire.ts'

export interface SessionSettings {
  /** Makes a wire to the server. */
  dial(): Promise<Wire>
  /** Named in errors. */
  readonly address: string
  readonly token: string
  readonly readOnly: boolean
  /** How long a call waits for a connection, ms. */
  readonly waitMs: number
  readonly timers: Timers
  log(message: string): void
}

export interface SessionEvents {
  changed(body: BodyReader): void
  zapped(): void
  /** Another run of the server has answered; whether it serves the same store as before is not proven. */
  restarted(welcome: Welcome): void
  lost(): void
}

/** The first pause, the longest, and the limit of one attempt, ms. */
const pauseMsMin = 5
const pauseMsMax = 2000
const greetingMs = 10_000

export class ClientSession {
  readonly #settings: SessionSettings
  readonly #events: SessionEvents
  readonly #session = new Uint8Array(randomBytes(nonceBytes))
  #link: Link | undefined
  #dialing: Promise<Link> | undefined
  /** Why no connection will ever come again. */
  #refusal: Error | undefined
  #isClosed = false
  /** Newest transaction that anybody here has seen, for recognising another database in the place of ours. */
  #lastTid: Tid = noTid
  #welcome: Welcome | undefined
  /** Of links that are gone. */
  #bytesRead = 0
  #bytesWritten = 0

  constructor(settings: SessionSettings, events: SessionEvents) {
    this.#settings = settings
    this.#events = events
  }

  get bytesRead(): number {
    return this.#bytesRead + (this.#link?.bytesRead ?? 0)
  }

  get bytesWritten(): number {
    return this.#bytesWritten + (this.#link?.bytesWritten ?? 0)
  }

  /** Of the newest connection. */
  get welcome(): Welcome {
    return this.#welcome!
  }

  seen(tid: Tid): void {
    if (tid > this.#lastTid) this.#lastTid = tid
  }

  /** The store was emptied: tids start again. */
  forget(): void {
    this.#lastTid = noTid
  }

  /** The link that is there, or a promise of the next. @throws DisconnectedError after `waitMs` without one */
  link(): Link | Promise<Link> {
    if (this.#link !== undefined) return this.#link
    if (this.#isClosed) throw new ClosedError('the storage')
    if (this.#refusal !== undefined) throw this.#refusal
    return this.#await(this.#dialing ?? this.#redial())
  }

  /** Connects for the first time: one attempt, whose failure is the caller's. */
  async open(): Promise<void> {
    this.#link = await this.#dial()
  }

  close(): void {
    this.#isClosed = true
    this.#link?.end()
    this.#retire()
  }

  #await(dialing: Promise<Link>): Promise<Link> {
    const { timers, waitMs, address } = this.#settings
    return new Promise((resolve, reject) => {
      const cancel = timers.after(waitMs, () =>
        reject(
          new DisconnectedError(
            `zeo: no connection to ${address} within ${waitMs} ms; is the server running?`,
          ),
        ),
      )
      dialing.then(resolve, reject).finally(cancel).catch(reject)
    })
  }

  #redial(): Promise<Link> {
    const dialing = this.#dialUntilConnected()
    this.#dialing = dialing
    // Whoever waits hears of a failure; when nobody does, the next call tries again or is told the refusal.
    dialing.then(
      () => {
        this.#dialing = undefined
      },
      () => {
        this.#dialing = undefined
      },
    )
    return dialing
  }

  async #dialUntilConnected(): Promise<Link> {
    const { timers } = this.#settings
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      if (this.#isClosed) throw new ClosedError('the storage')
      try {
        this.#link = await this.#dial()
        return this.#link
      } catch (error) {
        if (!(error instanceof DisconnectedError)) {
          // The server has answered, and will answer the same again.
          this.#refusal = error as Error
          throw error
        }
      }
      // Clients that lost the same server shall not all come back at the same moment.
      const jitteredMs = pauseMs * (0.5 + Math.random() / 2)
      await new Promise<void>((resolve) => {
        timers.after(jitteredMs, resolve)
      })
    }
  }

  async #dial(): Promise<Link> {
    const { address, token, readOnly, timers } = this.#settings
    let wire: Wire
    try {
      wire = await this.#settings.dial()
    } catch (cause) {
      if (cause instanceof ShootoutError) throw cause
      throw new DisconnectedError(
        `zeo: cannot connect to ${address} (${(cause as Error).message}); start a server with "shootout serve"`,
        { cause },
      )
    }
    const link = await Link.open(wire, {
      address,
      greetingMs,
      timers,
      hello: {
        flags: readOnly ? helloReadOnly : 0,
        session: this.#session,
        token: new TextEncoder().encode(token),
      },
      notices: {
        changed: (body) => this.#events.changed(body),
        zapped: () => this.#events.zapped(),
        lost: (lost) => this.#onLost(lost),
      },
    })
    if (this.#isClosed) {
      link.end()
      throw new ClosedError('the storage')
    }
    this.#checkServer(link)
    this.#welcome = link.welcome
    return link
  }

  /** @throws ShootoutError `server-changed` */
  #checkServer(link: Link): void {
    const { welcome } = link
    const previous = this.#welcome
    if (previous !== undefined && sameBytes(previous.run, welcome.run) && previous.zaps !== welcome.zaps) {
      this.#events.zapped()
    }
    if (previous !== undefined && !sameBytes(previous.run, welcome.run)) this.#events.restarted(welcome)
    if (welcome.lastTid >= this.#lastTid) return
    const { address } = this.#settings
    const error = new ShootoutError(
      'server-changed',
      `zeo: the server at ${address} is at transaction ${welcome.lastTid}, but ${this.#lastTid} has been seen there; ` +
        'it serves another database now, or an older state of it. Open the storage anew',
      { details: { address, lastTid: welcome.lastTid, seenTid: this.#lastTid } },
    )
    link.destroy(error)
    throw error
  }

  #onLost(lost: Link): void {
    if (this.#link !== lost) return
    this.#retire()
    this.#events.lost()
    if (this.#isClosed) return
    this.#settings.log(`the connection to ${this.#settings.address} was lost; connecting again`)
    void this.#redial()
  }

  #retire(): void {
    this.#bytesRead += this.#link?.bytesRead ?? 0
    this.#bytesWritten += this.#link?.bytesWritten ?? 0
    this.#link = undefined
  }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
