/**
 * One end of a connection: wire, parser and outbox, and the heartbeat. Client and server differ only in who handles
 * the messages and who sends the pings.
 *
 * Messages are handled one after the other, synchronously, in order of arrival. What is sent while a chunk of data is
 * being handled leaves together at its end; what is sent at other times leaves at the end of the current task, or with
 * `sendSoon` at the end of this round of the event loop. Each write wakes the peer, which is most of what a small
 * message costs.
 */

import { ShootoutError } from '../../core/errors.ts'
import { BodyWriter } from './body.ts'
import { FrameParser, type ParserLimits } from './frame-parser.ts'
import { Outbox } from './outbox.ts'
import { types } from './protocol.ts'
import type { Cancel, Timers } from './timers.ts'
import type { Wire } from './wire.ts'

export interface ChannelEvents {
  /** Anything it throws ends the connection. */
  message(type: number, id: number, view: number, body: Uint8Array): void
  /** Once, when the connection is gone; the reason where it is known. */
  closed(error: Error | undefined): void
}

export interface ChannelSettings {
  readonly limits: ParserLimits
  readonly timers: Timers
  /** A peer that has been silent for this long is gone, ms. */
  readonly silenceMs: number
  /** How often to ask. 0: the other side asks. */
  readonly pingMs: number
}

const nothing = new Uint8Array(0)

/** Gathered bytes beyond which nobody waits for more. */
const flushBytes = 64 * 1024

export class Channel {
  /** For the fields of the next message. */
  readonly fields = new BodyWriter()
  readonly parser: FrameParser
  bytesRead = 0
  readonly #wire: Wire
  readonly #outbox: Outbox
  readonly #events: ChannelEvents
  readonly #settings: ChannelSettings
  #pingMs: number
  #isReading = false
  #isPaused = false
  /** Read off the wire before it was paused, and not looked at yet. */
  #unread: Uint8Array[] = []
  #isFlushScheduled = false
  #isLateFlushScheduled = false
  #heardAt: number
  #cancelTimer: Cancel
  #isClosed = false
  #reason: Error | undefined
  #whenDrained: (() => void)[] = []

  constructor(wire: Wire, settings: ChannelSettings, events: ChannelEvents) {
    this.#wire = wire
    this.#settings = settings
    this.#pingMs = settings.pingMs
    this.#events = events
    this.#outbox = new Outbox(wire)
    this.parser = new FrameParser(settings.limits, (type, id, view, body) => {
      if (type === types.ping) this.#pong()
      else if (type !== types.pong) events.message(type, id, view, body)
    })
    this.#heardAt = settings.timers.now()
    this.#cancelTimer = this.#watch()
    wire.listen({
      data: (chunk) => this.#onData(chunk),
      drained: () => this.#onDrained(),
      closed: (error) => this.#onClosed(error),
    })
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get peer(): string {
    return this.#wire.peer
  }

  get queuedBytes(): number {
    return this.#outbox.queuedBytes
  }

  get bytesWritten(): number {
    return this.#outbox.bytesWritten
  }

  /** Sends at the end of the current task. @param payload must not change any more */
  send(
    type: number,
    id: number,
    view: number,
    fields: Uint8Array = nothing,
    payload?: Uint8Array | readonly Uint8Array[],
    lane = 0,
  ): void {
    if (this.#isClosed) return
    this.#outbox.send(type, id, view, fields, payload, lane)
    if (this.#outbox.gatheredBytes >= flushBytes) this.#outbox.flush()
    else this.#schedule()
  }

  /** As `send`, when nothing else is left to be sent: for what nobody waits for. */
  sendBehind(
    type: number,
    id: number,
    view: number,
    fields: Uint8Array = nothing,
    payload?: Uint8Array | readonly Uint8Array[],
    lane = 0,
  ): void {
    if (this.#isClosed) return
    this.#outbox.sendBehind(type, id, view, fields, payload, lane)
    this.#schedule()
  }

  /** As `send`, but may wait for what is sent next: for messages that are nothing without their successors. */
  gather(
    type: number,
    id: number,
    view: number,
    fields: Uint8Array = nothing,
    payload?: Uint8Array | readonly Uint8Array[],
    lane = 0,
  ): void {
    if (this.#isClosed) return
    this.#outbox.send(type, id, view, fields, payload, lane)
    if (this.#outbox.gatheredBytes >= flushBytes) this.#outbox.flush()
  }

  /** Without a body, and waits a moment for what else is sent: for what nobody waits for, and is often followed by more. */
  sendSoon(type: number, id: number, view: number, lane = 0): void {
    this.gather(type, id, view, nothing, undefined, lane)
    if (this.#isReading || this.#isLateFlushScheduled) return
    this.#isLateFlushScheduled = true
    setImmediate(() => {
      this.#isLateFlushScheduled = false
      this.flush()
    })
  }

  /** As the setting `pingMs`, from now on. */
  pingEvery(ms: number): void {
    this.#pingMs = ms
    this.#cancelTimer()
    this.#cancelTimer = this.#watch()
  }

  flush(): void {
    if (!this.#isClosed) this.#outbox.flush()
  }

  /** Resolves when what has been sent has been handed over, or the connection is gone. */
  drained(): Promise<void> {
    if (this.#isClosed || this.queuedBytes === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenDrained.push(resolve)
    })
  }

  /** No more messages are handled until `resume`, not even those that have arrived already. */
  pause(): void {
    this.#isPaused = true
    this.parser.isHeld = true
    this.#wire.pause()
  }

  resume(): void {
    if (this.#isClosed) return
    this.#heardAt = this.#settings.timers.now()
    this.#isPaused = false
    this.parser.isHeld = false
    for (const chunk of this.#unread.splice(0)) this.#onData(chunk)
    if (!this.#isPaused) this.#wire.resume()
  }

  /** Says what is still to be said, then closes. */
  end(): void {
    this.flush()
    this.#wire.end()
  }

  destroy(reason?: Error): void {
    if (this.#isClosed) return
    this.#reason = reason
    this.parser.stop()
    this.#wire.destroy()
    // Whatever follows a destroyed connection need not wait for the system to say so.
    this.#onClosed(undefined)
  }

  /** Where much waits to be read, that will do: who asks again and again and never reads must not fill our memory. */
  #pong(): void {
    if (this.queuedBytes < flushBytes) this.send(types.pong, 0, 0)
  }

  #schedule(): void {
    if (this.#isReading || this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    queueMicrotask(() => {
      this.#isFlushScheduled = false
      this.flush()
    })
  }

  #onData(chunk: Uint8Array): void {
    if (this.#isClosed) return
    if (this.#isPaused) {
      this.#unread.push(chunk.slice())
      return
    }
    this.#heardAt = this.#settings.timers.now()
    this.#isReading = true
    try {
      const read = this.parser.push(chunk)
      this.bytesRead += read
      if (read < chunk.length && this.#isPaused) this.#unread.push(chunk.slice(read))
    } catch (error) {
      this.destroy(error as Error)
    } finally {
      this.#isReading = false
    }
    this.flush()
  }

  #onDrained(): void {
    if (this.#isClosed) return
    this.#outbox.flush()
    if (this.queuedBytes > 0) return
    for (const resolve of this.#whenDrained.splice(0)) resolve()
  }

  #onClosed(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelTimer()
    this.parser.stop()
    this.#unread = []
    for (const resolve of this.#whenDrained.splice(0)) resolve()
    this.#events.closed(this.#reason ?? error)
  }

  #silence(ms: number): ShootoutError {
    const { queuedBytes } = this
    if (!this.#isPaused || queuedBytes === 0) return new ShootoutError('silent', `nothing heard for ${ms} ms`)
    return new ShootoutError(
      'not-reading',
      `${queuedBytes} bytes have waited for ${ms} ms to be read; it is dropped, and may connect again`,
    )
  }

  #watch(): Cancel {
    const { timers, silenceMs } = this.#settings
    const pingMs = this.#pingMs
    const intervalMs = pingMs > 0 ? pingMs : silenceMs
    return timers.after(intervalMs, () => {
      // Whatever was heard meanwhile: the other side wants to hear something, too.
      if (pingMs > 0) this.send(types.ping, 0, 0)
      const cancelNext = this.#watch()
      // What has arrived by now is heard before it is judged: who spoke while this process stood still was not silent.
      const now = timers.now()
      const cancelJudging = timers.limit(0, () => {
        const silentMs = now - this.#heardAt
        // A little short of a whole interval is a whole one: timers are not exact.
        if (silentMs >= silenceMs - 1) this.destroy(this.#silence(Math.round(silentMs)))
      })
      this.#cancelTimer = () => {
        cancelNext()
        cancelJudging()
      }
    })
  }
}
