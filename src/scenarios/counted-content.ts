/**
 * Content of objects that all workers change: after the header it counts the changes of each worker, 4 bytes for each.
 * A lost update shows in the count of whoever made it, without the workers having to compare notes.
 */

import { headerBytes, type Payload, readUint32, sharedOwner, versionOf, writeUint32 } from './payload.ts'
import { mustEqual } from './prove.ts'

/** Bytes to reserve for each worker. */
export const countBytes = 4

/** The content after one more change by `worker`. */
export function countChange(content: Uint8Array, worker: number): Uint8Array {
  const changed = content.slice()
  const place = headerBytes + worker * countBytes
  writeUint32(changed, 8, versionOf(content) + 1)
  writeUint32(changed, place, readUint32(content, place) + 1)
  return changed
}

/** How often `worker` has changed the object. */
export function changesOf(content: Uint8Array, worker: number): number {
  return readUint32(content, headerBytes + worker * countBytes)
}

/** The version is the number of all changes. @throws VerificationError */
export function checkSum(content: Uint8Array, workers: number, index: number): void {
  let sum = 0
  for (let worker = 0; worker < workers; worker++) sum += changesOf(content, worker)
  mustEqual(`shared object ${index}, sum of all workers’ changes`, sum, versionOf(content))
}

/** But for version and counts an object is still what the data set said. @throws VerificationError */
export function checkFiller(payload: Payload, content: Uint8Array, index: number): void {
  const original = content.slice()
  writeUint32(original, 8, 0)
  payload.check(original, sharedOwner, index, 0, `shared object ${index}`)
}
