/**
 * An inner node of a BTree: children, and between two of them the key where the right one begins. Concurrent changes of
 * one node conflict; they are rare, since only splits and emptied children change it.
 */

import { CorruptDataError } from '../core/errors.ts'
import { BTreeBucket } from './b-tree-bucket.ts'
import { areSortedKeys, countBefore } from './b-tree-keys.ts'
import { notLoaded, Persistent, type Value } from './persistent.ts'
import type { MapKey } from './persistent-map.ts'

export type BTreeChild = BTreeNode | BTreeBucket

interface Parts {
  readonly children: BTreeChild[]
  /** `separators[i]` is the least key that belongs to `children[i + 1]`. */
  readonly separators: MapKey[]
}

export class BTreeNode extends Persistent {
  static readonly className = 'shootout.BTreeNode'

  #parts: Parts | undefined = { children: [], separators: [] }

  /** A node over two children. */
  static over(left: BTreeChild, separator: MapKey, right: BTreeChild): BTreeNode {
    const node = new BTreeNode()
    node.#parts = { children: [left, right], separators: [separator] }
    return node
  }

  get children(): readonly BTreeChild[] {
    return this.#loaded().children
  }

  /** The place of the child that `key` belongs to. */
  placeOf(key: MapKey): number {
    const { separators } = this.#loaded()
    const place = countBefore(separators, key)
    return separators[place] === key ? place + 1 : place
  }

  /** Puts in a child to the right of the one at `place`, beginning at `separator`. */
  insertAfter(place: number, separator: MapKey, child: BTreeChild): void {
    const { children, separators } = this.#loaded()
    this.willChange()
    children.splice(place + 1, 0, child)
    separators.splice(place, 0, separator)
  }

  /** Takes a child out. Its range of keys goes to its left neighbour, or to its right one if it is the first. */
  remove(place: number): void {
    const { children, separators } = this.#loaded()
    this.willChange()
    children.splice(place, 1)
    separators.splice(Math.max(0, place - 1), 1)
  }

  /** Moves the upper half of the children into a new node; `separator` is where that begins. */
  split(): { readonly separator: MapKey; readonly right: BTreeNode } {
    const { children, separators } = this.#loaded()
    this.willChange()
    const middle = children.length >>> 1
    const right = new BTreeNode()
    right.#parts = { children: children.splice(middle), separators: separators.splice(middle) }
    return { separator: separators.pop()!, right }
  }

  #loaded(): Parts {
    if (this.#parts === undefined) throw notLoaded(this)
    return this.#parts
  }

  /** Child, separator, child, … child. */
  override getState(): Value {
    const { children, separators } = this.#loaded()
    const state: Value[] = [children[0]!]
    for (let index = 0; index < separators.length; index++) {
      state.push(separators[index]!, children[index + 1]!)
    }
    return state
  }

  override setState(state: Value): void {
    const list: readonly Value[] = Array.isArray(state) ? state : []
    const children: BTreeChild[] = []
    for (let index = 0; index < list.length; index += 2) {
      const child = list[index]
      if (child instanceof BTreeNode || child instanceof BTreeBucket) children.push(child)
    }
    const separators = list.filter((_, index) => index % 2 === 1)
    if (children.length !== separators.length + 1 || !areSortedKeys(separators)) {
      throw new CorruptDataError(`BTree node ${this.oid} is not a list of children with keys between them`, {
        details: { oid: this.oid },
      })
    }
    this.#parts = { children, separators: [...separators] }
  }

  override dropState(): void {
    this.#parts = undefined
  }
}
