/** The gate's verdicts for a pull request or a step summary: the worst first, what passed folded away. */

import { type GateReport, type ReportedCell, worstFirst } from '../analysis/gate/report-model.ts'
import type { Verdict } from '../analysis/gate/suite.ts'
import {
  countersNote,
  driftText,
  explanationLines,
  gateCellText,
  gateRatioText,
  machineText,
  overallText,
  overallWords,
  reasonOf,
} from './gate-phrases.ts'
import { settingText } from './phrases.ts'

const marks: Readonly<Record<Verdict, string>> = {
  fail: '❌ slower',
  failed: '❌ error',
  inconclusive: '❔ undecided',
  pass: '✅ not slower',
}

export function renderGateMarkdown(report: GateReport): string {
  const cells = worstFirst(report.cells)
  const bad = cells.filter(({ verdict }) => verdict !== 'pass')
  const good = cells.filter(({ verdict }) => verdict === 'pass')
  const sections = [
    `## ${overallWords[report.verdict]}: ${literal(overallText(report))}`,
    `Baseline \`${code(report.baseline)}\`, candidate \`${code(report.candidate)}\`. Ratios are candidate over baseline: above 1 is slower.`,
    ...(report.drift === undefined ? [] : [literal(driftText(report.drift))]),
    ...(bad.length === 0 ? [] : [table(bad, report)]),
    ...(good.length === 0 ? [] : [folded(`${good.length} passed`, table(good, report))]),
    ...(report.skips.length === 0 ? [] : [folded(`${report.skips.length} skipped`, skipList(report))]),
    ...(report.machine === undefined ? [] : [folded('The machine', literal(machineText(report.machine)))]),
    folded('Do it again', `\`\`\`sh\n${report.again}\n\`\`\``),
  ]
  return `${sections.join('\n\n')}\n`
}

function table(cells: readonly ReportedCell[], { policy }: GateReport): string {
  const rows = cells.map((cell) => {
    const note = countersNote(cell)
    const reason = [reasonOf(cell, policy), ...(note === undefined ? [] : [note]), ...explanationLines(cell)]
      .map(literal)
      .join('<br>')
    return `| ${marks[cell.verdict]} | ${literal(gateCellText(cell))} | ${gateRatioText(cell)} | ${reason} |`
  })
  return ['| verdict | cell | ratio (95 %) | why |', '|:--|:--|:--|:--|', ...rows].join('\n')
}

function skipList({ skips }: GateReport): string {
  return skips
    .map((skip) => `- ${literal(`${skip.scenario}, ${settingText(skip)}: ${skip.reason}`)}`)
    .join('\n')
}

function folded(title: string, body: string): string {
  return `<details><summary>${title}</summary>\n\n${body}\n\n</details>`
}

/** Messages and labels are other people's text. */
function literal(text: string): string {
  return text
    .replace(/[\\`*_[\]|~#]/g, '\\$&')
    .replaceAll('<', '&lt;')
    .replaceAll(/\r?\n/g, ' ')
}

function code(text: string): string {
  return text.replaceAll('`', "'").replaceAll(/\r?\n/g, ' ')
}
