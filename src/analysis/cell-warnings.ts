/** Warnings about how cells were measured. Each rule is a badness of a cell and the limit above which it is said. */

import { counted, significant } from '../core/units.ts'
import { halfWidthShare } from './estimate.ts'
import type { CellName, ForkSummary, MeasuredCell, Warning } from './model.ts'
import { coinCumulative } from './stats/binomial.ts'
import { valuesMinForInterval } from './stats/median-interval.ts'
import { median } from './stats/quantiles.ts'

export interface MeasuredPlace {
  readonly name: CellName
  readonly cell: MeasuredCell
}

interface Rule {
  readonly code: string
  readonly limit: number
  badness(cell: MeasuredCell): number
  /** Continues "3 of 40 cells …"; `worst` is the badness of the worst cell. */
  text(worst: number): string
  readonly advice: string
}

const rules: readonly Rule[] = [
  {
    code: 'too-few-forks',
    limit: 0,
    badness: (cell) => valuesMinForInterval - cell.timePerOperationNs.n,
    text: () =>
      `have fewer than ${valuesMinForInterval} forks, too few for a 95 % interval; the range is shown instead`,
    advice: 'Run with --forks 6 or more, or give a larger --budget.',
  },
  {
    code: 'noisy',
    // Wider intervals hide differences that people care about.
    limit: 0.1,
    badness: (cell) => halfWidthShare(cell.timePerOperationNs) ?? 0,
    text: (worst) => `have an interval wider than ±10 %, up to ±${percent(worst)}`,
    advice:
      'Ratios may still be narrow, as contenders took turns; else more forks or a quieter machine help.',
  },
  {
    code: 'start-skew',
    // Who starts later runs part of its work with less company than the cell's name says.
    limit: 0.05,
    badness: (cell) => ofForks(cell, (fork) => fork.skewShare),
    text: (worst) => `had workers that started up to ${percent(worst)} of their window apart`,
    advice:
      'Their real concurrency is lower than it says: use fewer workers than processors, or longer batches.',
  },
  {
    code: 'low-overlap',
    limit: 0.2,
    badness: (cell) => 1 - ofForks(cell, (fork) => fork.overlapShare),
    text: (worst) =>
      `had all workers busy at once for less than 80 % of their time, down to ${percent(1 - worst)}`,
    advice: 'Operations per second hold for the common window only; longer batches help.',
  },
  {
    code: 'imbalance',
    limit: 1.2,
    badness: (cell) => ofForks(cell, (fork) => fork.imbalance),
    text: (worst) => `had a worker that took up to ${significant(worst)} times as long as the mean worker`,
    advice: 'Some workers wait for others; the time per operation is the mean of all.',
  },
  {
    code: 'warming-up',
    // Less than this is within what people call equal.
    limit: 0.05,
    badness: (cell) => -provenDrift(cell),
    text: (worst) =>
      `were still getting faster while they were measured, by up to ${percent(worst)} from the earlier to the later half`,
    advice:
      'Their steady time is shorter: run with --forks or a larger --budget, which give more time to warm up.',
  },
  {
    code: 'slowing-down',
    limit: 0.05,
    badness: provenDrift,
    text: (worst) =>
      `got slower while they were measured, by up to ${percent(worst)} from the earlier to the later half`,
    advice:
      'The time depends on how long one measures, as with a store that grows: compare contenders, which did the same work, not the number with that of another run.',
  },
]

/**
 * By how much the later half of the batches took longer, as a share: the median over forks, where a sign test at 5 %
 * says that it is no accident, else 0.
 */
function provenDrift({ forks }: MeasuredCell): number {
  const shares = forks.map(({ drift }) => drift - 1)
  const drift = median(shares)
  const against = shares.filter((share) => Math.sign(share) !== Math.sign(drift)).length
  return 2 * coinCumulative(against, shares.length) <= 0.05 ? drift : 0
}

export function findCellWarnings(measured: readonly MeasuredPlace[]): Warning[] {
  return rules.flatMap(({ code, limit, badness, text, advice }) => {
    const found = measured
      .map((one) => ({ ...one, bad: badness(one.cell) }))
      .filter(({ bad }) => bad > limit)
      .sort((a, b) => b.bad - a.bad)
    const worst = found[0]
    if (worst === undefined) return []
    const example = found.length > 1 || measured.length > 1 ? ` (${describeCell(worst.name)})` : ''
    return [
      {
        code,
        text: `${countOf(found, measured)} ${found.length === 1 ? singular(text(worst.bad)) : text(worst.bad)}${code === 'too-few-forks' ? '' : example}.`,
        advice,
        cells: found.map(({ name }) => name),
      },
    ]
  })
}

/** `3 of 40 cells`, `All 12 cells`, `The only cell`. */
export function countOf(part: readonly unknown[], whole: readonly unknown[]): string {
  if (whole.length === 1) return 'The only cell'
  return part.length === whole.length
    ? `All ${whole.length} cells`
    : `${part.length} of ${whole.length} cells`
}

function singular(text: string): string {
  return text
    .replace(/^have /, 'has ')
    .replace(/^were /, 'was ')
    .replace(' they were ', ' it was ')
}

export function percent(share: number): string {
  return `${significant(share * 100)} %`
}

function describeCell({ contender, scenario, objects, concurrency }: CellName): string {
  const count = counted(objects, 'object')
  return `${contender}, ${scenario} ${count}, ${concurrency.kind} ${concurrency.workers}`
}

function ofForks(cell: MeasuredCell, value: (fork: ForkSummary) => number): number {
  return median(cell.forks.map(value))
}
