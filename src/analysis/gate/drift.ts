/**
 * Did the suite as a whole become slower, though no single cell shows it? Each block visits every cell, so the mean of
 * its log ratios is one observation, and the test over blocks is the same exact test as over pairs.
 */

import { mean } from '../stats/quantiles.ts'
import { type Evidence, evidenceOf, matters } from './cell.ts'
import type { Policy } from './policy.ts'

export interface Drift {
  /** Of the geometric mean over cells; its pairs are blocks. */
  readonly evidence: Evidence
  readonly cells: number
  readonly isSlower: boolean
}

/**
 * @param cells log ratios of each cell by block. All cells weigh the same, and none may be missing: blocks count up to
 *   the shortest
 * @returns undefined for fewer than two cells or no block
 */
export function suiteDrift(cells: readonly (readonly number[])[], policy: Policy): Drift | undefined {
  const blocks = Math.min(...cells.map((values) => values.length))
  if (cells.length < 2 || blocks === 0) return undefined
  const means = Array.from({ length: blocks }, (_, block) => mean(cells.map((values) => values[block]!)))
  const evidence = evidenceOf(means, policy)
  return {
    evidence,
    cells: cells.length,
    isSlower: evidence.pSlower <= policy.driftAlpha && matters(evidence, policy),
  }
}
