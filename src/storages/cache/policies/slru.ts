/**
 * Segmented LRU (Karedla, Love and Wherry 1994) with four equal segments: a hit lifts an entry into the segment above,
 * what a segment has no room for falls into the one below, and the lowest segment pays for what is new. A scan passes
 * through the lowest segment and harms nothing above.
 */

import { NodeList, nodeListState } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

const segmentCount = 4

export const slru: PolicyDefinition = {
  name: 'slru',
  summary: 'LRU in four segments; entries rise by hits',
  ghostLists: 0,
  create({ nodes, state, capacity }) {
    const share = Math.floor(capacity / segmentCount)
    const segments = Array.from(
      { length: segmentCount },
      (_, index) => new NodeList(nodes, state, index * nodeListState),
    )
    /** Moves what is too much in this segment down, and so on to the lowest. */
    const settle = (from: number): void => {
      for (let level = from; level > 0; level--) {
        const segment = segments[level]!
        while (segment.weight > share) {
          const node = segment.back
          segment.remove(node)
          nodes.setMark(node, level - 1)
          segments[level - 1]!.pushFront(node)
        }
      }
    }
    return {
      hit(node) {
        const level = nodes.mark(node)
        if (level === segmentCount - 1) {
          segments[level]!.moveToFront(node)
          return
        }
        segments[level]!.remove(node)
        nodes.setMark(node, level + 1)
        segments[level + 1]!.pushFront(node)
        settle(level + 1)
      },
      expect: () => true,
      insert(node) {
        // While the cache fills, new entries use whatever room there is, lowest first.
        const weight = nodes.weight(node)
        let level = segments.findIndex((segment) => segment.weight + weight <= share)
        if (level < 0) level = 0
        nodes.setMark(node, level)
        segments[level]!.pushFront(node)
      },
      evict() {
        for (const segment of segments) {
          const node = segment.back
          if (node === 0) continue
          segment.remove(node)
          return node
        }
        return 0
      },
      remove: (node) => segments[nodes.mark(node)]!.remove(node),
    }
  },
}
