/** The tables of the page. Every text that comes from elsewhere is escaped here. */

import type { Analysis, Cell, Group, MeasuredCell } from '../../analysis/model.ts'
import { formatBytes, formatDuration, formatRate, significant } from '../../core/units.ts'
import { concurrencyText, objectsText, ratioText, timeText } from '../phrases.ts'
import { escapeHtml } from './escape.ts'

export type Footnote = (cell: Exclude<Cell, MeasuredCell>) => number

/** Contenders side by side. */
export function resultTable(groups: readonly Group[], { contenders }: Analysis, footnote: Footnote): string {
  const head = [
    '<th>concurrency</th>',
    '<th class="number">objects</th>',
    ...contenders.map(({ label }) => `<th>${escapeHtml(label)}</th>`),
  ]
  const rows = groups.map(({ setting, cells }) => [
    `<td>${concurrencyText(setting.concurrency)}</td>`,
    `<td class="number">${setting.objects}</td>`,
    ...cells.map((cell) => resultCell(cell, footnote)),
  ])
  return table(head, rows)
}

function resultCell(cell: Cell, footnote: Footnote): string {
  if (cell.status !== 'measured') {
    const word = cell.status === 'missing' ? 'not reached' : cell.status
    return `<td class="${cell.status === 'failed' ? 'failed' : 'none'}">${word} [${footnote(cell)}]</td>`
  }
  const time = escapeHtml(timeText(cell.timePerOperationNs))
  const rate = cell.throughputPerSecond === undefined ? '' : formatRate(cell.throughputPerSecond.median)
  const ratio = cell.ratio.kind === 'none' ? '' : escapeHtml(ratioText(cell.ratio))
  return `<td><span${cell.fastest ? ' class="fastest"' : ''}>${time}</span> <span class="soft">${[rate, ratio].filter((text) => text !== '').join(' · ')}</span></td>`
}

/** What an operation cost: latencies of single operations, CPU time, counters. One line per measured cell. */
export function costTable(groups: readonly Group[]): string {
  const measured = groups.flatMap(({ setting, cells }) =>
    cells.flatMap((cell) => (cell.status === 'measured' ? [{ setting, cell }] : [])),
  )
  if (measured.length === 0) return ''
  const names = [
    ...new Set(
      measured.flatMap(({ cell }) => [
        ...Object.keys(cell.countersPerOperation),
        ...Object.keys(cell.talliesPerOperation),
      ]),
    ),
  ]
  const numeric = ['p50', 'p95', 'p99', 'CPU', ...names, 'memory, at most']
  const head = [
    '<th>setting</th>',
    '<th>contender</th>',
    ...numeric.map((name) => `<th class="number">${escapeHtml(name)}</th>`),
  ]
  const rows = measured.map(({ setting, cell }) => [
    `<td>${concurrencyText(setting.concurrency)}, ${objectsText(setting.objects)}</td>`,
    `<td>${escapeHtml(cell.contender)}</td>`,
    ...[
      ...[0.5, 0.95, 0.99].map((share) => latency(cell, share)),
      formatDuration(cell.cpuPerOperationNs.median),
      ...names.map((name) => count(cell.countersPerOperation[name] ?? cell.talliesPerOperation[name])),
      formatBytes(cell.residentBytesMax),
    ].map((text) => `<td class="number">${text}</td>`),
  ])
  return table(head, rows)
}

function latency({ latencies }: MeasuredCell, share: number): string {
  const found = latencies.find((one) => one.share === share)
  if (found === undefined) return '<span class="none">–</span>'
  return found.estimate === undefined
    ? `<span class="none" title="needs ${found.operationsMin} operations per fork">–</span>`
    : formatDuration(found.estimate.median)
}

function count(value: number | undefined): string {
  if (value === undefined || value === 0) return '<span class="none">0</span>'
  return Number.isInteger(value) ? String(value) : significant(value)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const body = rows.map((row) => `<tr>${row.join('')}</tr>`).join('\n')
  return `<div class="scroll"><table><thead><tr>${head.join('')}</tr></thead><tbody>\n${body}\n</tbody></table></div>`
}
