/**
 * ARC (Megiddo and Modha, FAST 2003): two LRU lists, of entries seen once and of entries seen again, each continued by
 * ghosts. A hit on a ghost shifts the border between the lists to the side that would have had it. Shares are weights.
 */

import { NodeList, nodeListState } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

const again = 1

export const arc: PolicyDefinition = {
  name: 'arc',
  summary: 'balances seen once against seen again by what it regrets',
  ghostLists: 2,
  create({ nodes, state, capacity, ghosts }) {
    const once = new NodeList(nodes, state, 0)
    const often = new NodeList(nodes, state, nodeListState)
    /** Wanted weight of `once`. */
    const target = 2 * nodeListState
    const onceGhosts = ghosts[0]!
    const oftenGhosts = ghosts[1]!
    let ghostHit: 'none' | 'once' | 'often' = 'none'
    let isKnownObject = false
    return {
      hit(node) {
        if (nodes.mark(node) === again) {
          often.moveToFront(node)
          return
        }
        once.remove(node)
        nodes.setMark(node, again)
        often.pushFront(node)
      },
      expect(key, weight, isKnown) {
        isKnownObject = isKnown
        const onceWeight = onceGhosts.weight
        const oftenWeight = oftenGhosts.weight
        if (onceGhosts.take(key)) {
          ghostHit = 'once'
          const step = Math.max(1, oftenWeight / onceWeight) * weight
          state[target] = Math.min(capacity, state[target]! + step)
        } else if (oftenGhosts.take(key)) {
          ghostHit = 'often'
          const step = Math.max(1, onceWeight / oftenWeight) * weight
          state[target] = Math.max(0, state[target]! - step)
        } else {
          ghostHit = 'none'
        }
        return true
      },
      insert(node) {
        if (ghostHit === 'none' && !isKnownObject) {
          once.pushFront(node)
        } else {
          nodes.setMark(node, again)
          often.pushFront(node)
        }
        // Both lists with their ghosts remember at most twice the capacity, the first one of them at most once.
        while (onceGhosts.length > 0 && once.weight + onceGhosts.weight > capacity) onceGhosts.dropOldest()
        while (
          oftenGhosts.length > 0 &&
          once.weight + often.weight + onceGhosts.weight + oftenGhosts.weight > 2 * capacity
        ) {
          oftenGhosts.dropOldest()
        }
      },
      evict(keyOf) {
        const aim = state[target]!
        const fromOnce =
          once.length > 0 &&
          (often.length === 0 || once.weight > aim || (ghostHit === 'often' && once.weight === aim))
        const queue = fromOnce ? once : often
        const node = queue.back
        if (node === 0) return 0
        queue.remove(node)
        const memory = fromOnce ? onceGhosts : oftenGhosts
        memory.push(keyOf(node), nodes.weight(node))
        return node
      },
      remove: (node) => (nodes.mark(node) === again ? often : once).remove(node),
    }
  },
}
