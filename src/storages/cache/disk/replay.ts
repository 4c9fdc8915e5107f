/** What the records of a segment did to the entries, done again: how the disk cache learns what it has on opening. */

import type { Oid, Tid } from '../../../core/ids.ts'
import type { DiskEntries } from './entries.ts'
import { type Batch, kinds } from './segment.ts'

/**
 * @param horizon at the beginning of the segment
 * @param recordGone called for entries for which there is no room, or no wish, any more
 * @returns the horizon at its end
 */
export function replay(
  batches: readonly Batch[],
  slot: number,
  horizon: Tid,
  entries: DiskEntries,
  recordGone: (oid: Oid, tid: Tid) => void,
): Tid {
  let newest = horizon
  const pushOut = (other: number) => recordGone(entries.oidOf(other), entries.tidOf(other))
  for (const { doubles, words } of batches) {
    for (let record = 0; record < words.length / 8; record++) {
      const oid = doubles[record * 4] as Oid
      const tid = doubles[record * 4 + 1] as Tid
      const kind = words[record * 8 + 7]
      if (kind === kinds.horizon) {
        newest = tid
        continue
      }
      if (kind === kinds.doubt) {
        entries.doubt()
        continue
      }
      const node = entries.find(oid)
      if (kind === kinds.confirmed) {
        if (node !== 0 && entries.tidOf(node) === tid) entries.setProven(node)
        continue
      }
      if (node !== 0) entries.remove(node)
      if (kind === kinds.gone) continue
      const length = words[record * 8 + 5]!
      const added = entries.add(oid, tid, length, false, pushOut)
      if (added === 0) {
        recordGone(oid, tid)
        continue
      }
      entries.setPlace(added, slot, words[record * 8 + 4]!, words[record * 8 + 6]!)
      if (kind === kinds.state) entries.setProven(added)
    }
  }
  return newest
}
