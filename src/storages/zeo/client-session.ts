/**
 * The client's connection to its server, for as long as the storage is open: dials, and dials again with growing
 * pauses when the connection is lost. What was under way when it was lost fails; what begins afterwards waits for the
 * next link. While the server is a read-only one that had to do, a writable one is looked for.
 */

import { randomBytes } from 'node:crypto'
import { ClosedError, DisconnectedError, describeError, ShootoutError } from '../../core/errors.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import type { BodyReader } from './body.ts'
import { Dialer, type ServerPlace } from './dialer.ts'
import type { Welcome } from './handshake.ts'
import type { Link } from './link.ts'
import { nonceBytes } from './protocol.ts'
import type { Timers } from './timers.ts'

export interface SessionSettings {
  /** Tried in this order. */
  readonly servers: readonly ServerPlace[]
  readonly token: string
  readonly readOnly: boolean
  /** A read-only server will do while no other answers. */
  readonly readOnlyFallback: boolean
  /** How long a call waits for a connection, ms; 0: not at all. */
  readonly waitMs: number
  readonly timers: Timers
  log(message: string): void
}

export interface SessionEvents {
  changed(body: BodyReader): void
  zapped(): void
  objects(link: Link, view: number, body: BodyReader): void
  /** Another run of the server has answered; whether it serves the same store as before is not proven. */
  restarted(welcome: Welcome): void
  lost(): void
}

/** The first pause and the longest, ms. */
const pauseMsMin = 5
const pauseMsMax = 2000
/** While a read-only server has to do, a writable one is looked for this often, ms. */
const seekMs = 2000

export class ClientSession {
  readonly #settings: SessionSettings
  readonly #events: SessionEvents
  readonly #dialer: Dialer
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
    this.#dialer = new Dialer(settings, new Uint8Array(randomBytes(nonceBytes)), {
      changed: (body) => this.#events.changed(body),
      zapped: () => this.#events.zapped(),
      objects: (link, view, body) => this.#events.objects(link, view, body),
      lost: (lost) => this.#onLost(lost),
    })
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
    this.#adopt(await this.#dial())
  }

  close(): void {
    this.#isClosed = true
    this.#link?.end()
    this.#retire()
  }

  #await(dialing: Promise<Link>): Promise<Link> {
    const { timers, waitMs } = this.#settings
    const address = this.#dialer.addresses
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
        return this.#adopt(await this.#dial())
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

  async #dial(writableOnly = false): Promise<Link> {
    const link = await this.#dialer.connect((found) => this.#checkServer(found), writableOnly)
    if (!this.#isClosed) return link
    link.end()
    throw new ClosedError('the storage')
  }

  /** The link is the one to use from now on. */
  #adopt(link: Link): Link {
    const { welcome } = link
    const previous = this.#welcome
    this.#link = link
    this.#welcome = welcome
    if (previous !== undefined && !sameBytes(previous.run, welcome.run)) this.#events.restarted(welcome)
    if (welcome.isReadOnly && !this.#settings.readOnly) this.#seekWritable(link)
    return link
  }

  #seekWritable(link: Link): void {
    this.#settings.timers.after(seekMs, () => void this.#seek(link))
  }

  /** Never throws: nobody waits for it. */
  async #seek(link: Link): Promise<void> {
    if (this.#link !== link || this.#isClosed) return
    let found: Link
    try {
      found = await this.#dial(true)
    } catch (error) {
      // There is none yet: the read-only one still does. What else is wrong, somebody should know.
      if (!(error instanceof DisconnectedError)) this.#settings.log(describeError(error))
      this.#seekWritable(link)
      return
    }
    this.#settings.log(`found a server that takes writes: ${found.address}`)
    this.#retire()
    link.destroy(new Error('there is a server that takes writes'))
    this.#events.lost()
    this.#adopt(found)
  }

  /** @throws ShootoutError `server-changed` */
  #checkServer(link: Link): void {
    const { welcome, address } = link
    const previous = this.#welcome
    if (previous !== undefined && sameBytes(previous.run, welcome.run) && previous.zaps !== welcome.zaps) {
      this.#events.zapped()
    }
    if (welcome.lastTid >= this.#lastTid) return
    throw new ShootoutError(
      'server-changed',
      `zeo: the server at ${address} is at transaction ${welcome.lastTid}, but ${this.#lastTid} has been seen there; ` +
        'it serves another database now, or an older state of it. Open the storage anew',
      { details: { address, lastTid: welcome.lastTid, seenTid: this.#lastTid } },
    )
  }

  #onLost(lost: Link): void {
    if (this.#link !== lost) return
    this.#retire()
    this.#events.lost()
    if (this.#isClosed) return
    this.#settings.log(`the connection to ${lost.address} was lost; connecting again`)
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
