/** The tables of the page. Every text that comes from elsewhere is escaped here. */

import type { Analysis, Cell, Group } from '../../analysis/model.ts'
import { formatRate } from '../../core/units.ts'
import { costsOf } from '../costs.ts'
import type { UnmeasuredCell } from '../footnotes.ts'
import { hasRatio, ratioText, settingText, timeText } from '../phrases.ts'
import { escapeHtml } from './escape.ts'

type Footnote = (cell: UnmeasuredCell) => number

/** Contenders side by side. */
export function resultTable(groups: readonly Group[], { contenders }: Analysis, footnote: Footnote): string {
  const head = ['<th>setting</th>', ...contenders.map(({ label }) => `<th>${escapeHtml(label)}</th>`)]
  const rows = groups.map(({ setting, cells }) => [
    `<th>${settingText(setting)}</th>`,
    ...cells.map((cell) => resultCell(cell, cells.length, footnote)),
  ])
  return table(head, rows)
}

function resultCell(cell: Cell, count: number, footnote: Footnote): string {
  if (cell.status !== 'measured') {
    const word = cell.status === 'missing' ? 'not reached' : cell.status
    return `<td class="${cell.status === 'failed' ? 'failed' : 'none'}">${word} [${footnote(cell)}]</td>`
  }
  const time = escapeHtml(timeText(cell.timePerOperationNs))
  const rate = cell.throughputPerSecond === undefined ? '' : formatRate(cell.throughputPerSecond.median)
  const ratio = hasRatio(cell, count) ? escapeHtml(ratioText(cell.ratio)) : ''
  const below = [rate, ratio]
    .map((text) => (text === '' ? '' : ` <span class="soft">${text}</span>`))
    .join('')
  return `<td><span${cell.fastest ? ' class="fastest"' : ''}>${time}</span>${below}</td>`
}

/** What an operation cost. One line per measured cell. */
export function costTable(groups: readonly Group[]): string {
  const { names, rows } = costsOf(groups)
  if (rows.length === 0) return ''
  const head = [
    '<th>setting</th>',
    '<th>contender</th>',
    ...names.map((name) => `<th class="number">${escapeHtml(name)}</th>`),
  ]
  return table(
    head,
    rows.map(({ setting, contender, values }) => [
      `<th>${setting}</th>`,
      `<td>${escapeHtml(contender)}</td>`,
      ...values.map((value) =>
        value === undefined || value === '0'
          ? `<td class="number none">${value ?? '–'}</td>`
          : `<td class="number">${value}</td>`,
      ),
    ]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const body = rows.map((row) => `<tr>${row.join('')}</tr>`).join('\n')
  return `<div class="scroll"><table><thead><tr>${head.join('')}</tr></thead><tbody>\n${body}\n</tbody></table></div>`
}
