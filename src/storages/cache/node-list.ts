/**
 * A doubly linked list of nodes that knows its weight. Ends, weight and length lie in the state of the policy; a list
 * object is only a view of them. By convention nodes enter at the front and leave at the back.
 */

import type { Nodes } from './nodes.ts'

const front = 0
const back = 1
const weight = 2
const length = 3

/** Doubles of policy state that one list takes. */
export const nodeListState = 4

export class NodeList {
  readonly #nodes: Nodes
  readonly #state: Float64Array
  readonly #at: number

  /** @param at where its `nodeListState` doubles begin */
  constructor(nodes: Nodes, state: Float64Array, at: number) {
    this.#nodes = nodes
    this.#state = state
    this.#at = at
  }

  /** 0 when the list is empty. */
  get front(): number {
    return this.#state[this.#at + front]!
  }

  /** 0 when the list is empty. */
  get back(): number {
    return this.#state[this.#at + back]!
  }

  get weight(): number {
    return this.#state[this.#at + weight]!
  }

  get length(): number {
    return this.#state[this.#at + length]!
  }

  pushFront(node: number): void {
    const nodes = this.#nodes
    const state = this.#state
    const at = this.#at
    const second = state[at + front]!
    nodes.setPrevious(node, 0)
    nodes.setNext(node, second)
    if (second === 0) state[at + back] = node
    else nodes.setPrevious(second, node)
    state[at + front] = node
    state[at + weight]! += nodes.weight(node)
    state[at + length]! += 1
  }

  remove(node: number): void {
    const nodes = this.#nodes
    const state = this.#state
    const at = this.#at
    const before = nodes.previous(node)
    const behind = nodes.next(node)
    if (before === 0) state[at + front] = behind
    else nodes.setNext(before, behind)
    if (behind === 0) state[at + back] = before
    else nodes.setPrevious(behind, before)
    state[at + weight]! -= nodes.weight(node)
    state[at + length]! -= 1
  }

  moveToFront(node: number): void {
    if (this.#state[this.#at + front] === node) return
    this.remove(node)
    this.pushFront(node)
  }
}
