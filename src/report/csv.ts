/**
 * One line per cell, for spreadsheets and data frames (RFC 4180). Times are nanoseconds. A field is empty where there
 * is no value; `status` and `reason` say why.
 */

import type { Analysis, Cell, Estimate, MeasuredCell } from '../analysis/model.ts'
import type { ContenderRecord, Setting } from '../results/schema.ts'
import { reasonText } from './phrases.ts'

type Value = string | number | undefined

/** The columns, in order. New ones are added at the end. */
const columns: readonly (readonly [string, (row: Row) => Value])[] = [
  ['scenario', ({ setting }) => setting.scenario],
  ['kind', ({ setting }) => setting.concurrency.kind],
  ['workers', ({ setting }) => setting.concurrency.workers],
  ['objects', ({ setting }) => setting.objects],
  ['contender', ({ contender }) => contender.label],
  ['storage', ({ contender }) => contender.storage],
  ['durability', ({ contender }) => contender.durability],
  ['status', ({ cell }) => cell.status],
  ['reason', ({ cell }) => (cell.status === 'measured' ? undefined : reasonText(cell))],
  ['forks', ({ measured }) => measured?.timePerOperationNs.n],
  ...estimateColumns('time_per_operation_ns', (cell) => cell.timePerOperationNs),
  ['interval_level', ({ measured }) => measured?.timePerOperationNs.interval?.level],
  ...estimateColumns('operations_per_second', (cell) => cell.throughputPerSecond),
  ...estimateColumns('ratio', (cell) => (cell.ratio.kind === 'paired' ? cell.ratio.estimate : undefined)),
  ['verdict', ({ measured }) => (measured?.ratio.kind === 'paired' ? measured.ratio.verdict : undefined)],
  ['ratio_crosses_durability', ({ measured }) => crossesDurability(measured)],
  ...[0.5, 0.95, 0.99].map((share): readonly [string, (row: Row) => Value] => [
    `latency_p${share * 100}_ns`,
    ({ measured }) => measured?.latencies.find((one) => one.share === share)?.estimate?.median,
  ]),
  ['cpu_per_operation_ns', ({ measured }) => measured?.cpuPerOperationNs.median],
  ['gc_per_operation_ns', ({ measured }) => measured?.gcPerOperationNs],
  ['loop_delay_max_ns', ({ measured }) => measured?.loopDelayNsMax],
  ['resident_bytes_max', ({ measured }) => measured?.residentBytesMax],
  ['server_cpu_per_operation_ns', ({ measured }) => measured?.serverCpuPerOperationNs],
]

interface Row {
  readonly setting: Setting
  readonly contender: ContenderRecord
  readonly cell: Cell
  readonly measured: MeasuredCell | undefined
}

export function renderCsv({ groups, contenders }: Analysis): string {
  const rows = groups.flatMap(({ setting, cells }) =>
    cells.map(
      (cell, index): Row => ({
        setting,
        contender: contenders[index]!,
        cell,
        measured: cell.status === 'measured' ? cell : undefined,
      }),
    ),
  )
  // Counters differ from storage to storage, so they follow what is there.
  const counters = [
    ...new Set(rows.flatMap(({ measured }) => Object.keys(measured?.countersPerOperation ?? {}))),
  ]
  const all = [
    ...columns,
    ...counters.map((name): readonly [string, (row: Row) => Value] => [
      `${name}_per_operation`,
      ({ measured }) => (measured === undefined ? undefined : (measured.countersPerOperation[name] ?? 0)),
    ]),
  ]
  const lines = [all.map(([name]) => name), ...rows.map((row) => all.map(([, value]) => field(value(row))))]
  return lines.map((line) => `${line.join(',')}\r\n`).join('')
}

function estimateColumns(
  name: string,
  pick: (cell: MeasuredCell) => Estimate | undefined,
): (readonly [string, (row: Row) => Value])[] {
  const of = ({ measured }: Row) => (measured === undefined ? undefined : pick(measured))
  return [
    [name, (row) => of(row)?.median],
    [`${name}_low`, (row) => of(row)?.interval?.low],
    [`${name}_high`, (row) => of(row)?.interval?.high],
  ]
}

function crossesDurability(cell: MeasuredCell | undefined): Value {
  return cell?.ratio.kind === 'paired' ? (cell.ratio.unequalDurability ? 'yes' : 'no') : undefined
}

function field(value: Value): string {
  if (value === undefined) return ''
  // Nine digits: more than any measurement has, and no tail of a division.
  if (typeof value === 'number') return String(Number(value.toPrecision(9)))
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
