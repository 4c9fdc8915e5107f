/** One completed fork of the file to the few numbers that the analysis works with. */

import { Histogram } from '../core/histogram.ts'
import type { BatchRecord, CompletedFork } from '../results/schema.ts'
import type { ForkSummary } from './model.ts'
import { mean, median } from './stats/quantiles.ts'

/** Latency quantiles that reports show. */
export const latencyShares = [0.5, 0.95, 0.99] as const

/** Operations a fork needs for a quantile to mean something: ten beyond it. */
export function operationsForQuantile(share: number): number {
  return Math.round(10 / (1 - share))
}

/** Undefined where the fork measured nothing: its times or operations are all 0. */
export function summariseFork(line: CompletedFork): ForkSummary | undefined {
  const { workers } = line.concurrency
  const operations = line.operationsPerBatch * line.batches.length * workers
  const workersNs = sum(line.batches, (batch) => batch.workersNs.reduce((a, b) => a + b, 0))
  if (!(operations > 0 && workersNs > 0)) return undefined

  const windowNs = sum(line.batches, (batch) => batch.windowNs)
  const windowOperations = sum(line.batches, (batch) => batch.windowOperations)
  const perOperation = (counts: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count / operations]))

  return {
    fork: line.fork,
    timePerOperationNs: workersNs / operations,
    throughputPerSecond:
      windowNs > 0 && windowOperations > 0 ? (windowOperations / windowNs) * 1e9 : undefined,
    cpuPerOperationNs: (line.cpuNs.user + line.cpuNs.system) / operations,
    serverCpuPerOperationNs:
      line.serverCpuNs === undefined
        ? undefined
        : (line.serverCpuNs.user + line.serverCpuNs.system) / operations,
    operations,
    latencies: latenciesOf(line),
    countersPerOperation: perOperation(line.counters),
    talliesPerOperation: perOperation(line.tallies),
    // A window of nothing is all skew.
    skewShare: median(
      line.batches.map(({ skewNs, windowNs: ns }) => (ns > 0 ? skewNs / ns : skewNs > 0 ? 1 : 0)),
    ),
    overlapShare: windowNs / (workersNs / workers),
    imbalance: median(
      line.batches.map((batch) => Math.max(...batch.workersNs) / (mean(batch.workersNs) || 1) || 1),
    ),
    drift: driftOf(line.batches),
    gcPerOperationNs: line.gcNs / operations,
    loopDelayNsMax: line.loopDelayNsMax,
    residentBytesMax: line.residentBytesMax,
  }
}

/** All batches do the same work, so their times tell. The one in the middle belongs to neither half. */
function driftOf(batches: readonly BatchRecord[]): number {
  const half = Math.floor(batches.length / 2)
  if (half === 0) return 1
  const timeOf = (part: readonly BatchRecord[]) => sum(part, ({ workersNs }) => mean(workersNs))
  return timeOf(batches.slice(-half)) / timeOf(batches.slice(0, half)) || 1
}

function latenciesOf(line: CompletedFork): ForkSummary['latencies'] {
  if (line.latencies === undefined) return []
  const merged = new Histogram()
  for (const { buckets, maxNs } of line.latencies) {
    for (let index = 0; index < buckets.length; index += 2) merged.add(buckets[index]!, buckets[index + 1]!)
    merged.raiseMax(maxNs)
  }
  return latencyShares
    .filter((share) => merged.count >= operationsForQuantile(share))
    .map((share) => ({ share, valueNs: merged.quantileNs(share) }))
}

function sum(batches: readonly BatchRecord[], value: (batch: BatchRecord) => number): number {
  return batches.reduce((total, batch) => total + value(batch), 0)
}
