/**
 * A leaf of a BTree: some keys in order, with their values. Changes of different keys by different transactions can be
 * merged, as long as the bucket covers the same range of keys in both. A bucket that is split counts it, and one that
 * becomes empty is taken out of the tree; so a different count, or no entry, means that the range is another.
 */

import { CorruptDataError } from '../core/errors.ts'
import { areSortedKeys, compareKeys, countBefore } from './b-tree-keys.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'
import type { MapKey } from './persistent-map.ts'
import { encodeRecord } from './record-encoder.ts'

interface Entries {
  readonly keys: MapKey[]
  readonly values: Value[]
  /** How often the bucket was split. */
  splits: number
}

export class BTreeBucket extends Persistent {
  static readonly className = 'shootout.BTreeBucket'

  #entries: Entries | undefined = { keys: [], values: [], splits: 0 }

  get keys(): readonly MapKey[] {
    return this.#loaded().keys
  }

  get values(): readonly Value[] {
    return this.#loaded().values
  }

  get(key: MapKey): Value | undefined {
    const { keys, values } = this.#loaded()
    const place = countBefore(keys, key)
    return keys[place] === key ? values[place] : undefined
  }

  set(key: MapKey, value: Value): void {
    const { keys, values } = this.#loaded()
    this.willChange()
    const place = countBefore(keys, key)
    if (keys[place] === key) {
      values[place] = value
    } else {
      keys.splice(place, 0, key)
      values.splice(place, 0, value)
    }
  }

  /** Says whether the key was there. */
  delete(key: MapKey): boolean {
    const { keys, values } = this.#loaded()
    const place = countBefore(keys, key)
    if (keys[place] !== key) return false
    this.willChange()
    keys.splice(place, 1)
    values.splice(place, 1)
    return true
  }

  /** Moves the upper half of the entries into a new bucket. */
  split(): BTreeBucket {
    const entries = this.#loaded()
    this.willChange()
    const middle = entries.keys.length >>> 1
    const right = new BTreeBucket()
    right.#entries = { keys: entries.keys.splice(middle), values: entries.values.splice(middle), splits: 0 }
    entries.splits++
    return right
  }

  #loaded(): Entries {
    if (this.#entries === undefined) throw notLoaded(this)
    return this.#entries
  }

  /** Number of splits, then key, value, key, value. */
  override getState(): Value {
    return stateOf(this.#loaded())
  }

  override setState(state: Value): void {
    this.#entries = entriesOf(state)
  }

  override dropState(): void {
    this.#entries = undefined
  }

  static resolveConflict(base: Value, committed: Value, mine: Value): Value | undefined {
    const [before, theirs, ours] = [entriesOf(base), entriesOf(committed), entriesOf(mine)]
    if (before.splits !== theirs.splits || before.splits !== ours.splits) return undefined
    if (theirs.keys.length === 0 || ours.keys.length === 0) return undefined
    const merged: Entries = { keys: [], values: [], splits: before.splits }
    const all = new Set([...before.keys, ...theirs.keys, ...ours.keys])
    for (const key of [...all].sort(compareKeys)) {
      const [was, their, our] = [valueIn(before, key), valueIn(theirs, key), valueIn(ours, key)]
      const theyChanged = !isSame(was, their)
      if (theyChanged && !isSame(was, our)) return undefined
      const value = theyChanged ? their : our
      if (value === undefined) continue
      merged.keys.push(key)
      merged.values.push(value)
    }
    return merged.keys.length === 0 ? undefined : stateOf(merged)
  }
}

function stateOf({ keys, values, splits }: Entries): Value {
  const state: Value[] = [splits]
  for (let index = 0; index < keys.length; index++) state.push(keys[index]!, values[index]!)
  return state
}

function entriesOf(state: Value): Entries {
  const list: readonly Value[] = Array.isArray(state) ? state : []
  const splits = list[0]
  const keys = list.filter((_, index) => index % 2 === 1)
  const values = list.filter((_, index) => index > 0 && index % 2 === 0)
  if (typeof splits !== 'number' || keys.length !== values.length || !areSortedKeys(keys)) {
    throw new CorruptDataError('the state of a BTree bucket is not a list of keys in order, with values')
  }
  return { keys: [...keys], values, splits }
}

function valueIn({ keys, values }: Entries, key: MapKey): Value | undefined {
  const place = countBefore(keys, key)
  return keys[place] === key ? values[place] : undefined
}

/** Values are equal when they are written alike. */
function isSame(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object') return false
  const name = BTreeBucket.className
  return Buffer.compare(encodeRecord(name, a), encodeRecord(name, b)) === 0
}
