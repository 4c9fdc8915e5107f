/**
 * SIEVE (Zhang and others, NSDI 2024): one queue, one bit. A hand moves from the back to the front, clears the bits it
 * meets and evicts the first entry without; entries that are kept stay where they are.
 */

import { NodeList, nodeListState } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

export const sieve: PolicyDefinition = {
  name: 'sieve',
  summary: 'a hand sifts out what was not asked for since it last came by',
  ghostLists: 0,
  create({ nodes, state }) {
    const queue = new NodeList(nodes, state, 0)
    const hand = nodeListState
    const leave = (node: number): void => {
      if (state[hand] === node) state[hand] = nodes.previous(node)
      queue.remove(node)
    }
    return {
      hit: (node) => nodes.setMark(node, 1),
      expect: () => true,
      insert: (node) => queue.pushFront(node),
      evict() {
        if (queue.length === 0) return 0
        let node = state[hand]! || queue.back
        while (nodes.mark(node) !== 0) {
          nodes.setMark(node, 0)
          node = nodes.previous(node) || queue.back
        }
        state[hand] = node
        leave(node)
        return node
      },
      remove: leave,
    }
  },
}
