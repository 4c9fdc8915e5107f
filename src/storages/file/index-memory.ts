/**
 * Memory for the index of a log. The whole address range is set aside at once, because shared memory that grows costs
 * ten times more per access on Node 20; the system supplies memory only where it is touched.
 */

import { bytesPerPage, PositionIndex } from './position-index.ts'

/** Regions of closed logs, empty. */
const spareBuffers: SharedArrayBuffer[] = []

/**
 * Address space for an index of at most `bytes`; less where the system refuses so much. Given back with
 * `releaseIndexBuffer`, it is used again: the collector of garbage does not see how large shared memory is, and hundreds
 * of closed logs would use up what a process may reserve, so that it could not even start another one.
 */
export function acquireIndexBuffer(bytes: number): SharedArrayBuffer {
  const wanted = Math.max(bytes, 64 * bytesPerPage)
  const at = spareBuffers.findIndex((spare) => spare.byteLength === wanted)
  if (at >= 0) return spareBuffers.splice(at, 1)[0]!
  for (let size = wanted; ; size = Math.floor(size / 2)) {
    try {
      return new SharedArrayBuffer(size)
    } catch (error) {
      if (!(error instanceof RangeError) || size < 1 << 20) throw error
    }
  }
}

/** No thread may use it any more. */
export function releaseIndexBuffer(buffer: SharedArrayBuffer): void {
  new PositionIndex(buffer, 0).clear()
  spareBuffers.push(buffer)
}
