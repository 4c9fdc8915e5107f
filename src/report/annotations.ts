/** The gate's verdicts as GitHub workflow commands: an error per regression, a warning per cell that could not be told. */

import { type GateReport, worstFirst } from '../analysis/gate/report-model.ts'
import { driftText, gateCellText, overallText, overallWords, reasonOf } from './gate-phrases.ts'

export function renderAnnotations(report: GateReport): string {
  const lines = worstFirst(report.cells)
    .filter(({ verdict }) => verdict !== 'pass')
    .map((cell) =>
      command(
        cell.verdict === 'inconclusive' ? 'warning' : 'error',
        `shootout: ${gateCellText(cell)}`,
        reasonOf(cell, report.policy),
      ),
    )
  if (report.drift?.isSlower) lines.push(command('error', 'shootout: whole suite', driftText(report.drift)))
  const kind = report.verdict === 'pass' ? 'notice' : report.verdict === 'inconclusive' ? 'warning' : 'error'
  lines.push(command(kind, `shootout gate: ${overallWords[report.verdict]}`, overallText(report)))
  return `${lines.join('\n')}\n`
}

function command(kind: 'error' | 'warning' | 'notice', title: string, message: string): string {
  return `::${kind} title=${property(title)}::${data(message)}`
}

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
