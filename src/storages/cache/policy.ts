/**
 * The contract of eviction policies: which entry goes when room is needed.
 *
 * A policy knows entries as *nodes*, integers from 1, each with a weight; it never sees bytes or object ids. All that
 * it remembers lies in typed arrays it is handed, so the same code runs in the cache, where those arrays are shared by
 * all threads of a process, and in the simulator. In the cache every call is made with the lock of the shard held.
 *
 * What happens on a miss, in this order: `expect(key, weight)`; then `evict()` until there is room; then
 * `insert(node, key)`. Nothing else is called in between. A policy must not keep state in fields of its own, except
 * from `expect` to the `insert` that follows: another thread continues where this one stopped.
 */

import type { Ghosts } from './ghosts.ts'
import type { Nodes } from './nodes.ts'

/** What a policy works on. */
export interface PolicySpace {
  readonly nodes: Nodes
  /** All zero at first. */
  readonly state: Float64Array
  /** Weight that all nodes together may have. */
  readonly capacity: number
  /** One for each of `PolicyDefinition.ghostLists`. */
  readonly ghosts: readonly Ghosts[]
}

export interface Policy {
  /** The node was asked for. */
  hit(node: number): void
  /**
   * An entry is missing and about to be inserted.
   * @param key the object's identity, never 0: of all its revisions the same, so that the memory of evicted entries
   *   (ghosts) outlives a change of the object
   * @param isKnown an older revision of the object is in the cache: it has been asked for before
   * @returns false to do without it; then nothing is evicted and `insert` is not called
   */
  expect(key: number, weight: number, isKnown: boolean): boolean
  /** Chooses a node, takes it off its lists and returns it; 0 when there is none. `keyOf` says its key. */
  evict(keyOf: (node: number) => number): number
  /** Takes in the node; its weight is set. */
  insert(node: number, key: number): void
  /** The node goes for another reason than room. */
  remove(node: number): void
}

/** One policy, ready to be instantiated over any number of spaces. */
export interface PolicyDefinition {
  readonly name: string
  /** One line for help. */
  readonly summary: string
  readonly ghostLists: number
  create(space: PolicySpace): Policy
}

/** Doubles that every policy may use of `PolicySpace.state`. */
export const policyStateLength = 40
