/** A blob, cut into pieces of equal length (the last one may be shorter), wherever they come from. */

import type { Awaitable } from '../../../core/awaitable.ts'

export interface BlobShape {
  readonly bytes: number
  readonly pieceBytes: number
}

export interface BlobPieces {
  /** Pieces count from 0. @throws CorruptDataError when it is not as long as it must be */
  get(number: number): Awaitable<Uint8Array>
  close(): Awaitable<void>
}

export function pieceCount({ bytes, pieceBytes }: BlobShape): number {
  return Math.ceil(bytes / pieceBytes)
}

export function pieceLength({ bytes, pieceBytes }: BlobShape, number: number): number {
  return Math.min(pieceBytes, bytes - number * pieceBytes)
}
