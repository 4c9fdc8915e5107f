/**
 * What the selftest found: gates with a known truth, and what the gate said. A pure summary; the trials themselves are
 * in it, so anybody can count again.
 */

import type { EnvironmentRecord } from '../../results/schema.ts'
import { spreadAround } from '../stats/power.ts'
import { lowerBound, upperBound } from '../stats/proportion.ts'
import { median } from '../stats/quantiles.ts'
import type { CounterChange } from './counters.ts'
import type { Metric } from './pair-values.ts'
import type { Policy } from './policy.ts'
import type { Ground, Verdict } from './suite.ts'

/** One storage and how it was tried; one pilot and one length of batches serve all its gates. */
export interface Subject {
  readonly storage: string
  readonly scenario: string
  readonly objects: number
  /** Per batch. */
  readonly operations: number
  /** Its operations wait for a disk. */
  readonly waitsForDisk: boolean
  /** How much more time twice the operations take: 1 where a batch costs nothing but its operations. */
  readonly worth: number
}

/** One gate of one cell. */
export interface Trial {
  readonly storage: string
  readonly scenario: string
  /** Extra operations of the candidate: 0.05 is 5 % more. */
  readonly extra: number
  /** Extra time that these operations are worth. The measured ratio should be 1 and this. */
  readonly expected: number
  /** Busy processes and a writer ran beside it during about half of its blocks, and no block was set aside. */
  readonly isDisturbed: boolean
  readonly verdict: Verdict
  readonly ground: Ground
  /** Measured ratio. Undefined where there were no pairs. */
  readonly ratio: number | undefined
  readonly interval: { readonly low: number; readonly high: number } | undefined
  readonly metric: Metric | undefined
  /** Log ratios of its pairs in that metric, in order. */
  readonly values: readonly number[]
  readonly elapsedNs: number
}

/** Extra work that was counted, not timed. */
export interface CountedTrial {
  readonly storage: string
  readonly scenario: string
  /** What was added. */
  readonly extra: 'operations' | 'record bytes' | 'sync' | 'nothing'
  /** In words. */
  readonly expected: string
  /** Counters that changed. */
  readonly changes: readonly CounterChange[]
  readonly isRight: boolean
}

/** A whole `shootout gate` that had nothing to measure, or was killed. */
export interface ConductTrial {
  readonly kind: 'vacuity' | 'kill'
  /** What was done to it. */
  readonly name: string
  readonly expected: string
  readonly observed: string
  readonly isRight: boolean
}

export interface Rate {
  readonly storage: string
  readonly extra: number
  readonly gates: number
  readonly failed: number
  readonly undecided: number
}

export interface Power extends Rate {
  readonly expected: number
  /** Medians and extremes of the measured slowdowns, 0.05 is 5 %; undefined without pairs. */
  readonly measured: { readonly median: number; readonly min: number; readonly max: number } | undefined
  /** The true power is above this, with 95 %. */
  readonly powerMin: number
}

/** How quiet and how quick gates of one storage were; disturbed ones do not count. */
export interface Conditions extends Subject {
  readonly metric: Metric | undefined
  /** Robust standard deviation of the log ratios of equal sides; undefined without pairs. */
  readonly sigma: number | undefined
  readonly equalPairs: number
  readonly pairsPerGate: number
  readonly pairNs: number
  readonly gateNs: number
  readonly gateNsMax: number
}

export interface CertificateFacts {
  readonly startedAt: string
  readonly elapsedNs: number
  readonly seed: string
  /** The command that does it again. */
  readonly again: string
  readonly environment: EnvironmentRecord
  readonly policy: Policy
}

export interface Found {
  readonly subjects: readonly Subject[]
  readonly trials: readonly Trial[]
  readonly counted: readonly CountedTrial[]
  readonly conduct: readonly ConductTrial[]
  /** What was not tried, and why. */
  readonly untried: readonly string[]
}

export interface Certificate extends CertificateFacts, Omit<Found, 'subjects'> {
  readonly format: 2
  /** Gates of equal sides on the machine as it was. `rateMax`: the true rate is below this, with 95 %. */
  readonly falseAlarms: {
    readonly gates: number
    readonly failed: number
    readonly undecided: number
    readonly rateMax: number
    readonly byStorage: readonly Rate[]
  }
  /** Gates of unequal sides, by storage and by how unequal. */
  readonly power: readonly Power[]
  /** The same for gates beside which something else was busy. */
  readonly disturbed: readonly Rate[]
  readonly conditions: readonly Conditions[]
  readonly verdict: CertificateVerdict
}

/**
 * `kept`: few false alarms and almost every slowdown of `delta` or more found, as promised. `undecided`: gates could
 * not tell, or were too few. `missed` and `broken`: what was seen contradicts the promise, or work was counted wrong, or
 * something that measured nothing has passed.
 */
export type CertificateVerdict = 'kept' | 'undecided' | 'missed' | 'broken'

export function certify(facts: CertificateFacts, { subjects, ...found }: Found): Certificate {
  const { trials, counted, conduct } = found
  const quiet = trials.filter(({ isDisturbed }) => !isDisturbed)
  const rates = ratesOf(quiet)
  const disturbed = ratesOf(trials.filter(({ isDisturbed }) => isDisturbed))
  const equal = rates.filter(({ extra }) => extra === 0)
  const [gates, failed, undecided] = [sum(equal, 'gates'), sum(equal, 'failed'), sum(equal, 'undecided')]
  return {
    format: 2,
    ...facts,
    ...found,
    falseAlarms: {
      gates,
      failed,
      undecided,
      rateMax: gates === 0 ? 1 : upperBound(failed, gates),
      byStorage: equal,
    },
    power: rates.filter(({ extra }) => extra > 0).map((rate) => powerOf(rate, quiet)),
    disturbed,
    conditions: subjects.map((subject) => conditionsOf(subject, quiet)),
    verdict: [...counted, ...conduct].some(({ isRight }) => !isRight)
      ? 'broken'
      : verdictOf(rates, disturbed, facts.policy),
  }
}

function sum(rates: readonly Rate[], name: 'gates' | 'failed' | 'undecided'): number {
  return rates.reduce((total, rate) => total + rate[name], 0)
}

function ratesOf(trials: readonly Trial[]): readonly Rate[] {
  const keys = [
    ...new Map(trials.map(({ storage, extra }) => [`${storage}/${extra}`, { storage, extra }])).values(),
  ]
  return keys
    .map(({ storage, extra }) => {
      const those = trials.filter((trial) => trial.storage === storage && trial.extra === extra)
      const count = (...verdicts: readonly Verdict[]) =>
        those.filter(({ verdict }) => verdicts.includes(verdict)).length
      return {
        storage,
        extra,
        gates: those.length,
        failed: count('fail'),
        undecided: count('inconclusive', 'failed'),
      }
    })
    .sort((a, b) => a.extra - b.extra)
}

function powerOf(rate: Rate, trials: readonly Trial[]): Power {
  const those = trials.filter(({ storage, extra }) => storage === rate.storage && extra === rate.extra)
  const slowdowns = those.flatMap(({ ratio }) => (ratio === undefined ? [] : [ratio - 1]))
  return {
    ...rate,
    expected: those[0]!.expected,
    measured:
      slowdowns.length === 0
        ? undefined
        : { median: median(slowdowns), min: Math.min(...slowdowns), max: Math.max(...slowdowns) },
    powerMin: lowerBound(rate.failed, rate.gates),
  }
}

function conditionsOf(subject: Subject, trials: readonly Trial[]): Conditions {
  const those = trials.filter(({ storage, values }) => storage === subject.storage && values.length > 0)
  const equal = those.filter(({ extra }) => extra === 0).flatMap(({ values }) => values)
  const middle = (value: (trial: Trial) => number) => (those.length === 0 ? 0 : median(those.map(value)))
  return {
    ...subject,
    metric: those[0]?.metric,
    sigma: equal.length === 0 ? undefined : spreadAround(equal),
    equalPairs: equal.length,
    pairsPerGate: middle(({ values }) => values.length),
    pairNs: middle(({ elapsedNs, values }) => elapsedNs / values.length),
    gateNs: middle(({ elapsedNs }) => elapsedNs),
    gateNsMax: Math.max(0, ...those.map(({ elapsedNs }) => elapsedNs)),
  }
}

/** What the gate promises: see docs/statistics.md. */
const falseAlarmsMax = 0.01
const powerMin = 0.95

/** One miss among many gates is no contradiction; one among a few proves nothing. */
export const foundShareMin = 0.9

function verdictOf(rates: readonly Rate[], disturbed: readonly Rate[], policy: Policy): CertificateVerdict {
  // What is smaller than delta may be called either way.
  const isEqual = ({ extra }: Rate) => extra === 0
  const isUnequal = ({ extra }: Rate) => extra >= policy.delta
  const [equal, unequal] = [rates.filter(isEqual), rates.filter(isUnequal)]
  const all = [...rates, ...disturbed]
  const alarms = all.filter(isEqual)
  if (lowerBound(sum(alarms, 'failed'), sum(alarms, 'gates')) > falseAlarmsMax) return 'broken'
  const misses = all.filter(isUnequal)
  const told = ({ gates, undecided }: Rate) => gates - undecided
  if (misses.some((rate) => upperBound(rate.failed, told(rate)) < powerMin)) return 'missed'
  const storages = new Set(rates.map(({ storage }) => storage))
  const isClear =
    storages.size > 0 &&
    [...storages].every((storage) =>
      [equal, unequal].every((those) => those.some((rate) => rate.storage === storage)),
    ) &&
    [...equal, ...unequal].every(({ undecided }) => undecided === 0) &&
    unequal.every(({ failed, gates }) => failed >= foundShareMin * gates) &&
    disturbed.filter(isUnequal).every(({ failed, undecided, gates }) => failed + undecided === gates)
  return isClear ? 'kept' : 'undecided'
}
