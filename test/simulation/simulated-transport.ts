/**
 * A simulated network under a virtual clock, in place of sockets.
 *
 * Fault model: what is written arrives in order, after a delay drawn for each piece, cut into segments at random places.
 * Connections are independent: what two of them carry may overtake each other. At a chosen segment, counted over the
 * whole network, its connection is cut: that segment and everything still under way on it is lost, in both directions,
 * and each end hears of it after a delay of its own. While the network is silent everything that arrives is lost, and
 * who closes its end is not heard of at the other. Nothing else is lost, doubled or changed.
 *
 * Time passes only when everybody waits. The same seed gives the same run.
 */

import type { Random } from '../../src/core/random.ts'
import type { Cancel, Timers } from '../../src/storages/zeo/timers.ts'
import type { Wire, WireEvents } from '../../src/storages/zeo/wire.ts'

interface Planned {
  readonly at: number
  readonly order: number
  readonly call: () => void
}

export class VirtualTimers implements Timers {
  #now = 0
  #order = 0
  #planned: Planned[] = []

  now(): number {
    return this.#now
  }

  after(delayMs: number, call: () => void): Cancel {
    const one = { at: this.#now + delayMs, order: this.#order++, call }
    this.#planned.push(one)
    return () => {
      const place = this.#planned.indexOf(one)
      if (place !== -1) this.#planned.splice(place, 1)
    }
  }

  /** Time passes only when what has arrived was heard. */
  limit(delayMs: number, call: () => void): Cancel {
    return this.after(delayMs, call)
  }

  /** Lets time pass until `work` is done. @throws when nothing is left to happen, or too much has happened */
  async run<T>(work: Promise<T>, stepsMax = 200_000): Promise<T> {
    let isDone = false
    const watched = work.finally(() => {
      isDone = true
    })
    watched.catch(() => {})
    for (let steps = 0; ; steps++) {
      // An immediate runs after all promises have settled that could.
      await new Promise((resolve) => setImmediate(resolve))
      if (isDone) return await watched
      if (steps > stepsMax) throw new Error(`not done after ${stepsMax} events, at ${this.#now} ms`)
      this.#step()
    }
  }

  #step(): void {
    let next: Planned | undefined
    for (const one of this.#planned) {
      if (next === undefined || one.at < next.at || (one.at === next.at && one.order < next.order)) next = one
    }
    if (next === undefined) throw new Error(`everybody waits for ever, at ${this.#now} ms`)
    this.#planned.splice(this.#planned.indexOf(next), 1)
    this.#now = next.at
    next.call()
  }
}

export interface NetworkSettings {
  readonly timers: VirtualTimers
  readonly random: Random
  /** Delays of one piece, ms. */
  readonly delayMs: readonly [min: number, max: number]
  /** The segment at which its connection is cut, counted from 1; more may be given. */
  readonly cutAt?: ReadonlySet<number>
}

export class SimulatedNetwork {
  readonly settings: NetworkSettings
  /** Segments that have arrived. */
  segments = 0
  cuts = 0
  isSilent = false

  constructor(settings: NetworkSettings) {
    this.settings = settings
  }

  /** A connection; `accept` is handed the server's end. */
  connect(accept: (wire: Wire) => void): Promise<Wire> {
    const client = new SimulatedWire(this)
    const server = new SimulatedWire(this)
    client.other = server
    server.other = client
    return new Promise((resolve) => {
      this.settings.timers.after(this.delay(), () => {
        accept(server)
        resolve(client)
      })
    })
  }

  delay(): number {
    const [min, max] = this.settings.delayMs
    return min + (max - min) * this.settings.random.float()
  }

  /** True when the connection is to be cut now. */
  arrived(): boolean {
    this.segments++
    if (this.settings.cutAt?.has(this.segments) !== true) return false
    this.cuts++
    return true
  }
}

class SimulatedWire implements Wire {
  readonly peer = 'simulated'
  queuedBytes = 0
  other!: SimulatedWire
  readonly #network: SimulatedNetwork
  #events: WireEvents | undefined
  #isCut = false
  #isClosed = false
  #isEnding = false
  #isPaused = false
  #arriving: Uint8Array[] = []
  /** Nothing arrives before what was written before it. */
  #lastArrival = 0

  constructor(network: SimulatedNetwork) {
    this.#network = network
  }

  listen(events: WireEvents): void {
    this.#events = events
    this.#deliver()
  }

  write(pieces: readonly Uint8Array[]): void {
    if (this.#isCut || this.#isClosed) return
    const { timers, random } = this.#network.settings
    const bytes = new Uint8Array(Buffer.concat(pieces))
    for (let from = 0; from < bytes.length; ) {
      const length = random.float() < 0.7 ? bytes.length - from : 1 + random.integer(bytes.length - from)
      const segment = bytes.slice(from, from + length)
      from += length
      const at = Math.max(timers.now() + this.#network.delay(), this.#lastArrival)
      this.#lastArrival = at
      timers.after(at - timers.now(), () => this.other.#arrive(segment))
    }
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliver()
  }

  end(): void {
    this.#isEnding = true
    const { timers } = this.#network.settings
    timers.after(Math.max(0, this.#lastArrival - timers.now()), () => this.destroy())
  }

  destroy(): void {
    if (this.#isEnding) this.#isEnding = false
    this.#cut()
  }

  #cut(): void {
    if (this.#isCut) return
    const { timers } = this.#network.settings
    for (const end of this.#network.isSilent ? [this] : [this, this.other]) {
      end.#isCut = true
      timers.after(this.#network.delay(), () => end.#close())
    }
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events?.closed(undefined)
  }

  #arrive(segment: Uint8Array): void {
    if (this.#isCut || this.#isClosed || this.#network.isSilent) return
    if (this.#network.arrived()) {
      this.#cut()
      return
    }
    this.#arriving.push(segment)
    this.#deliver()
  }

  #deliver(): void {
    if (this.#isPaused || this.#events === undefined) return
    for (const segment of this.#arriving.splice(0)) {
      this.#events.data(segment)
      segment.fill(0xee)
    }
  }
}
