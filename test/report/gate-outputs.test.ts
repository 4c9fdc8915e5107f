import { describe, expect, test } from 'vitest'
import { exitCodeOf } from '../../src/cli/gate.ts'
import { renderAnnotations } from '../../src/report/annotations.ts'
import { renderGateMarkdown } from '../../src/report/gate-markdown.ts'
import { renderGateTable } from '../../src/report/gate-table.ts'
import { renderJunit } from '../../src/report/junit.ts'
import { cells, gateReport } from './gate-sample.ts'

const everything = gateReport(Object.values(cells), {
  skips: [
    {
      type: 'skip',
      scenario: 'add',
      objects: 1,
      concurrency: { kind: 'processes', workers: 2 },
      reason: 'one process at a time',
    },
  ],
})

/** Names of the scenarios in the order in which a text mentions them first. */
function orderIn(text: string): string[] {
  return Object.values(cells)
    .map(({ setting }) => setting.scenario)
    .sort((a, b) => text.indexOf(`${a}, async`) - text.indexOf(`${b}, async`))
}

describe('every form', () => {
  const forms = {
    table: renderGateTable(everything, { width: 100, color: false }),
    markdown: renderGateMarkdown(everything),
    junit: renderJunit(everything),
  }

  test.each(Object.entries(forms))('%s names every cell and why it has its verdict', (_, text) => {
    for (const { setting } of Object.values(cells))
      expect(text).toContain(`${setting.scenario}, async 1, 1 object`)
    expect(text).toContain('one process at a time')
    const flat = text.replaceAll(/\s+/g, ' ')
    expect(flat).toContain('syncs 1 → 2')
    expect(flat).toContain('slower by 8 % (1.08–1.09)')
    expect(flat).toContain('the 99th percentile grew by 60 %')
    expect(flat).toContain('slower than 5 % is excluded; 12 pairs could have seen')
    expect(flat).toContain('some 900 pairs would be needed')
    expect(flat).toContain('the budget ended after')
    expect(flat).toContain('candidate failed: no')
    expect(flat).toContain('shootout gate --seed s')
  })

  test('the table ends with the worst, the summary begins with it', () => {
    expect(orderIn(forms.table).at(-1)).toBe('add')
    expect(orderIn(forms.markdown)[0]).toBe('add')
    expect(orderIn(forms.markdown).at(-1)).toBe('cold-read')
  })
})

test('JUnit counts failures, errors and skips, and holds no character that XML forbids', () => {
  const xml = renderJunit(everything)
  expect(xml).toContain('tests="8" failures="3" errors="1" skipped="3"')
  expect(xml).toContain('no &lt;table&gt; &quot;a|b&quot; &amp; 50%')
  expect(xml).not.toContain('\u0007')
  expect(xml.match(/<testcase /g)).toHaveLength(8)
})

test('Markdown does not let a message break its table', () => {
  const rows = renderGateMarkdown(everything)
    .split('\n')
    .filter((line) => line.includes('connect, async'))
  expect(rows).toHaveLength(1)
  expect(rows[0]!.replaceAll('\\|', '').match(/\|/g)).toHaveLength(5)
})

test('annotations are one line each, escaped, and say nothing of cells that passed', () => {
  const lines = renderAnnotations(everything).trimEnd().split('\n')
  expect(lines).toHaveLength(7)
  expect(lines.every((line) => /^::(error|warning|notice) title=[^,:]+::/.test(line))).toBe(true)
  expect(lines.join()).toContain('50%25%0Afor you')
  expect(lines.join()).not.toContain('cold-read')
})

describe('exit code', () => {
  const code = (
    included: Parameters<typeof gateReport>[0],
    more = {},
    onInconclusive: 'fail' | 'pass' = 'fail',
  ) => exitCodeOf(gateReport(included, more), onInconclusive)

  test('0 only when every cell has passed', () => {
    expect(code([cells.pass, cells.pass])).toBe(0)
  })

  test('1 for a proven regression, whatever else is missing', () => {
    expect(code([cells.pass, cells.fail, cells.failed, cells.noise])).toBe(1)
    expect(code([cells.counters], { interrupted: true })).toBe(1)
  })

  test('3 where something could not be told', () => {
    expect(code([cells.pass, cells.noise])).toBe(3)
    expect(code([cells.budget])).toBe(3)
  })

  test('0 for that only where it was asked for, and something has passed', () => {
    expect(code([cells.pass, cells.noise], {}, 'pass')).toBe(0)
    expect(code([cells.noise], {}, 'pass')).toBe(3)
    expect(code([cells.pass, cells.failed], {}, 'pass')).toBe(4)
  })

  test('4 for failed cells, and for none at all', () => {
    expect(code([cells.pass, cells.failed, cells.noise])).toBe(4)
    expect(code([])).toBe(4)
  })

  test('130 when it was interrupted, even if every cell so far has passed', () => {
    expect(code([cells.pass], { interrupted: true })).toBe(130)
  })
})
