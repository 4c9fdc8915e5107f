/**
 * Claims: what a transaction that has voted holds on objects until it ends. One that writes an object excludes all
 * others, any number may rely on the same object being current. Kept in the shared index, so they count between
 * threads. All functions here are called with the log's mutex held.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Log } from './log.ts'
import { word } from './shared-state.ts'

/** What a transaction wants to write, and what it relies on, with the serials it started from. */
export interface Wanted {
  readonly writes: ReadonlyMap<Oid, { readonly serial: Tid }>
  readonly reads: ReadonlyMap<Oid, Tid>
}

/** A newer revision than the one a transaction started from. */
export interface Newer {
  readonly oid: Oid
  readonly current: Tid
  readonly isRead: boolean
}

/**
 * Claims everything, or nothing: who waits holds nothing, so nobody waits in a circle.
 * @returns undefined when all is claimed; `busy` when another vote stands in the way
 * @throws ShootoutError `index-full`
 */
export function claimAll({ index, seats }: Log, { writes, reads }: Wanted): Newer | 'busy' | undefined {
  for (const oid of writes.keys()) if (index.isClaimed(oid, true)) return 'busy'
  for (const oid of reads.keys()) if (!writes.has(oid) && index.isClaimed(oid, false)) return 'busy'
  for (const [oid, serial] of reads) {
    const current = index.serial(oid)
    if (current !== serial) return { oid, current, isRead: true }
  }
  for (const [oid, { serial }] of writes) {
    const current = index.serial(oid)
    if (current !== serial) return { oid, current, isRead: false }
  }
  for (const oid of writes.keys()) index.makeRoom(oid)
  for (const oid of reads.keys()) index.makeRoom(oid)
  for (const oid of writes.keys()) index.claim(oid, true)
  for (const oid of reads.keys()) if (!writes.has(oid)) index.claim(oid, false)
  seats.add('votes', 1)
  return undefined
}

/**
 * Gives everything up, and wakes those who wait for it.
 * @param era in which it was claimed: when another one has begun since, nothing is claimed any more
 */
export function unclaimAll({ index, words, seats }: Log, { writes, reads }: Wanted, era: number): void {
  if (era === Atomics.load(words, word.claimsEra)) {
    for (const oid of writes.keys()) index.unclaim(oid, true)
    for (const oid of reads.keys()) if (!writes.has(oid)) index.unclaim(oid, false)
  }
  seats.add('votes', -1)
  Atomics.add(words, word.endings, 1)
  Atomics.notify(words, word.endings)
}
