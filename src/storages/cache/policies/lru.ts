/** LRU: what was not asked for the longest goes. */

import { NodeList } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

export const lru: PolicyDefinition = {
  name: 'lru',
  summary: 'the least recently used goes',
  ghostLists: 0,
  create({ nodes, state }) {
    const queue = new NodeList(nodes, state, 0)
    return {
      hit: (node) => queue.moveToFront(node),
      expect: () => true,
      insert: (node) => queue.pushFront(node),
      evict() {
        const node = queue.back
        if (node !== 0) queue.remove(node)
        return node
      },
      remove: (node) => queue.remove(node),
    }
  },
}
