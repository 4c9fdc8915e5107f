/**
 * Work that can be counted needs no statistics: an extra statement, sync or round trip per operation is a fact. Each
 * side counts the same operations twice in fresh forks; a counter that differs between two equal forks is not exact
 * and is left to the clock.
 */

import type { CountersLine } from '../../results/gate-schema.ts'

export interface CounterChange {
  readonly name: string
  /** Per operation. */
  readonly baseline: number
  readonly candidate: number
  readonly effect: 'more' | 'less'
  /** It grew by more than its tolerance. */
  readonly gates: boolean
}

export interface CounterComparison {
  readonly changes: readonly CounterChange[]
  /** Counters that vary between equal forks. */
  readonly inexact: readonly string[]
  /** How many are equal on both sides and not 0. */
  readonly equal: number
}

/** Not work, or only the success of work. */
const uncounted = new Set(['resolvedConflicts'])

/** @param tolerances by counter: 0.02 allows 2 % more. What is not named must be equal */
export function compareCounters(
  line: CountersLine,
  tolerances: Readonly<Record<string, number>>,
): CounterComparison {
  const names = new Set([...line.baseline, ...line.candidate].flatMap((counts) => Object.keys(counts)))
  const changes: CounterChange[] = []
  const inexact: string[] = []
  let equal = 0
  for (const name of names) {
    if (uncounted.has(name)) continue
    const before = line.baseline.map((counts) => counts[name] ?? 0)
    const after = line.candidate.map((counts) => counts[name] ?? 0)
    if (!allEqual(before) || !allEqual(after)) {
      inexact.push(name)
      continue
    }
    const [baseline, candidate] = [before[0]! / line.operations, after[0]! / line.operations]
    if (baseline === candidate) {
      if (baseline !== 0) equal++
      continue
    }
    changes.push({
      name,
      baseline,
      candidate,
      effect: candidate > baseline ? 'more' : 'less',
      gates: candidate > baseline * (1 + (tolerances[name] ?? 0)),
    })
  }
  return { changes, inexact, equal }
}

function allEqual(values: readonly number[]): boolean {
  return values.every((value) => value === values[0])
}
