/**
 * Sends a blob, as fast as the server takes it: a window of bytes may be under way, and the server's credits open it
 * again. The source is asked for one chunk at a time, and only when there is room for it.
 */

import type { BlobSource } from '../storage.ts'
import type { Link } from './link.ts'
import { blobWindowBytes, types } from './protocol.ts'

/** Chunks of the source travel in pieces of at most this size. */
const pieceBytesMax = 128 * 1024

export class BlobSender {
  readonly #link: Link
  readonly #view: number
  readonly #number: number
  #room = blobWindowBytes
  #wake: (() => void) | undefined
  readonly #stopped: Promise<never>
  #stop!: (error: unknown) => void

  /** @param number under which the server expects the blob @param view whose messages it must not overtake */
  constructor(link: Link, view: number, number: number) {
    this.#link = link
    this.#view = view
    this.#number = number
    this.#stopped = new Promise((_resolve, reject) => {
      this.#stop = reject
    })
    // Heard of by `send`, where it has begun.
    this.#stopped.catch(() => {})
  }

  credit(bytes: number): void {
    this.#room += bytes
    this.#wake?.()
  }

  /** Takes no more of the source; `send` throws this. */
  stop(error: unknown): void {
    this.#stop(error)
  }

  /** @throws what the source throws, or what `stop` was given; the server has been told then */
  async send(source: BlobSource): Promise<void> {
    const iterator =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    let hasEnded = false
    try {
      for (;;) {
        const next = await Promise.race([iterator.next(), this.#stopped])
        if (next.done === true) break
        await this.#sendChunk(next.value)
      }
      hasEnded = true
      this.#tell(types.blobEnd)
    } catch (error) {
      this.#tell(types.blobFailed)
      throw error
    } finally {
      // Its own failure to end is of no consequence: what matters has been thrown.
      if (!hasEnded) void Promise.resolve(iterator.return?.()).catch(() => {})
    }
  }

  async #sendChunk(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length; from += pieceBytesMax) {
      const piece = chunk.subarray(from, from + pieceBytesMax)
      while (this.#room < piece.length) {
        const room = new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        await Promise.race([room, this.#stopped])
      }
      this.#room -= piece.length
      this.#tell(types.blobChunk, piece)
    }
  }

  #tell(type: number, payload?: Uint8Array): void {
    this.#link.tell(type, this.#view, this.#link.fields.u32(this.#number).take(), payload)
  }
}
