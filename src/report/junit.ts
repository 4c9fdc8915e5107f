/** The gate's verdicts as JUnit XML: one test case per cell. What could not be told is skipped, with the reason. */

import type { GateReport, ReportedCell } from '../analysis/gate/report-model.ts'
import { driftText, explanationLines, gateCellText, gateRatioText, reasonOf } from './gate-phrases.ts'
import { settingText } from './phrases.ts'

export function renderJunit(report: GateReport): string {
  const { cells, skips, drift } = report
  const cases = [
    ...cells.map((cell) => testCase(cell.setting.scenario, gateCellText(cell), outcome(cell, report))),
    ...skips.map((skip) =>
      testCase(skip.scenario, `${skip.scenario}, ${settingText(skip)}`, element('skipped', skip.reason)),
    ),
    ...(drift === undefined
      ? []
      : [
          testCase('suite', 'all cells together', drift.isSlower ? element('failure', driftText(drift)) : ''),
        ]),
  ]
  const count = (verdict: string) => cells.filter((cell) => cell.verdict === verdict).length
  const attributes = {
    name: 'shootout gate',
    tests: cases.length,
    failures: count('fail') + (drift?.isSlower ? 1 : 0),
    errors: count('failed'),
    skipped: count('inconclusive') + skips.length,
    time: (report.elapsedNs / 1e9).toFixed(3),
  }
  const text = Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join('')
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite${text}>\n${cases.join('\n')}\n</testsuite>\n</testsuites>\n`
}

function outcome(cell: ReportedCell, { policy, again }: GateReport): string {
  const reason = reasonOf(cell, policy)
  const detail = `${[reason, ...explanationLines(cell)].join('\n')}\nratio: ${gateRatioText(cell) || 'none'}\nagain: ${again}`
  switch (cell.verdict) {
    case 'fail':
      return element('failure', reason, detail)
    case 'failed':
      return element('error', reason, detail)
    case 'inconclusive':
      return element('skipped', reason)
    case 'pass':
      return `<system-out>${escaped(detail)}</system-out>`
  }
}

function testCase(scenario: string, name: string, body: string): string {
  return `<testcase classname="shootout.${escaped(scenario)}" name="${escaped(name)}">${body}</testcase>`
}

function element(name: string, message: string, body = ''): string {
  return `<${name} message="${escaped(message)}">${escaped(body)}</${name}>`
}

function escaped(text: string): string {
  return [...text]
    .filter((character) => isXml(character.codePointAt(0)!))
    .join('')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** XML 1.0 has no way to write most control characters. */
function isXml(code: number): boolean {
  return code >= 0x20 || code === 0x09 || code === 0x0a || code === 0x0d
}
