/** The gate's verdicts for a terminal, the worst last: the end of the output is what stays in view. */

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
import type { RenderOptions } from './renderer.ts'
import { padEnd, painter, type Style, visibleWidth, wrap } from './terminal.ts'

const marks: Readonly<Record<Verdict, readonly [mark: string, style: Style]>> = {
  pass: ['pass', 'green'],
  fail: ['FAIL', 'red'],
  inconclusive: ['?', 'yellow'],
  failed: ['ERROR', 'red'],
}

export function renderGateTable(report: GateReport, { width, color }: RenderOptions): string {
  const paint = painter(color)
  const cells = [...worstFirst(report.cells)].reverse()
  const nameWidth = Math.max(0, ...cells.map((cell) => visibleWidth(gateCellText(cell))))
  const ratioWidth = Math.max(0, ...cells.map((cell) => visibleWidth(gateRatioText(cell))))
  const line = (cell: ReportedCell) => {
    const [mark, style] = marks[cell.verdict]
    const head = `${paint(style, padEnd(mark, 5))}  ${padEnd(gateCellText(cell), nameWidth)}  ${padEnd(gateRatioText(cell), ratioWidth)}`
    const note = countersNote(cell)
    return [
      head.trimEnd(),
      ...[
        reasonOf(cell, report.policy),
        ...(note === undefined ? [] : [note]),
        ...explanationLines(cell),
      ].map((text) => `       ${wrap(text, width - 7, 7)}`),
    ].join('\n')
  }
  const skips = report.skips.map((skip) =>
    paint('dim', `skip   ${skip.scenario}, ${settingText(skip)}: ${skip.reason}`),
  )
  const isGood = report.verdict === 'pass'
  const word = paint(
    isGood ? 'green' : report.verdict === 'inconclusive' ? 'yellow' : 'red',
    overallWords[report.verdict],
  )
  const sections = [
    [`Baseline:  ${report.baseline}`, `Candidate: ${report.candidate}`].join('\n'),
    [...skips, ...cells.map(line)].join('\n'),
    ...(report.drift === undefined ? [] : [wrap(driftText(report.drift), width)]),
    ...(report.machine === undefined ? [] : [wrap(machineText(report.machine), width)]),
    wrap(`${word}: ${overallText(report)}`, width),
    `Journal: ${report.journal}\nAgain:   ${report.again}`,
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}
