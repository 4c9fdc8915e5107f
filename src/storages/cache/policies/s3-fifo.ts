/**
 * S3-FIFO (Yang and others, SOSP 2023): three queues. New entries pass through a small FIFO of a tenth of the room;
 * those asked for at least twice there move to the main FIFO, the others leave a ghost. Whoever returns while its
 * ghost is remembered goes to the main queue at once. The main queue gives entries as many more rounds as they were
 * asked for, three at most. A hit changes two bits, nothing moves.
 */

import { NodeList, nodeListState } from '../node-list.ts'
import type { PolicyDefinition } from '../policy.ts'

/** The mark: hits so far in the lower two bits, and whether the entry is in the main queue. */
const hitsMax = 3
const isMain = 4
const hitsToStay = 2

export const s3Fifo: PolicyDefinition = {
  name: 's3-fifo',
  summary: 'a small queue for what is new, a main one for what is asked for again, and ghosts',
  ghostLists: 1,
  create({ nodes, state, capacity, ghosts }) {
    const small = new NodeList(nodes, state, 0)
    const main = new NodeList(nodes, state, nodeListState)
    const left = ghosts[0]!
    const smallShare = Math.max(1, Math.floor(capacity * 0.1))
    const mainShare = capacity - smallShare
    const ghostShare = Math.floor(capacity * 0.9)
    let returns = false

    const evictFromSmall = (keyOf: (node: number) => number): number => {
      for (;;) {
        const node = small.back
        if (node === 0) return 0
        small.remove(node)
        if (nodes.mark(node) < hitsToStay) {
          const weight = nodes.weight(node)
          if (weight <= ghostShare) {
            left.push(keyOf(node), weight)
            while (left.weight > ghostShare) left.dropOldest()
          }
          return node
        }
        nodes.setMark(node, isMain)
        main.pushFront(node)
      }
    }
    const evictFromMain = (): number => {
      for (;;) {
        const node = main.back
        if (node === 0) return 0
        main.remove(node)
        const mark = nodes.mark(node)
        if (mark === isMain) return node
        nodes.setMark(node, mark - 1)
        main.pushFront(node)
      }
    }
    return {
      hit(node) {
        const mark = nodes.mark(node)
        if ((mark & hitsMax) < hitsMax) nodes.setMark(node, mark + 1)
      },
      expect(key, weight, isKnown) {
        returns = left.take(key) || isKnown
        return returns || weight <= smallShare
      },
      insert(node) {
        if (!returns) {
          small.pushFront(node)
          return
        }
        nodes.setMark(node, isMain)
        main.pushFront(node)
      },
      evict(keyOf) {
        if (main.weight <= mainShare) {
          const node = evictFromSmall(keyOf)
          if (node !== 0) return node
        }
        return evictFromMain()
      },
      remove: (node) => (nodes.mark(node) >= isMain ? main : small).remove(node),
    }
  },
}
