/** The data of a commit in one piece, with a table of contents: one bound value, however many objects. */

import type { Change } from './adapter.ts'

export interface PackedRows {
  readonly oids: readonly number[]
  /** Position of each object's first byte, counted from 1 as SQL does. */
  readonly starts: readonly number[]
  /** −1 for a deletion. */
  readonly lengths: readonly number[]
  readonly contents: Buffer
}

export function packRows(changes: readonly Change[]): PackedRows {
  let start = 1
  const starts: number[] = []
  const lengths: number[] = []
  const parts: Uint8Array[] = []
  for (const { data } of changes) {
    starts.push(start)
    lengths.push(data === null ? -1 : data.length)
    if (data === null) continue
    parts.push(data)
    start += data.length
  }
  return { oids: changes.map(({ oid }) => oid), starts, lengths, contents: Buffer.concat(parts) }
}
