/**
 * A candidate that was measured now against a baseline that was measured before: two independent samples of forks.
 * Weaker than pairs, because whatever has changed on the machine in between is in every ratio and nothing can tell it
 * from the storage; the report says so.
 */

import type { SideCells } from './compare.ts'
import type { Evidence } from './gate/cell.ts'
import { matters } from './gate/cell.ts'
import { type CounterComparison, compareCounters } from './gate/counters.ts'
import type { Limits, Policy } from './gate/policy.ts'
import type { ReportedCell } from './gate/report-model.ts'
import type { ForkSummary } from './model.ts'
import { holm } from './stats/multiplicity.ts'
import { detectableByInterval } from './stats/power.ts'
import { isGreaterP, shift } from './stats/two-sample.ts'

/**
 * One cell per setting that the baseline has a number for.
 * @param tolerances what counters may grow by; undefined where they are only shown
 * @param limits of single scenarios
 */
export function judgeSaved(
  cells: readonly SideCells[],
  policy: Policy,
  tolerances: Readonly<Record<string, number>> | undefined,
  limits: ReadonlyMap<string, Limits> = new Map(),
): readonly ReportedCell[] {
  const ownPolicy = ({ setting }: SideCells): Policy => ({ ...policy, ...limits.get(setting.scenario) })
  const measured = cells.filter(({ after }) => after?.status === 'measured')
  const evidence = new Map(
    measured.map((cell) => [cell, evidenceOf(cell.before.forks, forksOf(cell), ownPolicy(cell))]),
  )
  // The gate's level, spent at once, for all cells together.
  const alpha = policy.looks.reduce((sum, look) => sum + look.alpha, 0)
  const rejected = holm(
    measured.map((cell) => evidence.get(cell)!.pSlower),
    alpha,
  )
  return cells.map((cell): ReportedCell => {
    const { setting, after } = cell
    const found = evidence.get(cell)
    if (found === undefined) {
      const error = after?.status === 'failed' ? after.failures[0] : undefined
      return {
        ...blank(setting),
        verdict: 'failed',
        ground: 'failure',
        failure: {
          type: 'failure',
          scenario: setting.scenario,
          objects: setting.objects,
          concurrency: setting.concurrency,
          side: 'candidate',
          step: error?.step ?? 'start',
          error: {
            name: 'Error',
            code: error?.code ?? 'unavailable',
            message: error?.message ?? (after?.status === 'skipped' ? after.reason : 'it was not measured'),
            transient: false,
            details: {},
          },
        },
      }
    }
    const [before, now] = [cell.before.forks, forksOf(cell)]
    const counters = countersOf(before, now, tolerances)
    const base = {
      ...blank(setting),
      evidence: found,
      counters,
      pairs: now.length,
      ...(limits.has(setting.scenario) ? { limits: limits.get(setting.scenario)! } : {}),
      savedForks: { before: before.length, after: now.length },
    }
    if (counters.changes.some(({ gates }) => gates)) return { ...base, verdict: 'fail', ground: 'counters' }
    if (rejected[measured.indexOf(cell)]! && matters(found, ownPolicy(cell))) {
      return { ...base, verdict: 'fail', ground: 'time' }
    }
    return found.pDelta <= policy.passAlpha
      ? { ...base, verdict: 'pass', ground: 'time' }
      : { ...base, verdict: 'inconclusive', ground: 'noise' }
  })
}

function forksOf({ after }: SideCells): readonly ForkSummary[] {
  return after?.status === 'measured' ? after.forks : []
}

function blank(setting: ReportedCell['setting']) {
  return {
    setting,
    metric: undefined,
    evidence: undefined,
    guards: [],
    isFaster: false,
    pairsNeeded: undefined,
    pairs: 0,
  }
}

function evidenceOf(before: readonly ForkSummary[], after: readonly ForkSummary[], policy: Policy): Evidence {
  const logs = (forks: readonly ForkSummary[]) =>
    forks.map(({ timePerOperationNs }) => Math.log(timePerOperationNs))
  const [old, now] = [logs(before), logs(after)]
  const { estimate, interval } = shift(old, now)
  const asSlowAsDelta = old.map((value) => value + Math.log1p(policy.delta))
  return {
    pairs: now.length,
    ratio: Math.exp(estimate),
    interval: interval && {
      low: Math.exp(interval.low),
      high: Math.exp(interval.high),
      level: interval.level,
    },
    pSlower: isGreaterP(old, now),
    pFaster: isGreaterP(now, old),
    pDelta: isGreaterP(now, asSlowAsDelta),
    detectable: interval && detectableByInterval(interval),
  }
}

/**
 * Only whole numbers per operation are facts here: forks of two runs have batches of different length, and what is
 * shared by several operations divides differently.
 */
function countersOf(
  before: readonly ForkSummary[],
  after: readonly ForkSummary[],
  tolerances: Readonly<Record<string, number>> | undefined,
): CounterComparison {
  const whole = (forks: readonly ForkSummary[]) =>
    forks.map(({ countersPerOperation }) =>
      Object.fromEntries(Object.entries(countersPerOperation).filter(([, count]) => Number.isInteger(count))),
    )
  const [old, now] = [whole(before), whole(after)]
  const names = new Set([...old, ...now].flatMap((counts) => Object.keys(counts)))
  const exact = [...names].filter((name) => [...old, ...now].every((counts) => name in counts))
  const only = (sides: readonly Readonly<Record<string, number>>[]) =>
    sides.map((counts) => Object.fromEntries(exact.map((name) => [name, counts[name]!])))
  const found = compareCounters(
    {
      type: 'counters',
      scenario: '',
      objects: 0,
      concurrency: { kind: 'async', workers: 1 },
      operations: 1,
      baseline: only(old),
      candidate: only(now),
    },
    tolerances ?? {},
  )
  return tolerances === undefined
    ? { ...found, changes: found.changes.map((change) => ({ ...change, gates: false })) }
    : found
}
