/** The report for pull requests and documents: GitHub's Markdown, the summary first, the tables below it. */

import type { Analysis, Cell, Group } from '../analysis/model.ts'
import { formatRate } from '../core/units.ts'
import { Footnotes } from './footnotes.ts'
import { concurrencyText, hasRatio, ratioText, timeText } from './phrases.ts'
import {
  environmentSentence,
  factSentences,
  legendSentences,
  nothingToRank,
  rankingSentences,
  runSentence,
  tierSentence,
} from './prose.ts'

export function renderMarkdown(analysis: Analysis): string {
  const { groups, contenders, reference, summary, warnings } = analysis
  const footnotes = new Footnotes()
  const scenarios = [...new Set(groups.map(({ setting }) => setting.scenario))]
  const tables = scenarios.map((scenario) =>
    [
      `### ${literal(scenario)}`,
      '',
      tableOf(
        ['concurrency', 'objects', ...contenders.map(({ label }) => label)],
        groups.filter(({ setting }) => setting.scenario === scenario).map((group) => rowOf(group, footnotes)),
      ),
    ].join('\n'),
  )
  const sentences = rankingSentences(analysis)
  const sections = [
    '## Which is faster',
    bullets(
      sentences.length > 0
        ? sentences.map(({ scenario, sentence }) => `**${literal(scenario)}**: ${literal(sentence)}`)
        : [nothingToRank(analysis)],
    ),
    'Durability (only equals are ranked):',
    bullets(summary.tiers.map((tier) => literal(tierSentence(tier)))),
    ...(warnings.length === 0
      ? []
      : ['## Warnings', bullets(warnings.map(({ text, advice }) => literal(`${text} ${advice}`)))]),
    '## Results',
    [
      ...legendSentences(analysis).map(literal),
      '**Bold**: proven fastest of its durability tier.',
      ...(summary.tiers.length > 1 ? [`†: another durability than ${literal(reference)}.`] : []),
    ].join(' '),
    ...tables,
    ...(footnotes.texts.length === 0
      ? []
      : [footnotes.texts.map((text, index) => `${index + 1}. ${literal(text)}`).join('\n')]),
    '## Conditions',
    bullets([runSentence(analysis), environmentSentence(analysis), ...factSentences(analysis)].map(literal)),
  ]
  return `${sections.join('\n\n')}\n`
}

function rowOf({ setting, cells }: Group, footnotes: Footnotes): string[] {
  return [
    concurrencyText(setting.concurrency),
    String(setting.objects),
    ...cells.map((cell) => cellText(cell, cells.length, footnotes)),
  ]
}

function cellText(cell: Cell, count: number, footnotes: Footnotes): string {
  if (cell.status !== 'measured') {
    return `${cell.status === 'missing' ? 'not reached' : cell.status} (${footnotes.numberOf(cell)})`
  }
  const time = literal(timeText(cell.timePerOperationNs))
  const rate = cell.throughputPerSecond === undefined ? [] : [formatRate(cell.throughputPerSecond.median)]
  const ratio = hasRatio(cell, count) ? [literal(ratioText(cell.ratio))] : []
  return [cell.fastest ? `**${time}**` : time, ...rate, ...ratio].join('<br>')
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const alignment = head.map((_, column) => (column === 1 ? '--:' : ':--'))
  return [line(head.map(literal)), line(alignment), ...rows.map(line)].join('\n')
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}

/** Labels, messages and paths are other people's text; `~` because two of them strike text out. */
function literal(text: string): string {
  return text
    .replace(/[\\`*_[\]|~#]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('\n', ' ')
}
