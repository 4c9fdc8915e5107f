/**
 * The client's end of one connection: handshake, then requests and their answers.
 *
 * An answer is decoded at the moment it arrives, before the next message is looked at, whatever the caller is doing:
 * `decode` is where state changes that must keep the order of arrival. When the connection is lost, every request
 * under way fails with DisconnectedError, and the link is never used again.
 */

import { ClosedError, DisconnectedError, describeError } from '../../core/errors.ts'
import { BodyReader, type BodyWriter } from './body.ts'
import { Channel } from './channel.ts'
import { readError } from './error-codec.ts'
import { type Hello, readVersion, readWelcome, versionError, type Welcome, writeHello } from './handshake.ts'
import { protocolVersion, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'
import type { Timers } from './timers.ts'
import type { Wire } from './wire.ts'

/** What the server says unasked. */
export interface Notices {
  changed(body: BodyReader): void
  zapped(): void
  /** Objects for a view, in which snapshot they say themselves. */
  objects(link: Link, view: number, body: BodyReader): void
  /** The link is lost; requests have been failed already. */
  lost(link: Link): void
}

export interface LinkSettings {
  readonly timers: Timers
  /** For the handshake, ms. */
  readonly greetingMs: number
  readonly hello: Hello
  readonly notices: Notices
  /** Named in errors. */
  readonly address: string
}

interface Request {
  readonly arrived: (body: BodyReader) => void
  readonly part: ((body: BodyReader) => void) | undefined
  readonly fail: (error: Error) => void
}

/** Who waits for the handshake. */
interface Greeted {
  resolve(link: Link): void
  reject(error: Error): void
}

/** Bodies of one connection under assembly, and the largest of them: a gigabyte, as the server's default. */
const clientLimits = { messageBytesMax: 0xffff_ffff, assemblyBytesMax: 0xffff_ffff * 4, streamsMax: 4096 }

/** How often the server is asked to be heard, unless it wants to hear us more often. */
const pingMs = 20_000

export class Link {
  readonly #channel: Channel
  readonly #settings: LinkSettings
  readonly #requests = new Map<number, Request>()
  #lastRequest = 0
  #welcome: Welcome | undefined
  #greeted: Greeted | undefined
  #isEnding = false

  /** Takes the wire and shakes hands. @throws DisconnectedError, or what the server answered */
  static open(wire: Wire, settings: LinkSettings): Promise<Link> {
    return new Promise((resolve, reject) => {
      const cancel = settings.timers.limit(settings.greetingMs, () => {
        link.#channel.destroy(
          new Error('no answer to the handshake; is it a shootout server, and does it use TLS?'),
        )
      })
      const settle =
        <T>(call: (value: T) => void) =>
        (value: T) => {
          cancel()
          call(value)
        }
      const link: Link = new Link(wire, settings, { resolve: settle(resolve), reject: settle(reject) })
    })
  }

  private constructor(wire: Wire, settings: LinkSettings, greeted: Greeted) {
    this.#settings = settings
    this.#greeted = greeted
    this.#channel = new Channel(
      wire,
      { limits: clientLimits, timers: settings.timers, silenceMs: 90_000, pingMs },
      {
        message: (type, id, view, body) => this.#onMessage(type, id, view, new BodyReader(body)),
        closed: (error) => this.#onClosed(error),
      },
    )
    this.#channel.send(types.hello, 0, 0, writeHello(this.#channel.fields, settings.hello))
  }

  /** Of the server. */
  get address(): string {
    return this.#settings.address
  }

  get welcome(): Welcome {
    return this.#welcome!
  }

  get isLost(): boolean {
    return this.#channel.isClosed || this.#isEnding
  }

  /** For the fields of the next message. */
  get fields(): BodyWriter {
    return this.#channel.fields
  }

  get bytesRead(): number {
    return this.#channel.bytesRead
  }

  get bytesWritten(): number {
    return this.#channel.bytesWritten
  }

  /**
   * Sends a request.
   * @param decode called with the answer when it arrives; what it returns is the result
   * @param part called with each piece that comes before the answer
   * @throws DisconnectedError, the server's error, or what `decode` throws
   */
  call<T>(
    type: number,
    view: number,
    fields: Uint8Array,
    decode: (body: BodyReader) => T,
    part?: (body: BodyReader) => void,
    payload?: Uint8Array | readonly Uint8Array[],
  ): Promise<T> {
    return this.#request(decode, part, (id) => this.#channel.send(type, id, view, fields, payload, view))
  }

  /** As `call`, but everything else goes first, here and in the server. */
  callBehind<T>(type: number, view: number, fields: Uint8Array, decode: (body: BodyReader) => T): Promise<T> {
    return this.#request(decode, undefined, (id) => this.#channel.sendBehind(type, id, view, fields))
  }

  #request<T>(
    decode: (body: BodyReader) => T,
    part: ((body: BodyReader) => void) | undefined,
    send: (id: number) => void,
  ): Promise<T> {
    if (this.isLost) return Promise.reject(this.lostError())
    const id = this.#newId()
    return new Promise<T>((resolve, fail) => {
      const arrived = (body: BodyReader) => resolve(decode(body))
      this.#requests.set(id, { arrived, part, fail })
      send(id)
    })
  }

  /** Sends what needs no answer, soon. */
  tell(type: number, view: number, fields?: Uint8Array, payload?: Uint8Array): void {
    this.#channel.send(type, 0, view, fields, payload, view)
  }

  /** Sends what needs no answer with what follows in this round of the event loop, or at its end. */
  tellSoon(type: number, view: number): void {
    this.#channel.sendSoon(type, 0, view, view)
  }

  /** Sends what needs no answer behind everything else. */
  tellBehind(type: number, view: number, fields?: Uint8Array): void {
    this.#channel.sendBehind(type, 0, view, fields)
  }

  /** Sends what needs no answer together with what follows. @param payload must not change any more */
  gather(type: number, view: number, fields: Uint8Array, payload?: Uint8Array): void {
    this.#channel.gather(type, 0, view, fields, payload, view)
  }

  /** Id of the request sent last, for `cancel`. */
  get lastRequest(): number {
    return this.#lastRequest
  }

  lostError(cause?: unknown): Error {
    if (this.#isEnding) return new ClosedError('the storage')
    return new DisconnectedError(
      `zeo: the connection to ${this.#settings.address} was lost; repeat the transaction`,
      cause === undefined ? {} : { cause },
    )
  }

  /** Sends what is queued and ends; requests under way fail with ClosedError. */
  end(): void {
    if (this.isLost) return
    this.#isEnding = true
    this.#channel.end()
    this.#failAll(this.lostError())
  }

  destroy(reason: Error): void {
    this.#channel.destroy(reason)
  }

  #newId(): number {
    // 0 means "no answer wanted". Ids come round after four thousand million requests, when the first are long done.
    do {
      this.#lastRequest = (this.#lastRequest + 1) >>> 0
    } while (this.#lastRequest === 0 || this.#requests.has(this.#lastRequest))
    return this.#lastRequest
  }

  #onMessage(type: number, id: number, view: number, body: BodyReader): void {
    if (this.#greeted !== undefined) {
      this.#onGreeting(type, body, this.#greeted)
      return
    }
    switch (type) {
      case types.reply:
        this.#onReply(id, body)
        return
      case types.part: {
        const request = this.#requests.get(id)
        if (request?.part === undefined)
          throw new ProtocolError(`a part of request ${id}, which expects none`)
        request.part(body)
        return
      }
      case types.failed: {
        const request = this.#take(id)
        request.fail(readError(body))
        return
      }
      case types.objects:
        this.#settings.notices.objects(this, view, body)
        return
      case types.changed:
        this.#settings.notices.changed(body)
        return
      case types.zapped:
        this.#settings.notices.zapped()
        return
      case types.goodbye:
        // The connection's end follows, and says all there is to know.
        return
      default:
        throw new ProtocolError(`the server sent a message of type ${type}`)
    }
  }

  #onGreeting(type: number, body: BodyReader, greeted: Greeted): void {
    this.#greeted = undefined
    try {
      this.#welcome = this.#readWelcome(type, body)
    } catch (error) {
      greeted.reject(error as Error)
      this.#channel.destroy()
      return
    }
    this.#channel.pingEvery(Math.min(pingMs, this.#welcome.pingMs))
    greeted.resolve(this)
  }

  #readWelcome(type: number, body: BodyReader): Welcome {
    const { address } = this.#settings
    if (type === types.failed) throw readError(body)
    if (type !== types.welcome) throw new ProtocolError(`${address} is not a shootout server`)
    const version = readVersion(body)
    if (version !== protocolVersion) throw versionError(`the server at ${address}`, version, 'this client')
    return readWelcome(body)
  }

  #onReply(id: number, body: BodyReader): void {
    const request = this.#take(id)
    try {
      request.arrived(body)
    } catch (error) {
      request.fail(error as Error)
      // The caller hears of it; but a server whose answers cannot be read is not to be talked to.
      if (error instanceof ProtocolError) throw error
    }
  }

  #take(id: number): Request {
    const request = this.#requests.get(id)
    if (request === undefined) throw new ProtocolError(`an answer to request ${id}, which was not made`)
    this.#requests.delete(id)
    return request
  }

  #onClosed(error: Error | undefined): void {
    if (this.#greeted !== undefined) {
      const reason = error === undefined ? 'it closed the connection' : describeError(error)
      this.#greeted.reject(
        new DisconnectedError(`zeo: cannot connect to ${this.#settings.address} (${reason})`, {
          cause: error,
        }),
      )
      this.#greeted = undefined
      return
    }
    this.#failAll(this.lostError(error))
    this.#settings.notices.lost(this)
  }

  #failAll(error: Error): void {
    const requests = [...this.#requests.values()]
    this.#requests.clear()
    for (const request of requests) request.fail(error)
  }
}
