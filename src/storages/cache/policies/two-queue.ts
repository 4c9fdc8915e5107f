/**
 * 2Q (Johnson and Shasha 1994): new entries pass through a FIFO of a quarter of the room; only what is asked for again
 * after it fell out, while its ghost is remembered, enters the LRU of the rest.
 */

import { NodeList, nodeListState } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

const isMain = 1

export const twoQueue: PolicyDefinition = {
  name: '2q',
  summary: 'a FIFO for what is new, an LRU for what came back',
  ghostLists: 1,
  create({ nodes, state, capacity, ghosts }) {
    const entrance = new NodeList(nodes, state, 0)
    const main = new NodeList(nodes, state, nodeListState)
    const left = ghosts[0]!
    const entranceShare = Math.floor(capacity * 0.25)
    const ghostShare = Math.floor(capacity * 0.5)
    let returns = false
    return {
      hit(node) {
        if (nodes.mark(node) === isMain) main.moveToFront(node)
      },
      expect(key, weight, isKnown) {
        returns = left.take(key) || isKnown
        return returns || weight <= entranceShare
      },
      insert(node) {
        if (!returns) {
          entrance.pushFront(node)
          return
        }
        nodes.setMark(node, isMain)
        main.pushFront(node)
      },
      evict(keyOf) {
        const fromEntrance = entrance.weight > entranceShare || main.length === 0
        const queue = fromEntrance ? entrance : main
        const node = queue.back
        if (node === 0) return 0
        queue.remove(node)
        if (fromEntrance) {
          left.push(keyOf(node), nodes.weight(node))
          while (left.weight > ghostShare) left.dropOldest()
        }
        return node
      },
      remove: (node) => (nodes.mark(node) === isMain ? main : entrance).remove(node),
    }
  },
}
