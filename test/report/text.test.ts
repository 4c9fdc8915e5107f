/**
 * Golden files in test/report/golden: read them when they change, as a user would.
 * `npx vitest run --project source test/report/text.test.ts -u` writes them anew.
 */

import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { analyse } from '../../src/analysis/analyse.ts'
import type { Analysis } from '../../src/analysis/model.ts'
import { renderCsv } from '../../src/report/csv.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { timeText } from '../../src/report/phrases.ts'
import { renderTable } from '../../src/report/table.ts'
import { wrap } from '../../src/report/terminal.ts'
import { parseResults } from '../../src/results/reader.ts'
import { type SampleOptions, sampleText } from './sample.ts'

function sample(options: SampleOptions = {}): Analysis {
  return analyse(parseResults(sampleText(options), 'results/sample.jsonl'))
}

const normal: SampleOptions = {
  scenarios: ['update', 'cached-read'],
  concurrency: [
    { kind: 'async', workers: 5 },
    { kind: 'processes', workers: 2 },
  ],
}
const few: SampleOptions = { ...normal, forks: 3, interrupted: true, noise: 0.1 }
const many: SampleOptions = {
  ...normal,
  contenders: ['file', 'sqlite', 'sqlite-wal', 'sqlite-slow', 'memory'],
}
const golden = (name: string) => `golden/${name}`

describe('golden', () => {
  test.each([80, 120, 200])('table of a normal run at %i columns', async (width) => {
    const text = renderTable(sample(normal), { width, color: false })
    await expect(text).toMatchFileSnapshot(golden(`table-${width}.txt`))
  })

  test('table of an interrupted run with few forks', async () => {
    const text = renderTable(sample(few), { width: 80, color: false })
    await expect(text).toMatchFileSnapshot(golden('table-few-forks.txt'))
  })

  test('table with more contenders than fit side by side', async () => {
    const text = renderTable(sample(many), { width: 80, color: false })
    await expect(text).toMatchFileSnapshot(golden('table-many-contenders.txt'))
  })

  test.each([80, 200])('details at %i columns', async (width) => {
    const text = renderTable(sample(normal), { width, color: false, details: true })
    await expect(text).toMatchFileSnapshot(golden(`table-details-${width}.txt`))
  })

  test('Markdown', async () => {
    await expect(renderMarkdown(sample(normal))).toMatchFileSnapshot(golden('report.md'))
  })

  test('CSV', async () => {
    await expect(renderCsv(sample(normal))).toMatchFileSnapshot(golden('report.csv'))
  })
})

describe('the table', () => {
  test('no line is wider than the terminal, from 80 columns on', () => {
    for (const options of [normal, few, many]) {
      const analysis = sample(options)
      for (const width of [80, 100, 120, 160, 200]) {
        const lines = renderTable(analysis, { width, color: false, details: true }).split('\n')
        const widest = Math.max(...lines.map((line) => [...line].length))
        expect(widest, `${width} columns`).toBeLessThanOrEqual(width)
      }
    }
  })

  test('colours change nothing but colours', () => {
    const analysis = sample(normal)
    for (const width of [80, 120, 200]) {
      const colored = renderTable(analysis, { width, color: true })
      const plain = renderTable(analysis, { width, color: false })
      expect(colored).not.toBe(plain)
      // Padding at the end of a line may hide inside the colour codes.
      const trimmed = stripVTControlCharacters(colored).replaceAll(/ +$/gm, '')
      expect(trimmed).toBe(plain)
    }
  })

  test('one contender alone has no ratio and no rank', () => {
    const text = renderTable(sample({ ...normal, contenders: ['file'] }), { width: 80, color: false })
    expect(text).toContain('Nothing to rank')
  })
})

describe('the other forms', () => {
  test('CSV has as many fields in every line, whatever the reasons hold', () => {
    const lines = renderCsv(sample()).trimEnd().split('\r\n')
    const count = (line: string) => line.replaceAll(/"(?:[^"]|"")*"/g, 'quoted').split(',').length
    expect(new Set(lines.map(count)).size).toBe(1)
    expect(lines).toHaveLength(1 + 4 * 8 * 3)
  })

  test('JSON holds values of every single fork', () => {
    const parsed = JSON.parse(renderJson(sample(normal))) as Analysis
    expect(parsed.format).toBe(1)
    const cell = parsed.groups[0]!.cells[1]!
    expect(cell.status === 'measured' && cell.forks.map(({ fork }) => fork)).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('Markdown keeps its table whatever a message holds', () => {
    const text = sampleText(normal).replaceAll('worker 1 finds', 'a | b\\n<b>`c`</b> finds')
    const markdown = renderMarkdown(analyse(parseResults(text, 'x.jsonl')))
    expect(markdown).toContain('a \\| b &lt;b>\\`c\\`&lt;/b> finds')
  })
})

test('wrapping breaks at spaces, indents what follows, and leaves long words whole', () => {
  expect(wrap('one two three four', 9)).toBe('one two\nthree\nfour')
  expect(wrap('one two three four', 11, 2)).toBe('one two\n  three\n  four')
  expect(wrap('a incomprehensibilities b', 8)).toBe('a\nincomprehensibilities\nb')
})

test.each([
  [{ median: 1000, interval: { low: 960, high: 1030, level: 0.97 } }, '1.00 µs ±4%'],
  [{ median: 1000, interval: { low: 500, high: 4000, level: 0.97 } }, '1.00 µs (500 ns–4.00 µs)'],
  [{ median: 2000, interval: { low: 1100, high: 5000, level: 0.97 } }, '2.00 µs (1.10–5.00 µs)'],
  [{ median: 1000, interval: undefined, min: 900, max: 1100, n: 3 }, '1.00 µs [±10%]'],
  [{ median: 1000, interval: undefined, min: 900, max: 3000, n: 3 }, '1.00 µs [900 ns–3.00 µs]'],
  [{ median: 1000, interval: undefined, min: 1000, max: 1000, n: 1 }, '1.00 µs'],
])('%j is said as %s', (estimate, text) => {
  expect(timeText({ min: 0, max: 0, n: 6, ...estimate })).toBe(text)
})
