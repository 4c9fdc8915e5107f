/** Wires for tests: one that records, and a pair that carries bytes between two ends in pieces of a given size. */

import type { Wire, WireEvents } from '../../../src/storages/zeo/wire.ts'

export class RecordingWire implements Wire {
  readonly peer = 'test'
  readonly pieces: Uint8Array[] = []
  queuedBytes = 0
  events: WireEvents | undefined
  listen(events: WireEvents): void {
    this.events = events
  }
  write(pieces: readonly Uint8Array[]): void {
    this.pieces.push(...pieces)
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.pieces))
  }
}

/** One end of a pair. What is written arrives at the other end in a later task, in order, cut into pieces. */
export class PairedWire implements Wire {
  readonly peer = 'pair'
  other!: PairedWire
  events: WireEvents | undefined
  readonly #pieceBytes: number
  #arriving: Uint8Array[] = []
  #isPaused = false
  #isEnding = false
  #isClosed = false
  #isScheduled = false

  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes
  }

  get queuedBytes(): number {
    return this.other.#arriving.reduce((sum, piece) => sum + piece.length, 0)
  }

  listen(events: WireEvents): void {
    this.events = events
  }

  write(pieces: readonly Uint8Array[]): void {
    if (this.#isClosed) return
    this.other.#arriving.push(...pieces)
    this.other.#schedule()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#schedule()
  }

  end(): void {
    this.#isEnding = true
    this.other.#schedule()
  }

  destroy(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { other } = this
    setImmediate(() => {
      this.events?.closed(undefined)
      other.destroy()
    })
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    if (this.#isPaused || this.#isClosed) return
    const bytes = Buffer.concat(this.#arriving)
    this.#arriving = []
    for (let at = 0; at < bytes.length && !this.#isClosed; at += this.#pieceBytes) {
      // A copy that is wiped afterwards: who keeps a view of it is found out.
      const piece = new Uint8Array(bytes.subarray(at, at + this.#pieceBytes))
      this.events?.data(piece)
      piece.fill(0xee)
    }
    this.other.events?.drained()
    if (this.other.#isEnding) this.destroy()
  }
}

export function wirePair(pieceBytes: number): [PairedWire, PairedWire] {
  const a = new PairedWire(pieceBytes)
  const b = new PairedWire(pieceBytes)
  a.other = b
  b.other = a
  return [a, b]
}
