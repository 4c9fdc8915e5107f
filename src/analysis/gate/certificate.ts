/**
 * What the selftest found: gates with a known truth, and what the gate said. A pure summary; the trials themselves are
 * in it, so anybody can count again.
 */

import type { EnvironmentRecord } from '../../results/schema.ts'
import { lowerBound, upperBound } from '../stats/proportion.ts'
import type { CounterChange } from './counters.ts'
import type { Policy } from './policy.ts'
import type { Ground, Verdict } from './suite.ts'

/** One gate of one cell. */
export interface Trial {
  readonly storage: string
  readonly scenario: string
  /** Extra operations of the candidate: 0.05 is 5 % more. */
  readonly extra: number
  readonly verdict: Verdict
  readonly ground: Ground
  /** Measured ratio; the truth is `1 + extra`. Undefined where there were no pairs. */
  readonly ratio: number | undefined
  readonly interval: { readonly low: number; readonly high: number } | undefined
  readonly pairs: number
  readonly elapsedNs: number
}

/** Extra work that was counted, not timed. */
export interface CountedTrial {
  readonly storage: string
  readonly scenario: string
  /** What was added. */
  readonly extra: 'operations' | 'record bytes' | 'sync' | 'nothing'
  /** Counters that grew. */
  readonly changes: readonly CounterChange[]
  readonly isRight: boolean
}

export interface Rate {
  readonly extra: number
  readonly gates: number
  readonly failed: number
  readonly undecided: number
}

export interface Certificate {
  readonly format: 1
  readonly startedAt: string
  readonly seed: string
  readonly environment: EnvironmentRecord
  readonly policy: Policy
  readonly trials: readonly Trial[]
  readonly counted: readonly CountedTrial[]
  /** Gates of equal sides. `rateMax`: the true rate is below this, with 95 %. */
  readonly falseAlarms: { readonly gates: number; readonly failed: number; readonly rateMax: number }
  /** Gates of unequal sides, by how unequal. `powerMin`: the true power is above this, with 95 %. */
  readonly power: readonly (Rate & { readonly powerMin: number })[]
  readonly verdict: CertificateVerdict
}

/**
 * `proven`: few false alarms and almost every slowdown of `delta` or more found, as promised. `undecided`: gates could
 * not tell, or were too few. `missed` and `broken`: what was seen contradicts the promise, or work was counted wrong.
 */
export type CertificateVerdict = 'proven' | 'undecided' | 'missed' | 'broken'

export function certify(
  facts: Pick<Certificate, 'startedAt' | 'seed' | 'environment' | 'policy'>,
  trials: readonly Trial[],
  counted: readonly CountedTrial[],
): Certificate {
  const rates = [...new Set(trials.map(({ extra }) => extra))]
    .sort((a, b) => a - b)
    .map((extra) => rateOf(extra, trials))
  const equal = rates.find(({ extra }) => extra === 0) ?? { gates: 0, failed: 0 }
  return {
    format: 1,
    ...facts,
    trials,
    counted,
    falseAlarms: {
      gates: equal.gates,
      failed: equal.failed,
      rateMax: equal.gates === 0 ? 1 : upperBound(equal.failed, equal.gates),
    },
    power: rates
      .filter(({ extra }) => extra > 0)
      .map((rate) => ({ ...rate, powerMin: lowerBound(rate.failed, rate.gates) })),
    verdict: verdictOf(rates, counted, facts.policy),
  }
}

function rateOf(extra: number, trials: readonly Trial[]): Rate {
  const those = trials.filter((trial) => trial.extra === extra)
  const count = (...verdicts: readonly Verdict[]) =>
    those.filter(({ verdict }) => verdicts.includes(verdict)).length
  return { extra, gates: those.length, failed: count('fail'), undecided: count('inconclusive', 'failed') }
}

/** What the gate promises: see docs/statistics.md. */
const falseAlarmsMax = 0.01
const powerMin = 0.95

/** One miss among many gates is no contradiction; one among a few proves nothing. */
const foundShareMin = 0.9

function verdictOf(
  rates: readonly Rate[],
  counted: readonly CountedTrial[],
  policy: Policy,
): CertificateVerdict {
  const equal = rates.filter(({ extra }) => extra === 0)
  // What is smaller than delta may be called either way.
  const unequal = rates.filter(({ extra }) => extra >= policy.delta)
  if (counted.some(({ isRight }) => !isRight)) return 'broken'
  if (equal.some(({ failed, gates }) => lowerBound(failed, gates) > falseAlarmsMax)) return 'broken'
  if (unequal.some(({ failed, gates, undecided }) => upperBound(failed, gates - undecided) < powerMin))
    return 'missed'
  const isClear =
    equal.length > 0 &&
    unequal.length > 0 &&
    [...equal, ...unequal].every(({ undecided }) => undecided === 0) &&
    unequal.every(({ failed, gates }) => failed >= foundShareMin * gates)
  return isClear ? 'proven' : 'undecided'
}
