/**
 * The objects that one connection knows, at most one per oid. Objects with state are held until the limits are
 * exceeded; ghosts only for as long as the application holds them itself.
 *
 * Eviction is the clock algorithm: asking for an object sets a mark and costs nothing else; at a transaction boundary
 * the hand goes round, takes marks away and turns unmarked objects into ghosts until the limits hold.
 */

import type { Oid } from '../core/ids.ts'
import type { Persistent } from './persistent.ts'

export interface ObjectCacheLimits {
  readonly objects: number
  readonly bytes: number
}

/** Ghosts that nobody holds are looked for once there are twice as many as after the last search, and this many. */
const ghostsMin = 1000

export class ObjectCache {
  limits: ObjectCacheLimits
  readonly #loaded = new Map<Oid, Persistent>()
  readonly #ghosts = new Map<Oid, WeakRef<Persistent>>()
  #bytes = 0
  #ghostsLimit = ghostsMin

  constructor(limits: ObjectCacheLimits) {
    this.limits = limits
  }

  /** Objects with state. */
  get size(): number {
    return this.#loaded.size
  }

  /** Record bytes of the objects with state. */
  get bytes(): number {
    return this.#bytes
  }

  /** Objects known without state, those that nobody holds any more included until they are looked for. */
  get ghosts(): number {
    return this.#ghosts.size
  }

  find(oid: Oid): Persistent | undefined {
    return this.#loaded.get(oid) ?? this.#ghosts.get(oid)?.deref()
  }

  /** Takes in an object without state. */
  addGhost(oid: Oid, object: Persistent): void {
    object.status = 'ghost'
    object.weakReference ??= new WeakRef(object)
    this.#ghosts.set(oid, object.weakReference)
    if (this.#ghosts.size > this.#ghostsLimit) this.#dropDeadGhosts()
  }

  /** An object got its state, from a record of so many bytes. */
  hold(oid: Oid, object: Persistent, recordBytes: number): void {
    if (object.status === 'ghost') this.#ghosts.delete(oid)
    if (this.#loaded.get(oid) === object) this.#bytes -= object.recordBytes
    else this.#loaded.set(oid, object)
    this.#bytes += recordBytes
    object.recordBytes = recordBytes
    object.recentlyUsed = true
    object.status = 'saved'
  }

  /** Takes the state away from an object, if it has any. */
  makeGhost(oid: Oid): void {
    const object = this.#loaded.get(oid)
    if (object === undefined) return
    this.#loaded.delete(oid)
    this.#bytes -= object.recordBytes
    object.dropState()
    this.addGhost(oid, object)
  }

  /** Takes the state away from all objects that have not been changed. */
  makeAllGhosts(): void {
    for (const [oid, object] of this.#loaded) if (object.status === 'saved') this.makeGhost(oid)
  }

  /** Makes the limits hold, as far as unchanged objects go. */
  collect(): void {
    if (!this.#exceedsLimits()) return
    // Twice round at most: the first time may only take marks away.
    for (let looks = 2 * this.#loaded.size; looks > 0 && this.#exceedsLimits(); looks--) {
      const [oid, object] = this.#loaded.entries().next().value!
      if (object.status === 'saved' && !object.recentlyUsed) {
        this.makeGhost(oid)
      } else {
        object.recentlyUsed = false
        // The hand of the clock: what was looked at goes to the end of the line.
        this.#loaded.delete(oid)
        this.#loaded.set(oid, object)
      }
    }
  }

  #exceedsLimits(): boolean {
    return this.#loaded.size > this.limits.objects || this.#bytes > this.limits.bytes
  }

  #dropDeadGhosts(): void {
    for (const [oid, reference] of this.#ghosts) if (reference.deref() === undefined) this.#ghosts.delete(oid)
    this.#ghostsLimit = Math.max(ghostsMin, 2 * this.#ghosts.size)
  }
}
