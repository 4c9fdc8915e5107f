/**
 * Warnings: the result stands, but whoever reads it should know. Each is a value with a stable code, a sentence and
 * advice, and there is one per kind, however many cells it concerns. Limits stand beside the reason for them.
 */

import { formatDuration, significant } from '../core/units.ts'
import type { Results } from '../results/reader.ts'
import type { CompletedFork } from '../results/schema.ts'
import { countOf, findCellWarnings, type MeasuredPlace, percent } from './cell-warnings.ts'
import type { CellName, Group, Tier, Warning } from './model.ts'

/** No disk makes an append durable faster than this; a RAM file system or a lying disk does. */
const fsyncProbeNsMin = 20_000
/** Load above this share of the processors at the start belongs to somebody else. */
const loadShareMax = 0.5
/** Reading the clock must not be what is measured. */
const clockShareMax = 0.01

export function findWarnings(results: Results, groups: readonly Group[], tiers: readonly Tier[]): Warning[] {
  const measured = groups.flatMap(({ setting: { scenario, objects, concurrency }, cells }) =>
    cells.flatMap((cell): MeasuredPlace[] =>
      cell.status === 'measured'
        ? [{ name: { contender: cell.contender, scenario, objects, concurrency }, cell }]
        : [],
    ),
  )
  return [
    ...runWarnings(results),
    ...tierWarnings(tiers),
    ...environmentWarnings(results),
    ...findCellWarnings(measured),
    ...cacheWarnings(results, measured),
    ...clockWarnings(results, measured),
  ]
}

function runWarnings({ suite, end, warnings, path }: Results): Warning[] {
  const found: Warning[] = warnings.map((warning) => ({
    code: 'truncated-file',
    text: warning.text,
    advice: `Complete the run with "shootout run --resume ${path}".`,
  }))
  if (suite.profiled) {
    found.push({
      code: 'profiled',
      text: 'Profiles were taken during this run, which slows it down unevenly.',
      advice: 'Compare none of its times with anything; run again without --profile.',
    })
  }
  if (end?.outcome !== 'completed') {
    found.push({
      code: 'interrupted',
      text: 'The run did not come to its end, so cells have fewer forks than planned or none.',
      advice: `Complete it with "shootout run --resume ${path}".`,
    })
  }
  return found
}

function tierWarnings(tiers: readonly Tier[]): Warning[] {
  if (tiers.length < 2) return []
  const list = tiers.map((tier) => `${tier.contenders.join(', ')}: ${tier.durability}`).join('; ')
  return [
    {
      code: 'unequal-durability',
      text: `The contenders do not promise the same durability (${list}).`,
      advice: 'Ratios across tiers are marked † and nobody is ranked across tiers; compare within a tier.',
    },
  ]
}

function environmentWarnings({ suite: { environment, contenders } }: Results): Warning[] {
  const found: Warning[] = []
  const claimsDurable = contenders.some(
    ({ durability }) => durability === 'full' || durability === 'replicated',
  )
  if (claimsDurable && environment.fsyncProbeNs < fsyncProbeNsMin) {
    found.push({
      code: 'fsync-free',
      text: `fsync in ${environment.folder} (${environment.fileSystem}) takes ${formatDuration(environment.fsyncProbeNs)}: nothing there reaches a disk.`,
      advice: 'Commits look faster than they are; put the stores on a disk with --folder.',
    })
  }
  if (environment.load > loadShareMax * environment.cpus) {
    found.push({
      code: 'load',
      text: `The machine was busy before the run: load ${significant(environment.load)} on ${environment.cpus} processors.`,
      advice:
        'Contenders took turns, so ratios hold up better than times; stop what else is running and repeat.',
    })
  }
  return found
}

/** `cached-read` says what a cache saves; without a cache, it says nothing of the kind. */
function cacheWarnings({ forks }: Results, measured: readonly MeasuredPlace[]): Warning[] {
  const uncached = new Set(
    forks
      .filter((fork): fork is CompletedFork => fork.status === 'completed' && !fork.hasStorageCache)
      .map(({ contender }) => contender),
  )
  const cells = measured.filter(({ name }) => name.scenario === 'cached-read' && uncached.has(name.contender))
  if (cells.length === 0) return []
  const labels = [...new Set(cells.map(({ name }) => name.contender))]
  const text =
    labels.length === 1
      ? `${labels[0]} has no cache of its own: in cached-read, it reads from its store like anywhere else.`
      : `${labels.join(', ')} have no caches of their own: in cached-read, they read from their stores like anywhere else.`
  return [
    {
      code: 'no-storage-cache',
      text,
      advice: 'That cached-read stands for an ordinary read with whatever the system caches.',
      cells: cells.map(({ name }) => name),
    },
  ]
}

function clockWarnings({ suite, forks }: Results, measured: readonly MeasuredPlace[]): Warning[] {
  const operationsPerLap = new Map<string, number>()
  for (const fork of forks) {
    if (fork.status === 'completed') operationsPerLap.set(key(fork), fork.operationsPerLap)
  }
  const clockShare = ({ name, cell }: MeasuredPlace) =>
    suite.environment.timerCostNs / (cell.timePerOperationNs.median * (operationsPerLap.get(key(name)) ?? 1))
  const cells = measured.filter((one) => clockShare(one) > clockShareMax)
  if (cells.length === 0) return []
  const worst = Math.max(...cells.map(clockShare))
  return [
    {
      code: 'harness-share',
      text: `${countOf(cells, measured)} ${cells.length === 1 ? 'spends' : 'spend'} more than 1 % of the time reading the clock, up to ${percent(worst)}.`,
      advice: 'The difference between contenders is right, the ratio is a little too close to 1.',
      cells: cells.map(({ name }) => name),
    },
  ]
}

function key({ contender, scenario, objects, concurrency }: CellName): string {
  return [contender, scenario, objects, concurrency.kind, concurrency.workers].join('/')
}
