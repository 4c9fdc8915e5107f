/** FIFO: the oldest entry goes, whatever it was good for. The yardstick of every other policy. */

import { NodeList } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

export const fifo: PolicyDefinition = {
  name: 'fifo',
  summary: 'the oldest goes',
  ghostLists: 0,
  create({ nodes, state }) {
    const queue = new NodeList(nodes, state, 0)
    return {
      hit: () => {},
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
