/** What `compare` prints: one line per cell, what changed most first; as text for a terminal, and as Markdown. */

import type { ComparedCell, Comparison, ComparisonWord } from '../analysis/compare.ts'
import { counted, formatDuration } from '../core/units.ts'
import { percentText, rangeText, settingText } from './phrases.ts'
import type { RenderOptions } from './renderer.ts'
import { padEnd, padStart, painter, type Style, visibleWidth, wrap } from './terminal.ts'

const styles: Readonly<Record<ComparisonWord, Style>> = {
  slower: 'red',
  faster: 'green',
  equivalent: 'dim',
  unclear: 'yellow',
}

const order: readonly ComparisonWord[] = ['slower', 'faster', 'unclear', 'equivalent']

const head = ['cell', 'before', 'after', 'ratio', 'verdict', 'would have seen', 'q']

export function renderComparison(comparison: Comparison, { width, color }: RenderOptions): string {
  const paint = painter(color)
  const cells = byWeight(comparison.cells)
  const rows = cells.map(textsOf)
  const widths = head.map((title, column) =>
    Math.max(visibleWidth(title), ...rows.map((row) => visibleWidth(row[column]!))),
  )
  const line = (texts: readonly string[], from: number, to: number) =>
    texts
      .map((text, column) =>
        column === 0 || column === 4 ? padEnd(text, widths[column]!) : padStart(text, widths[column]!),
      )
      .slice(from, to)
      .join('  ')
      .trimEnd()
  const painted = rows.map((row, index) =>
    row.map((text, column) => (column === 4 ? paint(styles[cells[index]!.word], text) : text)),
  )
  const widthOf = (from: number, to: number) =>
    widths.slice(from, to).reduce((sum, one) => sum + one, 2 * (to - from - 1))
  // Where a line is too long, the cell has one of its own; then the last columns go, down to the verdict.
  const isWide = widthOf(0, head.length) <= width
  let shown = head.length
  while (!isWide && shown > 5 && 2 + widthOf(1, shown) > width) shown--
  const table = isWide
    ? [paint('bold', line(head, 0, shown)), ...painted.map((row) => line(row, 0, shown))]
    : [
        `  ${paint('bold', line(head, 1, shown))}`,
        ...painted.flatMap((row) => [wrap(row[0]!, width), `  ${line(row, 1, shown)}`]),
      ]
  const notes = [...mismatchNotes(comparison), ...uncomparedNotes(comparison), summary(comparison)]
  const wrapped = notes.map((note) =>
    note
      .split('\n')
      .map((part) => wrap(part, width, part.startsWith('- ') ? 2 : 0))
      .join('\n'),
  )
  return `${[sides(comparison), table.join('\n'), ...wrapped].join('\n\n')}\n`
}

export function renderComparisonMarkdown(comparison: Comparison): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const sections = [
    ...mismatchNotes(comparison).map((note) => `> **${note}**`),
    [
      line(head),
      line(head.map((_, column) => (column === 0 || column === 4 ? ':--' : '--:'))),
      ...byWeight(comparison.cells).map((cell) => line(textsOf(cell))),
    ].join('\n'),
    ...uncomparedNotes(comparison),
    summary(comparison),
    sides(comparison),
  ]
  return `${sections.join('\n\n')}\n`
}

function byWeight(cells: readonly ComparedCell[]): readonly ComparedCell[] {
  return [...cells].sort(
    (a, b) =>
      order.indexOf(a.word) - order.indexOf(b.word) ||
      Math.abs(Math.log(b.ratio)) - Math.abs(Math.log(a.ratio)),
  )
}

function textsOf(cell: ComparedCell): string[] {
  const { contender, setting, beforeNs, afterNs, ratio, interval, word, detectable, q } = cell
  return [
    `${contender}, ${setting.scenario}, ${settingText(setting)}`,
    formatDuration(beforeNs),
    formatDuration(afterNs),
    interval === undefined
      ? `${ratio.toFixed(2)} (no interval)`
      : `${ratio.toFixed(2)} (${rangeText(interval.low, interval.high)})`,
    word,
    detectable === undefined ? '' : `±${percentText(detectable)}`,
    q < 0.001 ? '<0.001' : q.toFixed(3),
  ]
}

function mismatchNotes({ mismatches }: Comparison): string[] {
  return mismatches.map(
    ({ field, before, after }) =>
      `The runs differ in ${field}: ${before} → ${after}. Every ratio shows that difference as well.`,
  )
}

function uncomparedNotes({ uncompared }: Comparison): string[] {
  if (uncompared.length === 0) return []
  const lines = uncompared.map(
    ({ contender, setting, reason }) =>
      `- ${contender}, ${setting.scenario}, ${settingText(setting)}: ${reason}`,
  )
  return [`Not compared:\n${lines.join('\n')}`]
}

function summary({ cells }: Comparison): string {
  const counts = order.map((word) => `${cells.filter((cell) => cell.word === word).length} ${word}`)
  return (
    `${counted(cells.length, 'cell')}: ${counts.join(', ')}. Ratios are after over before, with their exact 95 % interval. ` +
    'A change of the size under "would have seen" would probably have shown. q: of all rows with this q or less, the share that would be called different by accident; slower and faster need 0.05 or less. ' +
    'The runs were separate, so what the machine did differently is in every ratio; shootout gate measures both sides at once.'
  )
}

function sides({ before, after }: Comparison): string {
  return `before: ${before.path} (${before.startedAt})\nafter:  ${after.path} (${after.startedAt})`
}
