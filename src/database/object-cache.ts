/**
 * The objects that one connection knows, at most one per oid. Objects with state are held until the limits are
 * exceeded; ghosts only for as long as the application holds them itself.
 *
 * Eviction is the clock algorithm: asking for an object sets a mark and costs nothing else; at a transaction boundary
 * the hand goes round, takes marks away and turns unmarked objects into ghosts until the limits hold.
 */

import type { Oid } from '../core/ids.ts'
import type { Persistent } from './persistent.ts'

/** What a connection keeps after a transaction. */
export interface ObjectCacheLimits {
  readonly objects: number
  readonly bytes: number
}

/** Ghosts that nobody holds are looked for once there are twice as many as after the last search, and this many. */
const ghostsMin = 1000

export class ObjectCache {
  limits: ObjectCacheLimits
  /**
   * An object with state, or a weak reference to a ghost. An entry changes its value and not its place: entries that
   * come and go make the map build a new table again and again, and V8 keeps young tables alive as long as older ones,
   * so that most of what a transaction loaded had to wait for a full collection.
   */
  readonly #known = new Map<Oid, Persistent | WeakRef<Persistent>>()
  /** The hand of the clock. It lives with the map, and sees what comes in after it. */
  #hand: Iterator<[Oid, Persistent | WeakRef<Persistent>]> | undefined
  #loaded = 0
  #bytes = 0
  #ghostsLimit = ghostsMin

  constructor(limits: ObjectCacheLimits) {
    this.limits = limits
  }

  /** Objects with state. */
  get size(): number {
    return this.#loaded
  }

  /** Record bytes of the objects with state. */
  get bytes(): number {
    return this.#bytes
  }

  /** Objects known without state, those that nobody holds any more included until they are looked for. */
  get ghosts(): number {
    return this.#known.size - this.#loaded
  }

  find(oid: Oid): Persistent | undefined {
    const known = this.#known.get(oid)
    return known instanceof WeakRef ? known.deref() : known
  }

  /** Takes in an object without state. */
  addGhost(oid: Oid, object: Persistent): void {
    object.status = 'ghost'
    object.weakReference ??= new WeakRef(object)
    this.#known.set(oid, object.weakReference)
    if (this.ghosts > this.#ghostsLimit) this.#dropDeadGhosts()
  }

  /** An object got its state, from a record of so many bytes. */
  hold(oid: Oid, object: Persistent, recordBytes: number): void {
    const known = this.#known.get(oid)
    if (known === undefined || known instanceof WeakRef) this.#loaded++
    else this.#bytes -= known.recordBytes
    if (known !== object) this.#known.set(oid, object)
    this.#bytes += recordBytes
    object.recordBytes = recordBytes
    object.recentlyUsed = true
    object.status = 'saved'
  }

  /** Takes the state away from an object, if it has any. */
  makeGhost(oid: Oid): void {
    const object = this.#known.get(oid)
    if (object === undefined || object instanceof WeakRef) return
    this.#loaded--
    this.#bytes -= object.recordBytes
    object.dropState()
    this.addGhost(oid, object)
  }

  /** Takes the state away from all objects that have not been changed. */
  makeAllGhosts(): void {
    for (const [oid, known] of this.#known) {
      if (!(known instanceof WeakRef) && known.status === 'saved') this.makeGhost(oid)
    }
  }

  /** Makes the limits hold, as far as unchanged objects go. */
  collect(): void {
    // Twice round at most: the first time may only take marks away.
    for (let looks = 2 * this.#known.size; looks > 0 && this.#exceedsLimits(); ) {
      this.#hand ??= this.#known.entries()
      const next = this.#hand.next()
      if (next.done) {
        this.#hand = undefined
        continue
      }
      looks--
      const [oid, object] = next.value
      if (object instanceof WeakRef) continue
      if (object.status === 'saved' && !object.recentlyUsed) this.makeGhost(oid)
      else object.recentlyUsed = false
    }
  }

  #exceedsLimits(): boolean {
    return this.#loaded > this.limits.objects || this.#bytes > this.limits.bytes
  }

  #dropDeadGhosts(): void {
    for (const [oid, known] of this.#known) {
      if (known instanceof WeakRef && known.deref() === undefined) this.#known.delete(oid)
    }
    this.#ghostsLimit = Math.max(ghostsMin, 2 * this.ghosts)
  }
}
