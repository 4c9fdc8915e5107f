/**
 * What an operation cost, for the reports that show it: latencies of single operations, processor time, the work that
 * storage and scenario counted. One row per measured cell, texts only.
 */

import type { Group, MeasuredCell } from '../analysis/model.ts'
import { formatBytes, formatDuration, significant } from '../core/units.ts'
import { settingText } from './phrases.ts'

export interface Costs {
  /** Headings of the values: three latencies, CPU and so on, then the counters and tallies that are not always 0. */
  readonly names: readonly string[]
  readonly rows: readonly CostRow[]
}

export interface CostRow {
  readonly setting: string
  readonly contender: string
  /** One per name; undefined where there is no value. */
  readonly values: readonly (string | undefined)[]
}

/** What stands below each such table. */
export const costsLegend =
  'Per operation, medians over forks. p50, p95, p99: single operations, closed loop, where every fork has enough of them. CPU: of the workers; server CPU: of servers started for the store. GC: pauses. Loop delay and resident memory: the greatest of all forks.'

export function costsOf(groups: readonly Group[]): Costs {
  const measured = groups.flatMap(({ setting, cells }) =>
    cells.flatMap((cell) => (cell.status === 'measured' ? [{ setting, cell }] : [])),
  )
  const counts = [
    ...new Set(
      measured.flatMap(({ cell }) => [
        ...Object.keys(cell.countersPerOperation),
        ...Object.keys(cell.talliesPerOperation),
      ]),
    ),
  ]
  const hasServers = measured.some(({ cell }) => cell.serverCpuPerOperationNs !== undefined)
  return {
    names: [
      'p50',
      'p95',
      'p99',
      'CPU',
      ...(hasServers ? ['server CPU'] : []),
      'GC',
      'loop delay',
      'resident',
      ...counts,
    ],
    rows: measured.map(({ setting, cell }) => ({
      setting: settingText(setting),
      contender: cell.contender,
      values: [
        ...[0.5, 0.95, 0.99].map((share) => latencyText(cell, share)),
        formatDuration(cell.cpuPerOperationNs.median),
        ...(hasServers ? [serverCpuText(cell)] : []),
        durationText(cell.gcPerOperationNs),
        durationText(cell.loopDelayNsMax),
        formatBytes(cell.residentBytesMax),
        ...counts.map((name) =>
          countText(cell.countersPerOperation[name] ?? cell.talliesPerOperation[name] ?? 0),
        ),
      ],
    })),
  }
}

function serverCpuText({ serverCpuPerOperationNs }: MeasuredCell): string | undefined {
  return serverCpuPerOperationNs === undefined ? undefined : durationText(serverCpuPerOperationNs)
}

function latencyText({ latencies }: MeasuredCell, share: number): string | undefined {
  const estimate = latencies.find((one) => one.share === share)?.estimate
  return estimate === undefined ? undefined : formatDuration(estimate.median)
}

function durationText(durationNs: number): string {
  return durationNs === 0 ? '0' : formatDuration(durationNs)
}

function countText(count: number): string {
  return Number.isInteger(count) ? String(count) : significant(count)
}
