/** Why is a cell slower? Two sides that were watched more closely, to the differences that are worth a sentence. */

import type { ExplanationLine, FunctionTime, WatchedSide } from '../../results/gate-schema.ts'

/** A quantity of both sides. Times are ns per operation. */
export interface Change {
  readonly name: string
  readonly baseline: number
  readonly candidate: number
}

export interface Explanation {
  readonly pairs: number
  readonly time: Change
  /** Where the time went: processor in user and system mode, and the rest, which is waiting. */
  readonly parts: readonly Change[]
  /** Functions whose own time grew or shrank, the greatest change first. */
  readonly functions: readonly Change[]
  /** Per operation. Only those that changed. */
  readonly counters: readonly Change[]
  readonly garbageCollection: Change
  /** The longest, ns; not per operation. */
  readonly loopDelay: Change
  /** Where the profiles lie. */
  readonly profiles: string
}

const functionsMax = 6
/** A function is worth its line if it changed by this share of what an operation takes. */
const functionShareMin = 0.01
const counterShareMin = 0.005

export function explain(line: ExplanationLine, profiles: string): Explanation {
  const { operations, profiledOperations, baseline, candidate } = line
  const change = (name: string, value: (side: WatchedSide) => number, per = operations): Change => ({
    name,
    baseline: value(baseline) / per,
    candidate: value(candidate) / per,
  })
  const time = change('an operation', ({ timeNs }) => timeNs)
  const waiting = ({ timeNs, cpuNs }: WatchedSide) => Math.max(0, timeNs - cpuNs.user - cpuNs.system)
  return {
    pairs: line.pairs,
    time,
    parts: [
      change('user', ({ cpuNs }) => cpuNs.user),
      change('system', ({ cpuNs }) => cpuNs.system),
      change('waiting', waiting),
    ],
    functions: functionChanges(baseline.functions, candidate.functions, profiledOperations)
      .filter((one) => size(one) >= functionShareMin * time.baseline)
      .slice(0, functionsMax),
    counters: [...new Set([baseline, candidate].flatMap(({ counters }) => Object.keys(counters)))]
      .map((name) => change(name, ({ counters }) => counters[name] ?? 0))
      .filter((one) => size(one) > counterShareMin * Math.max(one.baseline, one.candidate)),
    garbageCollection: change('garbage collection', ({ gcNs }) => gcNs, profiledOperations),
    loopDelay: change('loop delay', ({ loopDelayNsMax }) => loopDelayNsMax, 1),
    profiles,
  }
}

function size({ baseline, candidate }: Change): number {
  return Math.abs(candidate - baseline)
}

function functionChanges(
  before: readonly FunctionTime[],
  after: readonly FunctionTime[],
  operations: number,
): readonly Change[] {
  const changes = new Map<string, { name: string; baseline: number; candidate: number }>()
  for (const [side, times] of [
    ['baseline', before],
    ['candidate', after],
  ] as const) {
    for (const { name, place, selfNs } of times) {
      const label = place === '' ? name : `${name} (${place})`
      const entry = changes.get(label) ?? { name: label, baseline: 0, candidate: 0 }
      entry[side] += selfNs / operations
      changes.set(label, entry)
    }
  }
  return [...changes.values()].sort((a, b) => size(b) - size(a))
}
