/**
 * The summary in plain language: which storage is faster, by how much, how sure; then what was run, and on what.
 * Sentences without colours, one per entry; the reports wrap and decorate them.
 */

import type { Analysis, Group, Place, Ranking, Tier, Unranked } from '../analysis/model.ts'
import { equalShare } from '../analysis/ratio.ts'
import { describeRecordSizes } from '../core/record-sizes.ts'
import { counted, formatBytes, formatDuration, formatWait } from '../core/units.ts'
import type { SuiteLine } from '../results/schema.ts'
import { durabilityText, intervalText, isWide, percentText, rangeText, timesText } from './phrases.ts'

export interface ScenarioSentence {
  readonly scenario: string
  readonly sentence: string
}

/** Why there is no such sentence. */
export function nothingToRank({ contenders }: Analysis): string {
  return contenders.length > 1
    ? 'Nothing to rank: no two contenders promise the same durability.'
    : 'Nothing to rank: one contender has nobody to be compared with.'
}

/** One sentence per scenario and tier with at least two contenders. */
export function rankingSentences({ summary }: Analysis): readonly ScenarioSentence[] {
  return summary.scenarios.flatMap(({ scenario, rankings, unranked }) =>
    [...rankings.map(rankingSentence), ...unranked.map(unrankedSentence)].map((sentence) => ({
      scenario,
      sentence,
    })),
  )
}

/** `Nothing to rank: only file has a result (failed: sqlite).` */
function unrankedSentence({ present, absent }: Unranked): string {
  const fact =
    present.length === 0
      ? 'nobody has a result'
      : present.length === 1
        ? `only ${present[0]} has a result`
        : `${present.join(', ')} have no setting in common`
  const kinds = [
    ['failed', 'failed'],
    ['skipped', 'skipped'],
    ['missing', 'not reached'],
  ] as const
  const reasons = kinds.flatMap(([status, word]) => {
    const names = absent.filter((one) => one.status === status).map(({ contender }) => contender)
    return names.length === 0 ? [] : [`${word}: ${names.join(', ')}`]
  })
  return `Nothing to rank: ${fact}${reasons.length === 0 ? '' : ` (${reasons.join('; ')})`}.`
}

function rankingSentence(ranking: Ranking): string {
  const { places, absent } = ranking
  const [first, ...others] = places as readonly [Place, ...Place[]]
  const missing = absent.length === 0 ? '' : ` No result: ${absent.join(', ')}.`
  const n = Math.min(
    ...others.map(({ ratio }) =>
      ratio?.estimate.interval === undefined ? (ratio?.estimate.n ?? 0) : Infinity,
    ),
  )
  if (Number.isFinite(n)) return `${unsureSentence(first.contender, others, n)}${missing}`
  const isTold = ({ ratio }: Place) => ratio!.verdict === 'slower' || ratio!.verdict === 'faster'
  const isProven = others.every(({ ratio }) => ratio!.verdict === 'slower')
  const word = isProven ? ' the time' : ` the time of ${first.contender}`
  const told = others
    .filter(isTold)
    .map((place, index) => toldText(place, ranking.settings, index === 0 ? word : ''))
  const clauses = [
    ...others
      .filter(({ ratio }) => ratio!.verdict === 'equal')
      .map(
        ({ contender }) => `${contender} and ${first.contender} are equal within ${percentText(equalShare)}`,
      ),
    ...unclearText(
      others.filter(({ ratio }) => ratio!.verdict === 'unclear'),
      first.contender,
    ),
    ...(told.length === 0 ? [] : [told.join(', ')]),
  ]
  const head = `${isProven ? first.contender : 'Nobody'} is ${isProven ? '' : 'proven '}fastest${whereText(ranking)}`
  return `${head}. ${clauses.join('. ')}.${missing}`
}

/** ` in both settings`, where it is so in each of them; else ` over 4 settings`. */
function whereText(ranking: Ranking): string {
  const { settings, settingsOfScenario, places } = ranking
  if (settingsOfScenario === 1) return ''
  const isEverywhere = settings === 1 || places.slice(1).every(({ slowerIn }) => slowerIn === settings)
  return ` ${isEverywhere ? 'in' : 'over'} ${settingsText(ranking)}`
}

/** `both settings`, `all 6 settings that both have`, `the one setting that all have`. */
function settingsText({ settings, settingsOfScenario, places }: Ranking): string {
  const these =
    settings === 1 ? 'the one setting' : settings === 2 ? 'both settings' : `all ${settings} settings`
  return settings < settingsOfScenario ? `${these} that ${places.length === 2 ? 'both' : 'all'} have` : these
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

/**
 * `sqlite takes 1.38x the time (1.28–1.53; by setting 1.25–1.59)`; without the word, which stands in the clause before,
 * `zeo 2.7x (2.4–2.8; 2.5–3.0)`.
 */
function toldText(place: Place, settings: number, word: string): string {
  const { contender, ratio, ratioMin, ratioMax, slowerIn } = place
  const { median, interval } = ratio!.estimate
  const time = intervalText(median, interval!.low, interval!.high, word)
  const head = `${contender} ${word === '' ? '' : 'takes '}${time}`
  if (settings === 1) return head
  const range = `${word === '' ? '' : 'by setting '}${rangeText(ratioMin, ratioMax)}`
  const facts = slowerIn === settings ? range : `${range}, ${countText(place, settings)}`
  return `${head.slice(0, -1)}; ${facts})`
}

/** Of those that are neither proven to differ nor to be equal. */
function unclearText(places: readonly Place[], first: string): string[] {
  if (places.length === 0) return []
  const ratios = places.map(({ contender, ratio }) => {
    const { median, interval } = ratio!.estimate
    return `${contender} ${intervalText(median, interval!.low, interval!.high, '')}`
  })
  const detectable = Math.max(...places.map(({ ratio }) => ratio!.detectable!))
  return [
    `${andText(ratios)} cannot be told from ${first}; a difference of ${percentText(detectable)} would probably have shown`,
  ]
}

/** `a, b and c`. */
function andText(items: readonly string[]): string {
  return [...(items.length > 1 ? [items.slice(0, -1).join(', ')] : []), items.at(-1)!].join(' and ')
}

/** `slower in 4 and faster in 1 of 6 settings`. */
function countText({ slowerIn, fasterIn }: Place, settings: number): string {
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
export function legendSentences({ groups, reference, contenders }: Analysis): readonly string[] {
  const times = groups.flatMap(({ cells }) =>
    cells.flatMap((cell) => (cell.status === 'measured' ? [cell.timePerOperationNs] : [])),
  )
  const hasRange = times.some(({ interval }) => interval === undefined)
  const hasWide = times.some(isWide)
  return [
    `Time per operation as one worker sees it (median over forks ± half the 95 % interval${hasWide ? ', both ends where it is wide' : ''}), operations per second of all workers${contenders.length > 1 ? `, ratio of times to ${reference} (95 % interval)` : ''}.`,
    ...(hasRange ? ['In brackets: the whole range of the forks, because an interval takes at least 6.'] : []),
  ]
}

/** What was run. */
export function runSentence({ suite, end, groups, summary: { counts } }: Analysis): string {
  const { dataset } = suite
  const cells = [
    `${counted(counts.measured, 'cell')} measured`,
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
  const forks =
    counts.length === 0 ? 'no forks' : least === most ? counted(most, 'fork') : `${least}–${most} forks`
  const reason =
    precision !== undefined
      ? ` for a precision of ${percentText(precision)}`
      : budgetNs !== undefined
        ? ` in a budget of ${formatWait(budgetNs)}`
        : ''
  return `${forks} of ${batches} batches${reason}`
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
