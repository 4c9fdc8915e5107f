/** The verdicts of a gate in sentences that all its outputs share. No colours, no layout. */

import type { CounterChange } from '../analysis/gate/counters.ts'
import type { Drift } from '../analysis/gate/drift.ts'
import type { Change } from '../analysis/gate/explain.ts'
import type { Policy } from '../analysis/gate/policy.ts'
import { pairsMax } from '../analysis/gate/policy.ts'
import type { GateReport, OverallVerdict, ReportedCell } from '../analysis/gate/report-model.ts'
import type { MachineSummary } from '../analysis/gate/sentinel.ts'
import { shellWord } from '../core/shell-word.ts'
import { counted, formatDuration, formatWait } from '../core/units.ts'
import { percentText, rangeText, settingText } from './phrases.ts'

/** `add, async 1, 20 objects`. */
export function gateCellText({ setting }: Pick<ReportedCell, 'setting'>): string {
  return `${setting.scenario}, ${settingText(setting)}`
}

/** `1.052 (1.041–1.060)`, or nothing where there are no pairs. */
export function gateRatioText({ evidence }: Pick<ReportedCell, 'evidence'>): string {
  if (evidence === undefined) return ''
  const { ratio, interval } = evidence
  return interval === undefined
    ? ratio.toFixed(3)
    : `${ratio.toFixed(3)} (${interval.low.toFixed(3)}–${interval.high.toFixed(3)})`
}

/** Why the cell has its verdict, as a sentence. */
export function reasonOf(cell: ReportedCell, general: Policy): string {
  const policy = { ...general, ...cell.limits }
  const { ground, verdict, evidence, failure, counters, guards, metric } = cell
  switch (ground) {
    case 'failure':
      return `${failure!.side} failed: ${failure!.error.message} (${failure!.step}, ${failure!.error.code})`
    case 'counters':
      return `more work per operation: ${counters!.changes
        .filter(({ gates }) => gates)
        .map(counterText)
        .join('; ')}`
    case 'guard':
      return `${guards
        .map(({ guard, ratio }) => `${guardNames[guard.name]} grew by ${percentText(ratio - 1)}`)
        .join(' and ')}, in ${evidence!.pairs} pairs; the typical time did not`
    case 'machine':
      return 'the machine is too noisy: too many blocks were disturbed from outside; use a quieter machine'
    case 'budget':
      return evidence === undefined
        ? `the budget left no time for its pairs${missingText(cell)}; give a larger --budget or fewer cells`
        : `the budget ended after ${evidence.pairs} pairs${missingText(cell)}; give a larger --budget or fewer cells`
    case 'noise':
      return evidence === undefined
        ? `too noisy to begin with: the baseline differs from itself by ${percentText(metric!.sigma)} from pair to pair, so some ${cell.pairsNeeded} pairs would be needed and ${pairsMax(policy)} is the most; use a quieter machine or raise --delta`
        : `could not tell after ${countText(cell)}; use a quieter machine or raise --delta`
    case 'time':
      if (verdict === 'fail') {
        const { interval, ratio } = evidence!
        const range = interval === undefined ? '' : ` (${rangeText(interval.low, interval.high)})`
        return `slower by ${percentText(ratio - 1)}${range}, proven by ${countText(cell)} of ${metricNames[metric?.metric ?? 'wall']}`
      }
      return `${cell.isFaster ? `faster by ${percentText(1 - evidence!.ratio)}; ` : ''}slower than ${percentText(policy.delta)} is excluded; ${countText(cell)}${seen(evidence!.detectable)}`
  }
}

function missingText({ missingNs }: ReportedCell): string {
  return missingNs === undefined ? '' : `, which take about ${formatWait(missingNs)} more`
}

/** `12 pairs`, or what there is instead of a saved baseline. */
function countText({ savedForks, evidence }: ReportedCell): string {
  return savedForks === undefined
    ? `${evidence!.pairs} pairs`
    : `${savedForks.after} forks against ${savedForks.before} saved ones`
}

function seen(detectable: number | undefined): string {
  return detectable === undefined ? '' : ` could have seen ${percentText(detectable)}`
}

export const metricNames = {
  wall: 'wall time',
  floor: 'wall time (first quartile)',
  cpu: 'CPU time',
} as const
const guardNames = { mean: 'the mean time', p99: 'the 99th percentile', memory: 'memory' } as const

/** `syncs 1 → 2`. Exact, unlike times: a thousandth of a byte per operation is a change. */
export function counterText({
  name,
  baseline,
  candidate,
}: Pick<CounterChange, 'name' | 'baseline' | 'candidate'>): string {
  const text = (value: number) => String(Number(value.toFixed(3)))
  return `${name} ${text(baseline)} → ${text(candidate)}`
}

/** Changes that do not gate, for a note. */
export function countersNote({ counters }: Pick<ReportedCell, 'counters'>): string | undefined {
  const changes = counters?.changes.filter(({ gates }) => !gates) ?? []
  return changes.length === 0 ? undefined : `work per operation: ${changes.map(counterText).join('; ')}`
}

export const overallWords: Readonly<Record<OverallVerdict, string>> = {
  pass: 'PASS',
  fail: 'FAIL',
  inconclusive: 'INCONCLUSIVE',
  failed: 'INCOMPLETE',
  nothing: 'NOTHING MEASURED',
}

/** What the gate as a whole found. */
export function overallText(report: GateReport): string {
  const { cells, policy, verdict } = report
  const count = (wanted: string) => cells.filter((cell) => cell.verdict === wanted).length
  const pairs = cells.reduce((sum, cell) => sum + cell.pairs, 0)
  const counts = [
    [count('fail'), 'slower'],
    [count('failed'), 'failed'],
    [count('inconclusive'), 'undecided'],
    [count('pass'), 'not slower'],
  ].flatMap(([number, word]) => (number === 0 ? [] : [`${number} ${word}`]))
  const meaning: Readonly<Record<OverallVerdict, string>> = {
    pass: `no cell is slower by ${percentText(policy.delta)} or more`,
    fail: 'a regression is proven',
    inconclusive: 'it could not be told for every cell',
    failed: 'some cells could not be measured',
    nothing: 'no cell could be measured',
  }
  return `${meaning[verdict]}. ${counted(cells.length, 'cell')}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}, ${pairs} ${report.savedAt === undefined ? 'pairs' : 'forks'}, ${formatWait(report.elapsedNs)}.${savedText(report)}${goingOnText(report)}`
}

/** What to do about cells that were not finished. */
function goingOnText({ cells, interrupted, journal }: GateReport): string {
  const resume = `--resume ${shellWord(journal)}`
  if (interrupted) return ` The gate was interrupted; add ${resume} to its command to go on.`
  const missingNs = cells.reduce((sum, cell) => sum + (cell.missingNs ?? 0), 0)
  if (missingNs === 0) return ''
  // Pairs vary, and a suspect takes more of them.
  const minutes = Math.ceil((1.2 * missingNs) / 60e9)
  return ` The budget was too short by about ${formatWait(missingNs)}; add ${resume} --budget ${minutes}m to its command to go on.`
}

/** Why a cell became slower, one sentence a line. */
export function explanationLines({ explanation }: Pick<ReportedCell, 'explanation'>): readonly string[] {
  if (explanation === undefined) return []
  const { time, parts, functions, counters, garbageCollection, loopDelay, pairs, profiles } = explanation
  const signed = (ns: number) => `${ns < 0 ? '−' : '+'}${formatDuration(Math.abs(ns))}`
  const by = (change: Change) => signed(change.candidate - change.baseline)
  const fromTo = (change: Change) =>
    `${change.name} ${formatDuration(change.baseline)} → ${formatDuration(change.candidate)}`
  /** A function that was never seen on one side is the best hint of all, and no time of 0. */
  const functionText = (change: Change) => {
    const { name, baseline, candidate } = change
    if (baseline === 0) return `${name} ${formatDuration(candidate)}, in the candidate only`
    if (candidate === 0) return `${name} ${formatDuration(baseline)}, in the baseline only`
    return fromTo(change)
  }
  const gained = functions.filter(({ baseline, candidate }) => candidate > baseline)
  const lost = functions.filter(({ baseline, candidate }) => candidate < baseline)
  return [
    `${fromTo(time)} in ${pairs} pairs with a profiler (${by(time)}: ${parts.map((part) => `${part.name} ${by(part)}`).join(', ')})`,
    ...(gained.length === 0
      ? ['no function stands out']
      : [`more time in ${gained.map(functionText).join('; ')} (what V8 inlined counts for its caller)`]),
    ...(lost.length === 0 ? [] : [`less time in ${lost.map(functionText).join('; ')}`]),
    counters.length === 0
      ? 'no counter changed'
      : `counters: ${counters.map(({ name, baseline, candidate }) => counterText({ name, baseline, candidate })).join('; ')}`,
    `${fromTo(garbageCollection)} per operation; event loop late by at most ${formatDuration(loopDelay.baseline)} → ${formatDuration(loopDelay.candidate)}`,
    `profiles, for the flame chart of any browser: ${profiles}`,
  ]
}

/** What the machine was like, and which blocks it cost. */
export function machineText({ blocks, setAside, typical, rulerSpread, missing }: MachineSummary): string {
  const waits = [
    ['a processor', typical.cpuPressure],
    ['a disk', typical.ioPressure],
    ['memory', typical.memoryPressure],
  ] as const
  const pressure = waits
    .flatMap(([what, share]) => (share === undefined ? [] : [`for ${what} ${percentText(share)}`]))
    .join(', ')
  const facts = [
    ...(pressure === '' ? [] : [`somebody waited ${pressure} of the time`]),
    ...(typical.stolen === undefined ? [] : [`stolen ${percentText(typical.stolen)}`]),
    ...(typical.throttled === undefined ? [] : [`throttled ${percentText(typical.throttled)}`]),
    `processor ruler ${formatDuration(typical.cpuRulerNs)} ±${percentText(rulerSpread.cpu)}`,
    `fsync ruler ${formatDuration(typical.fsyncRulerNs)} ±${percentText(rulerSpread.fsync)}`,
  ]
  const cost =
    setAside.length === 0
      ? `All ${blocks} blocks count.`
      : `${setAside.length} of ${blocks} blocks set aside for both sides (${setAside.map(({ block, reason }) => `block ${block}: ${reason}`).join('; ')}).`
  const unread = missing.length === 0 ? '' : ` Not to be read here: ${missing.join(', ')}.`
  return `The machine: ${facts.join('; ')}. ${cost}${unread}`
}

function savedText({ savedAt }: GateReport): string {
  return savedAt === undefined
    ? ''
    : ` Weaker than measuring both sides now: the baseline is of ${savedAt.slice(0, 16).replace('T', ' ')}, and whatever has changed on this machine since then is in every ratio.`
}

export function driftText({ evidence, cells, isSlower }: Drift): string {
  const { ratio, interval, pairs } = evidence
  const range = interval === undefined ? '' : ` (${interval.low.toFixed(3)}–${interval.high.toFixed(3)})`
  return `All ${cells} cells together, geometric mean over ${pairs} blocks: ${ratio.toFixed(3)}${range}${isSlower ? '; the suite as a whole became slower' : ''}.`
}
