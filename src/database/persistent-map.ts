/**
 * A map in one record, for up to a few thousand entries; a `BTree` holds more. Keys keep the order in which they were
 * set. Every change rewrites the whole record, and concurrent changes of one map conflict.
 */

import { CorruptDataError } from '../core/errors.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'

/** Strings and safe integers. `1` and `'1'` are different keys. */
export type MapKey = string | number

export function isMapKey(value: unknown): value is MapKey {
  return typeof value === 'string' || Number.isSafeInteger(value)
}

/** @throws TypeError */
export function mustBeKey(value: unknown): void {
  if (!isMapKey(value)) throw new TypeError(`${String(value)} is not a string or a safe integer`)
}

/** A map in one record, for up to a few thousand entries. Concurrent changes of one map conflict. */
export class PersistentMap<V extends Value = Value> extends Persistent {
  static readonly className: string = 'shootout.Map'

  #entries: Map<MapKey, V> | undefined

  constructor(entries?: Iterable<readonly [MapKey, V]>) {
    super()
    this.#entries = new Map(entries)
    for (const key of this.#entries.keys()) mustBeKey(key)
  }

  get size(): number {
    return this.#loaded().size
  }

  get(key: MapKey): V | undefined {
    return this.#loaded().get(key)
  }

  has(key: MapKey): boolean {
    return this.#loaded().has(key)
  }

  set(key: MapKey, value: V): this {
    mustBeKey(key)
    const entries = this.#loaded()
    this.willChange()
    entries.set(key, value)
    return this
  }

  /** Says whether the key was there. */
  delete(key: MapKey): boolean {
    const entries = this.#loaded()
    if (!entries.has(key)) return false
    this.willChange()
    return entries.delete(key)
  }

  keys(): IterableIterator<MapKey> {
    return this.#loaded().keys()
  }

  values(): IterableIterator<V> {
    return this.#loaded().values()
  }

  entries(): IterableIterator<[MapKey, V]> {
    return this.#loaded().entries()
  }

  #loaded(): Map<MapKey, V> {
    if (this.#entries === undefined) throw notLoaded(this)
    return this.#entries
  }

  /** Key, value, key, value: flat, since an array for each pair would cost two bytes and an allocation. */
  override getState(): Value {
    const state: Value[] = []
    for (const [key, value] of this.#loaded()) state.push(key, value)
    return state
  }

  override setState(state: Value): void {
    if (!Array.isArray(state) || state.length % 2 !== 0) throw this.#damaged()
    const entries = new Map<MapKey, V>()
    for (let index = 0; index < state.length; index += 2) {
      const key: unknown = state[index]
      if (!isMapKey(key) || entries.has(key)) throw this.#damaged()
      entries.set(key, state[index + 1] as V)
    }
    this.#entries = entries
  }

  override dropState(): void {
    this.#entries = undefined
  }

  #damaged(): CorruptDataError {
    return new CorruptDataError(`object ${this.oid} is no map: its state is not a list of keys and values`, {
      details: { oid: this.oid },
    })
  }
}
