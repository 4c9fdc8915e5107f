/** What `compare` prints: one line per cell, what changed most first; as text for a terminal, and as Markdown. */

import type { ComparedCell, Comparison, ComparisonWord } from '../analysis/compare.ts'
import { formatDuration } from '../core/units.ts'
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
  const line = (texts: readonly string[]) =>
    texts
      .map((text, column) =>
        column === 0 || column === 4 ? padEnd(text, widths[column]!) : padStart(text, widths[column]!),
      )
      .join('  ')
      .trimEnd()
  const table = [
    paint('bold', line(head)),
    ...rows.map((row, index) =>
      line(row.map((text, column) => (column === 4 ? paint(styles[cells[index]!.word], text) : text))),
    ),
  ]
  const notes = [...mismatchNotes(comparison), ...uncomparedNotes(comparison), summary(comparison)]
  return `${[sides(comparison), table.join('\n'), ...notes.map((note) => wrap(note, width, 2))].join('\n\n')}\n`
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
    `${cells.length} cells: ${counts.join(', ')}. Ratios are after over before, with their exact 95 % interval. ` +
    'The runs were separate, so what the machine did differently is in every ratio; shootout gate measures both sides at once.'
  )
}

function sides({ before, after }: Comparison): string {
  return `before: ${before.path} (${before.startedAt})\nafter:  ${after.path} (${after.startedAt})`
}
