/**
 * The report for a terminal: a table per scenario with contenders side by side; last the summary in words, because the
 * end is what stays in view when the output has scrolled by.
 */

import type { Analysis } from '../analysis/model.ts'
import { costsLegend, costsOf } from './costs.ts'
import { Footnotes } from './footnotes.ts'
import { renderGrids } from './grid.ts'
import {
  environmentSentence,
  factSentences,
  legendSentences,
  nothingToRank,
  rankingSentences,
  runSentence,
  tierSentence,
} from './prose.ts'
import type { RenderOptions } from './renderer.ts'
import { type Paint, padEnd, padStart, painter, visibleWidth, wrap } from './terminal.ts'

/** Below this, lines are as wide as they must be. */
const widthMin = 40

export function renderTable(analysis: Analysis, options: RenderOptions): string {
  const width = Math.max(widthMin, options.width)
  const paint = painter(options.color)
  const sections = [
    ...tables(analysis, width, paint),
    ...(options.details === true ? costs(analysis, width, paint) : []),
    conditions(analysis, width, paint),
    warnings(analysis, width, paint),
    summary(analysis, width, paint),
  ]
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`
}

function tables(analysis: Analysis, width: number, paint: Paint): string[][] {
  const { groups, contenders, reference } = analysis
  const { tiers } = analysis.summary
  const footnotes = new Footnotes()
  const durability = contenders.find(({ label }) => label === reference)!.durability
  const headings = contenders.map((one) => `${one.label}${one.durability === durability ? '' : '†'}`)
  const scenarios = [...new Set(groups.map(({ setting }) => setting.scenario))]
  const scenarioGroups = scenarios.map((scenario) =>
    groups.filter(({ setting }) => setting.scenario === scenario),
  )
  const grids = renderGrids(scenarioGroups, {
    contenders,
    headings,
    width,
    paint,
    footnote: footnotes.numberOf,
  }).map((lines, index) => [paint('bold', scenarios[index]!), ...lines])

  const cells = groups.flatMap((group) => group.cells)
  const legend = [
    ...legendSentences(analysis),
    ...(cells.some((cell) => cell.status === 'measured' && cell.fastest)
      ? ['* proven fastest of its durability tier']
      : []),
    ...(tiers.length > 1 ? [`† promises another durability than ${reference}`] : []),
  ]
  const notes = footnotes.texts.map((text, index) => wrap(`[${index + 1}] ${text}`, width, 4))
  return [...grids, [...legend.map((line) => paint('dim', wrap(line, width))), ...notes]]
}

/** A line per measured cell where that fits, else as running text. */
function costs({ groups }: Analysis, width: number, paint: Paint): string[][] {
  const scenarios = [...new Set(groups.map(({ setting }) => setting.scenario))]
  const tables = scenarios.flatMap((scenario) => {
    const { names, rows } = costsOf(groups.filter(({ setting }) => setting.scenario === scenario))
    if (rows.length === 0) return []
    const heading = paint('bold', `${scenario}: what an operation cost`)
    const cells = [
      ['', '', ...names],
      ...rows.map(({ setting, contender, values }) => [
        setting,
        contender,
        ...values.map((value) => value ?? '–'),
      ]),
    ]
    const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => visibleWidth(row[column]!))))
    const lines = cells.map((row) =>
      row
        .map((text, column) => (column < 2 ? padEnd(text, widths[column]!) : padStart(text, widths[column]!)))
        .join('  '),
    )
    if (lines.every((line) => visibleWidth(line) <= width)) return [[heading, ...lines]]
    const listed = rows.map(({ setting, contender, values }) => {
      const known = values.flatMap((value, index) =>
        value === undefined ? [] : [`${names[index]} ${value}`],
      )
      return wrap(`${setting}, ${contender}: ${known.join(' · ')}`, width, 2)
    })
    return [[heading, ...listed]]
  })
  return [...tables, [paint('dim', wrap(costsLegend, width))]]
}

function summary(analysis: Analysis, width: number, paint: Paint): string[] {
  const sentences = rankingSentences(analysis)
  const labelWidth = Math.max(0, ...sentences.map(({ scenario }) => scenario.length))
  const ranked = sentences.map(({ scenario, sentence }) => {
    const text = wrap(sentence, width - labelWidth - 4)
    return indent(
      `${padEnd(scenario, labelWidth)}  ${text.replaceAll('\n', `\n${' '.repeat(labelWidth + 2)}`)}`,
    )
  })
  return [
    paint('bold', 'Durability (only equals are ranked)'),
    ...analysis.summary.tiers.map((tier) => indent(wrap(tierSentence(tier), width - 2, 2))),
    '',
    paint('bold', 'Which is faster'),
    ...(ranked.length > 0 ? ranked : [indent(wrap(nothingToRank(analysis), width - 2))]),
  ]
}

function conditions(analysis: Analysis, width: number, paint: Paint): string[] {
  return [
    paint('bold', 'Conditions'),
    ...[runSentence(analysis), environmentSentence(analysis), ...factSentences(analysis)].map((text) =>
      indent(wrap(text, width - 2, 2)),
    ),
  ]
}

function warnings({ warnings: found }: Analysis, width: number, paint: Paint): string[] {
  if (found.length === 0) return []
  return [
    paint('yellow', found.length === 1 ? 'Warning' : `${found.length} warnings`),
    ...found.map(({ text, advice }) => indent(wrap(`- ${text} ${advice}`, width - 2, 2))),
  ]
}

function indent(text: string): string {
  return `  ${text.replaceAll('\n', '\n  ')}`
}
