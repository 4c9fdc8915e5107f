/** CLOCK (Corbató 1968): a FIFO in which an entry that was asked for gets a second chance. A hit sets one bit. */

import { NodeList } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

export const clock: PolicyDefinition = {
  name: 'clock',
  summary: 'FIFO with a second chance',
  ghostLists: 0,
  create({ nodes, state }) {
    const queue = new NodeList(nodes, state, 0)
    return {
      hit: (node) => nodes.setMark(node, 1),
      expect: () => true,
      insert: (node) => queue.pushFront(node),
      evict() {
        for (;;) {
          const node = queue.back
          if (node === 0) return 0
          queue.remove(node)
          if (nodes.mark(node) === 0) return node
          nodes.setMark(node, 0)
          queue.pushFront(node)
        }
      },
      remove: (node) => queue.remove(node),
    }
  },
}
