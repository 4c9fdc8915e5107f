/**
 * Lines of a results file to cells: for each setting, what each contender achieved, and how it compares with the
 * reference and with its equals in durability.
 */

import type { Results } from '../results/reader.ts'
import { settingKey } from '../results/reader.ts'
import type { CompletedFork, ContenderRecord, ForkLine, Setting } from '../results/schema.ts'
import { estimate } from './estimate.ts'
import type { Selection } from './filters.ts'
import { latencyShares, operationsForQuantile, summariseFork } from './fork-summary.ts'
import type { Cell, Failure, ForkSummary, Group, LatencyQuantile, MeasuredCell, Ratio } from './model.ts'
import { judge, pairedRatios } from './ratio.ts'
import { median } from './stats/quantiles.ts'

/** A cell before it is compared with others. */
type BareCell = Exclude<Cell, MeasuredCell> | Omit<MeasuredCell, 'ratio' | 'fastest'>

export function groupCells(results: Results, { contenders, settings, reference }: Selection): Group[] {
  const forks = new Map<string, ForkLine[]>()
  for (const line of results.forks) {
    const key = cellKey(line.contender, line)
    const lines = forks.get(key)
    if (lines === undefined) forks.set(key, [line])
    else lines.push(line)
  }
  const skips = new Map(results.skips.map((line) => [cellKey(line.contender, line), line.reason]))
  return settings.map((setting) => {
    const bare = contenders.map(({ label }) => {
      const key = cellKey(label, setting)
      return bareCell(label, forks.get(key) ?? [], skips.get(key))
    })
    return { setting, cells: compareCells(bare, contenders, reference) }
  })
}

function cellKey(contender: string, setting: Pick<Setting, 'scenario' | 'objects' | 'concurrency'>): string {
  return `${contender}/${settingKey(setting)}`
}

function bareCell(contender: string, lines: readonly ForkLine[], skipReason: string | undefined): BareCell {
  if (lines.length === 0) {
    return skipReason === undefined
      ? { status: 'missing', contender }
      : { status: 'skipped', contender, reason: skipReason }
  }
  const forks: ForkSummary[] = []
  const failures: Failure[] = []
  for (const line of lines) {
    if (line.status === 'failed') {
      const { fork, step, error } = line
      failures.push({ fork, step, code: error.code, message: error.message })
      continue
    }
    const summary = summariseFork(line)
    if (summary === undefined) failures.push(nothingMeasured(line))
    else forks.push(summary)
  }
  forks.sort((a, b) => a.fork - b.fork)
  failures.sort((a, b) => a.fork - b.fork)
  return failures.length > 0 ? { status: 'failed', contender, failures, forks } : measured(contender, forks)
}

function nothingMeasured({ fork }: CompletedFork): Failure {
  return { fork, step: 'run', code: 'nothing-measured', message: 'all its times are 0' }
}

function measured(contender: string, forks: readonly ForkSummary[]): Omit<MeasuredCell, 'ratio' | 'fastest'> {
  const serverCpu = forks.flatMap((fork) => fork.serverCpuPerOperationNs ?? [])
  const throughputs = forks.flatMap((fork) => fork.throughputPerSecond ?? [])
  return {
    status: 'measured',
    contender,
    forks,
    timePerOperationNs: estimate(forks.map((fork) => fork.timePerOperationNs)),
    throughputPerSecond: throughputs.length === forks.length ? estimate(throughputs) : undefined,
    latencies: forks.some((fork) => fork.latencies.length > 0)
      ? latencyShares.map((share) => latency(forks, share))
      : [],
    cpuPerOperationNs: estimate(forks.map((fork) => fork.cpuPerOperationNs)),
    serverCpuPerOperationNs: serverCpu.length === 0 ? undefined : median(serverCpu),
    countersPerOperation: medians(forks.map((fork) => fork.countersPerOperation)),
    talliesPerOperation: medians(forks.map((fork) => fork.talliesPerOperation)),
    gcPerOperationNs: median(forks.map((fork) => fork.gcPerOperationNs)),
    loopDelayNsMax: Math.max(...forks.map((fork) => fork.loopDelayNsMax)),
    residentBytesMax: Math.max(...forks.map((fork) => fork.residentBytesMax)),
  }
}

function latency(forks: readonly ForkSummary[], share: number): LatencyQuantile {
  const values = forks.flatMap((fork) => fork.latencies.find((one) => one.share === share)?.valueNs ?? [])
  return {
    share,
    estimate: values.length === forks.length ? estimate(values) : undefined,
    operationsMin: operationsForQuantile(share),
  }
}

/** Median over forks by name, without those that are 0 in every fork. */
function medians(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = new Set(counts.flatMap((one) => Object.keys(one)))
  const result: Record<string, number> = {}
  for (const name of names) {
    const values = counts.map((one) => one[name] ?? 0)
    if (values.some((value) => value !== 0)) result[name] = median(values)
  }
  return result
}

function compareCells(
  cells: readonly BareCell[],
  contenders: readonly ContenderRecord[],
  reference: string,
): Cell[] {
  const durabilityOf = new Map(contenders.map(({ label, durability }) => [label, durability]))
  const base = cells.find((cell) => cell.contender === reference)
  return cells.map((cell) => {
    if (cell.status !== 'measured') return cell
    const rivals = cells.filter(
      (other) =>
        other !== cell &&
        other.status === 'measured' &&
        durabilityOf.get(other.contender) === durabilityOf.get(cell.contender),
    ) as Omit<MeasuredCell, 'ratio' | 'fastest'>[]
    return {
      ...cell,
      ratio: ratioTo(cell, base, durabilityOf.get(cell.contender) !== durabilityOf.get(reference)),
      fastest: rivals.length > 0 && rivals.every((rival) => isFaster(cell.forks, rival.forks)),
    }
  })
}

function isFaster(own: readonly ForkSummary[], other: readonly ForkSummary[]): boolean {
  const ratios = [...pairedRatios(own, other).values()]
  return ratios.length > 0 && judge(ratios).verdict === 'faster'
}

function ratioTo(
  cell: { readonly contender: string; readonly forks: readonly ForkSummary[] },
  base: BareCell | undefined,
  unequalDurability: boolean,
): Ratio {
  if (base === undefined) return { kind: 'none', reason: 'the reference is not shown' }
  if (base.contender === cell.contender) return { kind: 'reference' }
  if (base.status !== 'measured')
    return { kind: 'none', reason: `the reference ${base.contender} is ${base.status} here` }
  const ratios = [...pairedRatios(cell.forks, base.forks).values()]
  if (ratios.length === 0) return { kind: 'none', reason: 'no fork in common with the reference' }
  return { kind: 'paired', unequalDurability, ...judge(ratios) }
}
