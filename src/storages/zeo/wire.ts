/**
 * A wire: a reliable, ordered stream of bytes both ways. Sockets are wires; tests put a simulated network in their
 * place. Nothing above this file knows about sockets.
 */

import type { Socket } from 'node:net'
import { collectYoung } from './garbage.ts'

export interface WireEvents {
  /** @param chunk valid during the call only */
  data(chunk: Uint8Array): void
  /** Everything written has been handed over. */
  drained(): void
  /** The wire is gone; nothing follows. Called once. */
  closed(error: Error | undefined): void
}

export interface Wire {
  /** Bytes written here that the system has not taken yet. */
  readonly queuedBytes: number
  /** Who it is, for logs. */
  readonly peer: string
  /** Called once, at once: nothing is delivered before. */
  listen(events: WireEvents): void
  /** Takes the pieces as they are; they must not change any more. */
  write(pieces: readonly Uint8Array[]): void
  /** Delivers no more data until `resume`. */
  pause(): void
  resume(): void
  /** Closes once everything written has been sent. */
  end(): void
  /** Closes now. */
  destroy(): void
}

/** What a socket that reads into one buffer calls; see `onread` of `net.connect`. */
export interface ReadTarget {
  data(chunk: Uint8Array): void
}

/** Pieces of at least this size are a part of something large; small messages never come to this. */
const bulkChunkBytes = 16 * 1024
/** So much of it is read before the buffers that it was read into are collected. */
const collectedBytes = 8 * 1024 * 1024

export class SocketWire implements Wire {
  readonly peer: string
  readonly #socket: Socket
  readonly #reader: ReadTarget | undefined

  /** @param reader where the socket delivers its data, when it has been made with `onread` */
  constructor(socket: Socket, reader?: ReadTarget) {
    this.#socket = socket
    this.#reader = reader
    this.peer = socket.remoteAddress === undefined ? 'local' : `${socket.remoteAddress}:${socket.remotePort}`
    socket.setNoDelay(true)
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  listen(events: WireEvents): void {
    const socket = this.#socket
    let failure: Error | undefined
    let bulkBytes = 0
    const onData = (chunk: Buffer): void => {
      events.data(chunk)
      if (chunk.length >= bulkChunkBytes) bulkBytes += chunk.length
      if (bulkBytes < collectedBytes) return
      bulkBytes = 0
      collectYoung()
    }
    if (this.#reader === undefined) socket.on('data', onData)
    else this.#reader.data = (chunk) => events.data(chunk)
    socket.on('drain', () => events.drained())
    socket.on('error', (error) => {
      failure = error
    })
    // A peer that has ended its side has gone: half-open connections have no use here.
    socket.on('end', () => socket.destroy())
    socket.on('close', () => events.closed(failure))
  }

  write(pieces: readonly Uint8Array[]): void {
    const socket = this.#socket
    if (socket.destroyed) return
    if (pieces.length === 1) {
      socket.write(pieces[0]!)
      return
    }
    socket.cork()
    for (const piece of pieces) socket.write(piece)
    socket.uncork()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
