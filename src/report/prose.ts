/**
 * The summary in plain language: which storage is faster, by how much, how sure; then what was run, and on what.
 * Sentences without colours, one per entry; the reports wrap and decorate them.
 */

import type { Analysis, Group, Place, Ranking, Tier } from '../analysis/model.ts'
import { describeRecordSizes } from '../core/record-sizes.ts'
import { formatBytes, formatDuration, formatWait } from '../core/units.ts'
import type { SuiteLine } from '../results/schema.ts'
import { durabilityText, intervalText, isWide, percentText, rangeText, timesText } from './phrases.ts'

export interface ScenarioSentence {
  readonly scenario: string
  readonly sentence: string
}

/** One sentence per scenario and tier. */
export function rankingSentences({ summary }: Analysis): readonly ScenarioSentence[] {
  return summary.scenarios.flatMap(({ scenario, rankings }) =>
    rankings.map((ranking) => ({ scenario, sentence: rankingSentence(ranking) })),
  )
}

function rankingSentence({ places, settings, settingsOfScenario, absent }: Ranking): string {
  const [first, ...others] = places
  const all = places.length === 2 ? 'both' : 'all'
  const scope = settings < settingsOfScenario ? ` that ${all} have` : ''
  const missing = absent.length === 0 ? '' : ` No result: ${absent.join(', ')}.`
  const n = Math.min(
    ...others.map(({ ratio }) =>
      ratio?.estimate.interval === undefined ? (ratio?.estimate.n ?? 0) : Infinity,
    ),
  )
  if (Number.isFinite(n)) return `${unsureSentence(first!.contender, others, n)}${missing}`
  const clauses = others.map((place) => placeClause(place, first!.contender, settings, scope))
  const isProven = others.every(({ ratio }) => ratio?.verdict === 'slower')
  return `${isProven ? `${first!.contender} is fastest. ` : ''}${clauses.join('. ')}.${missing}`
}

/** Too few forks for an interval somewhere: nothing is claimed of anybody. */
function unsureSentence(first: string, others: readonly Place[], n: number): string {
  const list = others.map(({ contender, ratio }) =>
    ratio === undefined
      ? `${contender} has no fork in common with it`
      : `${contender} took ${timesText(ratio.estimate.median)} the time`,
  )
  const few =
    n === 0
      ? 'there is nothing to be sure with'
      : n === 1
        ? '1 fork is too few to be sure'
        : `${n} forks are too few to be sure`
  return `${first} seems fastest, but ${few}: ${list.join(', ')}.`
}

function placeClause(place: Place, first: string, settings: number, scope: string): string {
  const { contender } = place
  const { estimate, verdict, detectable } = place.ratio!
  const { median } = estimate
  const { low, high } = estimate.interval!
  const over = settings === 1 ? '' : `, over ${settings} settings${scope}`
  if (verdict === 'equal') return `${contender} and ${first} are equal within 2 %${over}`
  if (verdict === 'unclear') {
    return `${contender} and ${first} cannot be told apart: ${intervalText(median, low, high, '')}${over}; a difference of ${percentText(detectable!)} would probably have shown`
  }
  const time = intervalText(median, low, high, ' the time')
  if (settings === 1) return `${contender} takes ${time}`
  return `${contender} takes ${time}, ${rangeText(place.ratioMin, place.ratioMax)} by setting, ${countText(place, settings)}${scope}`
}

/** `slower in all 6 settings`, `slower in 4 and faster in 1 of 6 settings`. */
function countText({ slowerIn, fasterIn }: Place, settings: number): string {
  if (slowerIn === settings) return `slower in ${settings === 2 ? 'both' : `all ${settings}`} settings`
  if (slowerIn === 0 && fasterIn === 0) return `unclear in each of ${settings} settings`
  const parts = [
    ...(slowerIn > 0 ? [`slower in ${slowerIn}`] : []),
    ...(fasterIn > 0 ? [`faster in ${fasterIn}`] : []),
  ]
  return `${parts.join(' and ')} of ${settings} settings`
}

/** `full (a commit survives loss of power): file, sqlite`. */
export function tierSentence({ durability, contenders }: Tier): string {
  return `${durability} (a commit ${durabilityText(durability)}): ${contenders.join(', ')}`
}

/** What the numbers in a table are; what marks mean is said by each report for its own. */
export function legendSentences({ groups, reference }: Analysis): readonly string[] {
  const times = groups.flatMap(({ cells }) =>
    cells.flatMap((cell) => (cell.status === 'measured' ? [cell.timePerOperationNs] : [])),
  )
  const hasRange = times.some(({ interval }) => interval === undefined)
  const hasWide = times.some(isWide)
  return [
    `Time per operation as one worker sees it (median over forks ± half the 95 % interval${hasWide ? ', both ends where it is wide' : ''}), operations per second of all workers, ratio of times to ${reference} (95 % interval).`,
    ...(hasRange ? ['In brackets: the whole range of the forks, because an interval takes at least 6.'] : []),
  ]
}

/** What was run. */
export function runSentence({ suite, end, groups, summary: { counts } }: Analysis): string {
  const { dataset } = suite
  const cells = [
    `${counts.measured} cells measured`,
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
    ...(counts.missing > 0 ? [`${counts.missing} not reached`] : []),
  ]
  const time = end === undefined ? [] : [formatWait(end.elapsedNs)]
  return [
    suite.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC'),
    ...time,
    cells.join(', '),
    forksText(groups, suite),
    `records of ${describeRecordSizes(dataset.recordBytes)}`,
    `seed ${suite.seed}`,
    `plan ${suite.planHash}`,
  ].join(' · ')
}

/** `6 forks of 5 batches`, `6–12 forks of 5 batches for a budget of 5m 00s`: as many as the cells have. */
function forksText(groups: readonly Group[], { batches, budgetNs, precision }: SuiteLine): string {
  const counts = groups.flatMap(({ cells }) =>
    cells.flatMap((cell) => (cell.status === 'measured' ? [cell.timePerOperationNs.n] : [])),
  )
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  const forks = counts.length === 0 ? 'no forks' : least === most ? `${most} forks` : `${least}–${most} forks`
  const reason =
    precision !== undefined
      ? ` for a precision of ${percentText(precision)}`
      : budgetNs !== undefined
        ? ` in a budget of ${formatWait(budgetNs)}`
        : ''
  return `${forks === '1 forks' ? '1 fork' : forks} of ${batches} batches${reason}`
}

/** On what it was run. */
export function environmentSentence({ suite: { environment } }: Analysis): string {
  const { node, platform, kernel, cpus, cpuModel, memoryBytes, folder, fileSystem, load } = environment
  return [
    `shootout ${environment.shootout}${environment.gitCommit === undefined ? '' : ` (${environment.gitCommit.slice(0, 12)})`}`,
    `Node ${node.replace(/^v/, '')}`,
    `${platform} ${kernel}`,
    `${cpus} × ${cpuModel.trim()}`,
    `${formatBytes(memoryBytes)} memory`,
    `stores in ${folder} (${fileSystem})`,
    `append + fsync ${formatDuration(environment.fsyncProbeNs)}`,
    `load ${load.toFixed(2)} at the start`,
  ].join(' · ')
}

/** Storage facts found at provisioning, one line per contender that has any. */
export function factSentences({ contenders, suite }: Analysis): readonly string[] {
  return contenders.flatMap(({ label, storage, options, facts }) => {
    const shown = { ...options, ...facts }
    // Where a store lay in the run's temporary folder is of no use to anybody once the run is over.
    const lasting = Object.entries(shown).filter(
      ([, value]) => !String(value).startsWith(suite.environment.folder),
    )
    const list = lasting.map(
      ([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    )
    const name = label === storage ? label : `${label} (${storage})`
    return list.length === 0 ? [] : [`${name}: ${list.join(', ')}`]
  })
}
