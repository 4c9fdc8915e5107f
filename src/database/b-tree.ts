/**
 * A sorted map over many records, for any number of entries. Finding a key loads one node per level; storing one
 * rewrites one bucket, and now and then splits it.
 *
 * Concurrent transactions that change different keys of one bucket are merged, where the storage merges at all. What
 * such a merge cannot see is whether the way that led to the bucket is still the way: so every change relies
 * (`readCurrent`) on the nodes that it went through. A split by somebody else then makes it fail and be repeated, rather
 * than put a key where nobody would find it.
 */

import { isPromise } from '../core/awaitable.ts'
import { CorruptDataError } from '../core/errors.ts'
import type { Awaitable } from '../storages/storage.ts'
import { BTreeBucket } from './b-tree-bucket.ts'
import { compareKeys, countBefore } from './b-tree-keys.ts'
import { type BTreeChild, BTreeNode } from './b-tree-node.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'
import { type MapKey, mustBeKey } from './persistent-map.ts'

/** Entries of a bucket: some kilobytes with small values, so that a change writes little. */
const bucketEntriesMax = 64
/** Children of a node: three levels hold half a million entries even when all are half full. */
const nodeChildrenMax = 256

/** Part of a BTree, in the order of its keys. */
export interface BTreeRange {
  /** The least key wanted. */
  readonly from?: MapKey
  /** The first key that is too large. */
  readonly to?: MapKey
}

interface Path {
  /** From the top down, with the place of the child that was taken in each. */
  readonly nodes: readonly BTreeNode[]
  readonly places: readonly number[]
  readonly bucket: BTreeBucket
}

/** A sorted map over many records, for any number of entries. Changes of different keys are merged. */
export class BTree<V extends Value = Value> extends Persistent {
  static readonly className: string = 'shootout.BTree'

  #top: BTreeChild | undefined = new BTreeBucket()

  get(key: MapKey): Awaitable<V | undefined> {
    const path = this.#find(key)
    if (isPromise(path)) return path.then(({ bucket }) => bucket.get(key) as V | undefined)
    return path.bucket.get(key) as V | undefined
  }

  has(key: MapKey): Awaitable<boolean> {
    const value = this.get(key)
    return isPromise(value) ? value.then((one) => one !== undefined) : value !== undefined
  }

  /** @throws TypeError for a key that is neither a string nor a safe integer */
  set(key: MapKey, value: V): Awaitable<void> {
    mustBeKey(key)
    const path = this.#find(key)
    if (isPromise(path)) return path.then((found) => this.#setAt(found, key, value))
    this.#setAt(path, key, value)
  }

  /** Says whether the key was there. */
  delete(key: MapKey): Awaitable<boolean> {
    const path = this.#find(key)
    return isPromise(path) ? path.then((found) => this.#deleteAt(found, key)) : this.#deleteAt(path, key)
  }

  /** Entries in the order of their keys. The tree must not be changed meanwhile. */
  async *entries(range: BTreeRange = {}): AsyncGenerator<[MapKey, V]> {
    yield* walk(this.#loaded(), range) as AsyncGenerator<[MapKey, V]>
  }

  async *keys(range: BTreeRange = {}): AsyncGenerator<MapKey> {
    for await (const [key] of this.entries(range)) yield key
  }

  async *values(range: BTreeRange = {}): AsyncGenerator<V> {
    for await (const [, value] of this.entries(range)) yield value
  }

  /** Number of entries. Loads every bucket: no count is kept, since every change would have to write it. */
  async count(): Promise<number> {
    let count = 0
    for await (const _ of this.keys()) count++
    return count
  }

  #find(key: MapKey): Awaitable<Path> {
    return descend(this.#loaded(), key, [], [])
  }

  #setAt(path: Path, key: MapKey, value: V): void {
    this.#relyOn(path)
    path.bucket.set(key, value)
    if (path.bucket.keys.length <= bucketEntriesMax) return
    const right = path.bucket.split()
    this.#insert(path, path.nodes.length - 1, path.bucket, right.keys[0]!, right)
  }

  /** Puts `right` beside `left`, which is a child of the path's node at `level`; -1 is the tree itself. */
  #insert(path: Path, level: number, left: BTreeChild, separator: MapKey, right: BTreeChild): void {
    if (level < 0) {
      this.willChange()
      this.#top = BTreeNode.over(left, separator, right)
      return
    }
    const node = path.nodes[level]!
    node.insertAfter(path.places[level]!, separator, right)
    if (node.children.length <= nodeChildrenMax) return
    const half = node.split()
    this.#insert(path, level - 1, node, half.separator, half.right)
  }

  #deleteAt(path: Path, key: MapKey): boolean {
    if (path.bucket.get(key) === undefined) return false
    this.#relyOn(path)
    path.bucket.delete(key)
    if (path.bucket.keys.length === 0) this.#removeEmpty(path)
    return true
  }

  /** Takes the emptied bucket out, and each node above that is left without children. */
  #removeEmpty(path: Path): void {
    for (let level = path.nodes.length - 1; level >= 0; level--) {
      const node = path.nodes[level]!
      // A node keeps its last child until its parent drops both: it is never written without any.
      if (node.children.length === 1) continue
      node.remove(path.places[level]!)
      return
    }
    if (path.nodes.length === 0) return
    this.willChange()
    this.#top = new BTreeBucket()
  }

  #relyOn({ nodes }: Path): void {
    for (const node of [this, ...nodes]) node.owner?.readCurrent(node)
  }

  #loaded(): BTreeChild {
    if (this.#top === undefined) throw notLoaded(this)
    return this.#top
  }

  override getState(): Value {
    return this.#loaded()
  }

  override setState(state: Value): void {
    if (!(state instanceof BTreeNode || state instanceof BTreeBucket)) {
      throw new CorruptDataError(`BTree ${this.oid} does not refer to a node or bucket`, {
        details: { oid: this.oid },
      })
    }
    this.#top = state
  }

  override dropState(): void {
    this.#top = undefined
  }
}

/** Waits only for nodes that are not there. */
function loaded<T extends Persistent>(node: T): Awaitable<T> {
  return node.owner === undefined ? node : node.owner.activate(node)
}

function descend(from: BTreeChild, key: MapKey, nodes: BTreeNode[], places: number[]): Awaitable<Path> {
  let child = from
  for (;;) {
    const here: Awaitable<BTreeChild> = loaded(child)
    if (isPromise(here)) return here.then((arrived) => descend(arrived, key, nodes, places))
    if (here instanceof BTreeBucket) return { nodes, places, bucket: here }
    const place = here.placeOf(key)
    nodes.push(here)
    places.push(place)
    child = here.children[place]!
  }
}

async function* walk(child: BTreeChild, range: BTreeRange): AsyncGenerator<[MapKey, Value]> {
  const here = loaded(child)
  const node = isPromise(here) ? await here : here
  const { from, to } = range
  if (node instanceof BTreeBucket) {
    const { keys, values } = node
    for (let at = from === undefined ? 0 : countBefore(keys, from); at < keys.length; at++) {
      if (to !== undefined && compareKeys(keys[at]!, to) >= 0) return
      yield [keys[at]!, values[at]!]
    }
    return
  }
  const first = from === undefined ? 0 : node.placeOf(from)
  const last = to === undefined ? node.children.length - 1 : node.placeOf(to)
  for (let place = first; place <= last; place++) yield* walk(node.children[place]!, range)
}
