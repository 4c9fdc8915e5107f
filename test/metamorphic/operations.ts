/**
 * Histories of operations as text, one operation per line, so that a failing one can be read, edited and kept:
 *
 *     c1 poll                 a new snapshot; answers with what changed
 *     c1 read o3              the object in the snapshot
 *     c1 read-many o1 o2
 *     c1 store o3 17          in c1's transaction, which begins where there is none
 *     c1 delete o3
 *     c1 current o3           declares that o3 must still be current at commit
 *     c1 commit               vote and finish
 *     c1 abort
 *     c1 end                  afterCompletion: the snapshot ends
 *     c1 before o3 t5         the object just before transaction t5
 *     c1 undo t5              a transaction of its own
 *     pack t5
 *     reopen                  closes everything and opens the store again
 *
 * Connections, objects and transactions are named in order (c1, o1, t1), so a history means the same on every storage.
 */

import type { Random } from '../../src/core/random.ts'

/** What the storages of a comparison have in common. */
export interface Abilities {
  readonly deletion: boolean
  readonly history: boolean
  readonly undo: boolean
  readonly pack: boolean
  readonly reopen: boolean
  /** Every transaction can be iterated. */
  readonly iteration: boolean
}

export const connectionCount = 4
export const objectCount = 8

/** Numbers can be merged, words cannot. */
function value(random: Random): string {
  return random.integer(4) === 0 ? `w${random.integer(100)}` : String(random.integer(1000))
}

export function generate(random: Random, length: number, abilities: Abilities): string[] {
  const connection = () => `c${1 + random.integer(connectionCount)}`
  const object = () => `o${1 + random.integer(objectCount)}`
  const transaction = () => `t${1 + random.integer(Math.max(1, Math.floor(length / 8)))}`
  const kinds: [weight: number, isPossible: boolean, line: () => string][] = [
    [14, true, () => `${connection()} poll`],
    [14, true, () => `${connection()} read ${object()}`],
    [4, true, () => `${connection()} read-many ${object()} ${object()} ${object()}`],
    [26, true, () => `${connection()} store ${object()} ${value(random)}`],
    [4, abilities.deletion, () => `${connection()} delete ${object()}`],
    [5, true, () => `${connection()} current ${object()}`],
    [20, true, () => `${connection()} commit`],
    [3, true, () => `${connection()} abort`],
    [2, true, () => `${connection()} end`],
    [8, abilities.history, () => `${connection()} before ${object()} ${transaction()}`],
    [4, abilities.undo, () => `${connection()} undo ${transaction()}`],
    [1, abilities.pack, () => `pack ${transaction()}`],
    [1, abilities.reopen, () => 'reopen'],
  ]
  const possible = kinds.filter(([, isPossible]) => isPossible)
  const total = possible.reduce((sum, [weight]) => sum + weight, 0)
  const pick = () => {
    let left = random.integer(total)
    for (const [weight, , line] of possible) {
      if (left < weight) return line()
      left -= weight
    }
    throw new Error('weights do not add up')
  }
  return Array.from({ length }, pick)
}
