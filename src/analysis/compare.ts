/**
 * Two results files: what became faster, what slower? The runs were separate, so the machine's drift between them is
 * in every ratio; a gate, which measures both sides at once, sees less noise and may fail a build, this may not.
 */

import { closestName, ShootoutError, UsageError } from '../core/errors.ts'
import type { Results } from '../results/reader.ts'
import { settingKey } from '../results/reader.ts'
import type { ContenderRecord, Setting, SuiteLine } from '../results/schema.ts'
import { analyse } from './analyse.ts'
import type { Analysis, Cell, ForkSummary } from './model.ts'
import { equalShare } from './ratio.ts'
import type { Interval } from './stats/median-interval.ts'
import { falseDiscoveryRates } from './stats/multiplicity.ts'
import { detectableByInterval } from './stats/power.ts'
import { median } from './stats/quantiles.ts'
import { mannWhitneyP, shift } from './stats/two-sample.ts'

/** What must be equal for a ratio to mean something. */
export const comparedFields = ['machine', 'file-system', 'node', 'shootout', 'dataset', 'durability'] as const
export type ComparedField = (typeof comparedFields)[number]

export interface Mismatch {
  readonly field: ComparedField
  readonly before: string
  readonly after: string
}

export interface ComparisonSide {
  readonly path: string
  readonly startedAt: string
  readonly environment: SuiteLine['environment']
}

/** `faster` and `slower` are proven, `equivalent` is proven too; `unclear` is everything else. */
export type ComparisonWord = 'faster' | 'slower' | 'equivalent' | 'unclear'

export interface ComparedCell {
  readonly status: 'compared'
  readonly contender: string
  readonly setting: Setting
  /** Median time per operation over forks, ns. */
  readonly beforeNs: number
  readonly afterNs: number
  readonly forks: readonly [before: number, after: number]
  /** After over before: 1.05 is 5 % slower. */
  readonly ratio: number
  /** Exact 95 % interval. Undefined where there are too few forks, below 4 on both sides. */
  readonly interval: Interval | undefined
  /** Of no difference, two-sided. */
  readonly p: number
  /** False discovery rate over all rows. */
  readonly q: number
  /** A ratio this far from 1 would probably have been seen. */
  readonly detectable: number | undefined
  readonly word: ComparisonWord
}

/** Only one of the files has a number for it. */
export interface UncomparedCell {
  readonly status: 'uncompared'
  readonly contender: string
  readonly setting: Setting
  readonly reason: string
}

export interface Comparison {
  readonly before: ComparisonSide
  readonly after: ComparisonSide
  /** Those that the user allowed; others are refused. */
  readonly mismatches: readonly Mismatch[]
  readonly cells: readonly ComparedCell[]
  readonly uncompared: readonly UncomparedCell[]
}

/** Share of false alarms among rows that are called faster or slower. */
const falseShareMax = 0.05

/**
 * @throws ShootoutError `not-comparable` for a mismatch that is not allowed, `nothing-to-measure` when no cell is in
 *   both; UsageError `unknown-field`
 */
export function compare(before: Results, after: Results, allowed: readonly string[] = []): Comparison {
  for (const field of allowed) {
    if ((comparedFields as readonly string[]).includes(field)) continue
    const closest = closestName(field, comparedFields)
    throw new UsageError(
      'unknown-field',
      `"${field}" is not compared; ${closest === undefined ? `compared are ${comparedFields.join(', ')}` : `did you mean "${closest}"?`}`,
    )
  }
  const [old, now] = [analyse(before), analyse(after)]
  const labels = commonLabels(old, now)
  const mismatches = checkComparable(old.suite, now.suite, labels, allowed)

  const settings = settingsOfBoth(old, now)
  const [oldCells, cells] = [cellsOf(old), cellsOf(now)]
  const places = labels.flatMap(([oldLabel, label]) =>
    settings.map((setting) => ({
      contender: label,
      setting,
      before: unlessSkipped(oldCells(oldLabel, setting)),
      after: unlessSkipped(cells(label, setting)),
    })),
  )
  const uncompared: UncomparedCell[] = []
  const bare: Omit<ComparedCell, 'q' | 'word'>[] = []
  for (const { contender, setting, before: first, after: second } of places) {
    const reason = whyNot('first', first) ?? whyNot('second', second)
    if (reason === undefined) bare.push(compareForks(contender, setting, forksOf(first), forksOf(second)))
    else if (first !== undefined || second !== undefined)
      uncompared.push({ status: 'uncompared', contender, setting, reason })
  }
  if (bare.length === 0) {
    throw new ShootoutError(
      'nothing-to-measure',
      `${before.path} and ${after.path} have no cell with results in common; compare runs of the same contenders and settings`,
    )
  }
  const rates = falseDiscoveryRates(bare.map(({ p }) => p))
  return {
    before: sideOf(old),
    after: sideOf(now),
    mismatches,
    cells: bare.map((cell, index) => ({ ...cell, q: rates[index]!, word: wordFor(cell, rates[index]!) })),
    uncompared,
  }
}

function sideOf({ path, suite: { startedAt, environment } }: Analysis): ComparisonSide {
  return { path, startedAt, environment }
}

/** Contenders by label; where each file has one only, these two. */
function commonLabels(old: Analysis, now: Analysis): readonly (readonly [string, string])[] {
  if (old.contenders.length === 1 && now.contenders.length === 1) {
    return [[old.contenders[0]!.label, now.contenders[0]!.label]]
  }
  const known = new Set(old.contenders.map(({ label }) => label))
  return now.contenders.filter(({ label }) => known.has(label)).map(({ label }) => [label, label])
}

/**
 * @param labels of the contenders to be compared, before and after
 * @returns differences that were allowed
 * @throws ShootoutError `not-comparable` for any other
 */
export function checkComparable(
  old: SuiteLine,
  now: SuiteLine,
  labels: readonly (readonly [string, string])[],
  allowed: readonly string[],
): readonly Mismatch[] {
  const mismatches = findMismatches(old, now, labels)
  refuse(mismatches.filter(({ field }) => !allowed.includes(field)))
  return mismatches
}

/** One setting of one contender, as both files have it. */
export interface SideCells {
  readonly setting: Setting
  readonly before: Cell & { readonly status: 'measured' }
  readonly after: Cell | undefined
}

/** The settings that the first file has a number for. */
export function cellsToJudge(
  old: Analysis,
  now: Analysis,
  [oldLabel, label]: readonly [string, string],
): readonly SideCells[] {
  const [oldCells, cells] = [cellsOf(old), cellsOf(now)]
  return settingsOfBoth(old, now).flatMap((setting) => {
    const before = oldCells(oldLabel, setting)
    return before?.status === 'measured' ? [{ setting, before, after: cells(label, setting) }] : []
  })
}

function findMismatches(
  old: SuiteLine,
  now: SuiteLine,
  labels: readonly (readonly [string, string])[],
): Mismatch[] {
  const fields: Readonly<Record<Exclude<ComparedField, 'durability'>, (suite: SuiteLine) => string>> = {
    machine: ({ environment: { cpuModel, cpus, platform } }) =>
      `${cpuModel}, ${cpus} processors, ${platform}`,
    'file-system': ({ environment }) => environment.fileSystem,
    node: ({ environment }) => environment.node.replace(/^v/, '').split('.')[0]!,
    // Before 1.0, a minor version may change the method.
    shootout: ({ environment: { shootout } }) =>
      shootout
        .split('.')
        .slice(0, shootout.startsWith('0.') ? 2 : 1)
        .join('.'),
    // The seed only decides which random bytes: it changes no size and no count.
    dataset: ({ dataset: { recordBytes, compressibility } }) =>
      `records of ${typeof recordBytes === 'number' ? `${recordBytes} bytes` : JSON.stringify(recordBytes)}, compressibility ${compressibility}`,
  }
  const mismatches: Mismatch[] = []
  for (const [field, read] of Object.entries(fields)) {
    const [before, after] = [read(old), read(now)]
    if (before !== after) mismatches.push({ field: field as ComparedField, before, after })
  }
  for (const [oldLabel, label] of labels) {
    const [before, after] = [durabilityOf(old.contenders, oldLabel), durabilityOf(now.contenders, label)]
    if (before !== after)
      mismatches.push({
        field: 'durability',
        before: `${oldLabel}: ${before}`,
        after: `${label}: ${after}`,
      })
  }
  return mismatches
}

function durabilityOf(contenders: readonly ContenderRecord[], wanted: string): string {
  return contenders.find(({ label }) => label === wanted)!.durability
}

function refuse(mismatches: readonly Mismatch[]): void {
  if (mismatches.length === 0) return
  const differences = mismatches.map(({ field, before, after }) => `${field} (${before} → ${after})`)
  const flags = [...new Set(mismatches.map(({ field }) => `--allow-mismatch ${field}`))]
  throw new ShootoutError(
    'not-comparable',
    `the two runs differ in ${differences.join('; ')}. A ratio would show that difference as well; if you want it all the same, add ${flags.join(' ')}`,
    { details: { mismatches } },
  )
}

function settingsOfBoth(old: Analysis, now: Analysis): readonly Setting[] {
  const settings = new Map(now.groups.map(({ setting }) => [settingKey(setting), setting]))
  for (const { setting } of old.groups) {
    if (!settings.has(settingKey(setting))) settings.set(settingKey(setting), setting)
  }
  return [...settings.values()]
}

/** Finds the cell of a contender in a setting. */
function cellsOf({ groups }: Analysis): (contender: string, setting: Setting) => Cell | undefined {
  const cells = new Map(groups.map((group) => [settingKey(group.setting), group.cells]))
  return (contender, setting) => cells.get(settingKey(setting))?.find((cell) => cell.contender === contender)
}

function unlessSkipped(cell: Cell | undefined): Cell | undefined {
  return cell?.status === 'skipped' ? undefined : cell
}

function whyNot(which: 'first' | 'second', cell: Cell | undefined): string | undefined {
  if (cell === undefined) return `not in the ${which} file`
  return cell.status === 'measured' ? undefined : `${cell.status} in the ${which} file`
}

function forksOf(cell: Cell | undefined): readonly ForkSummary[] {
  return cell?.status === 'measured' ? cell.forks : []
}

function compareForks(
  contender: string,
  setting: Setting,
  before: readonly ForkSummary[],
  after: readonly ForkSummary[],
): Omit<ComparedCell, 'q' | 'word'> {
  const times = (forks: readonly ForkSummary[]) => forks.map(({ timePerOperationNs }) => timePerOperationNs)
  const [old, now] = [times(before), times(after)]
  const { estimate, interval } = shift(old.map(Math.log), now.map(Math.log))
  return {
    status: 'compared',
    contender,
    setting,
    beforeNs: median(old),
    afterNs: median(now),
    forks: [old.length, now.length],
    ratio: Math.exp(estimate),
    interval: interval && {
      low: Math.exp(interval.low),
      high: Math.exp(interval.high),
      level: interval.level,
    },
    p: mannWhitneyP(old, now),
    detectable: interval && detectableByInterval(interval),
  }
}

function wordFor({ interval }: Pick<ComparedCell, 'interval'>, q: number): ComparisonWord {
  if (interval === undefined) return 'unclear'
  const { low, high } = interval
  if (high <= 1 + equalShare && low >= 1 / (1 + equalShare)) return 'equivalent'
  if (q > falseShareMax || (low <= 1 && high >= 1)) return 'unclear'
  return low > 1 ? 'slower' : 'faster'
}
