/** The order of keys in a BTree: integers by value, before strings by UTF-16 code units. */

import { isMapKey, type MapKey } from './persistent-map.ts'

export function compareKeys(a: MapKey, b: MapKey): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

/** How many of the sorted `keys` come before `key`. */
export function countBefore(keys: readonly MapKey[], key: MapKey): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle]!, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** What was read is a list of keys in strictly ascending order. */
export function areSortedKeys(keys: readonly unknown[]): keys is readonly MapKey[] {
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]
    if (!isMapKey(key)) return false
    if (index > 0 && compareKeys(keys[index - 1] as MapKey, key) >= 0) return false
  }
  return true
}
