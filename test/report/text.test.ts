/**
 * Golden files in test/report/golden: read them when they change, as a user would.
 * `npx vitest run --project source test/report/text.test.ts -u` writes them anew.
 */

import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { analyse } from '../../src/analysis/analyse.ts'
import type { Analysis, Ratio } from '../../src/analysis/model.ts'
import { renderCsv } from '../../src/report/csv.ts'
import { Footnotes } from '../../src/report/footnotes.ts'
import { renderHtml } from '../../src/report/html/page.ts'
import { renderJson } from '../../src/report/json.ts'
import { renderMarkdown } from '../../src/report/markdown.ts'
import { ratioText, timeText } from '../../src/report/phrases.ts'
import { renderTable } from '../../src/report/table.ts'
import { wrap } from '../../src/report/terminal.ts'
import { parseResults } from '../../src/results/reader.ts'
import type { ResultLine } from '../../src/results/schema.ts'
import { type SampleOptions, sampleLines, sampleText } from './sample.ts'

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

  test('the answer is the end: it stays in view', () => {
    const text = renderTable(sample(normal), { width: 80, color: false })
    expect(text.split('\n\n').at(-1)).toMatch(/^Which is faster\n/)
  })

  test('what nobody can do takes one line where contenders are below each other', () => {
    const skipped = sampleLines({ ...many, scenarios: ['update'] }).map((line): ResultLine => {
      if (!('contender' in line) || line.concurrency.kind !== 'processes') return line
      const { contender, scenario, objects, concurrency } = line
      return { type: 'skip', contender, scenario, objects, concurrency, reason: 'no' }
    })
    const text = skipped.map((line) => `${JSON.stringify(line)}\n`).join('')
    const table = renderTable(analyse(parseResults(text, 'x.jsonl')), { width: 80, color: false })
    expect(table).toContain('\nprocesses 2, 1 object  skipped [1]\nprocesses 2, 20 objects  skipped [1]\n')
    expect(table).toContain('[1] file, sqlite, sqlite-wal, sqlite-slow, memory: no')
  })

  test('one contender alone has no ratio and no rank', () => {
    const text = renderTable(sample({ ...normal, contenders: ['file'] }), { width: 80, color: false })
    expect(text).toContain('Nothing to rank: one contender')
    expect(text).not.toMatch(/reference|ratio of/)
  })
})

test('marks of another durability are explained only where there is one', async () => {
  const explained = async (contenders: readonly string[]) => {
    const analysis = sample({ ...normal, contenders })
    const forms = [renderTable(analysis, { width: 80, color: false }), renderMarkdown(analysis)]
    return [...forms, await renderHtml(analysis)].map((text) => /†|Hollow/.test(text))
  }
  expect(await explained(['memory', 'file', 'sqlite'])).toEqual([true, true, true])
  expect(await explained(['file', 'sqlite'])).toEqual([false, false, false])
})

describe('a scenario in which nobody can be ranked', () => {
  /** A run of two scenarios; what is put into the second takes the place of its forks. */
  const reportOf = (change: (line: ResultLine) => readonly ResultLine[], options: SampleOptions = {}) => {
    const lines = sampleLines({ ...normal, contenders: ['file', 'sqlite'], failure: false, ...options })
    const text = lines
      .flatMap((line) => ('scenario' in line && line.scenario === 'cached-read' ? change(line) : [line]))
      .map((line) => `${JSON.stringify(line)}\n`)
      .join('')
    return analyse(parseResults(text, 'x.jsonl'))
  }
  const error = { name: 'Error', code: 'unexpected', message: 'no', transient: false, details: {} }
  const failing = (line: ResultLine): readonly ResultLine[] => {
    if (line.type !== 'fork' || line.contender !== 'sqlite') return [line]
    const { contender, scenario, objects, concurrency, fork } = line
    const id = { contender, scenario, objects, concurrency, fork }
    return [{ type: 'fork', status: 'failed', ...id, step: 'verify', error }]
  }
  const unreached = (line: ResultLine) => (line.type === 'skip' ? [line] : [])
  const apart = (line: ResultLine) =>
    'contender' in line && (line.contender === 'file') === (line.concurrency.kind === 'async') ? [line] : []

  test.each([
    ['only file has a result (failed: sqlite)', failing],
    [
      'nobody has a result (skipped: file; not reached: sqlite)',
      unreached,
      [{ kind: 'processes', workers: 2 }],
    ],
    ['file, sqlite have no setting in common', apart],
  ] as const)('has the reason in every form: %s', async (reason, change, concurrency?) => {
    const analysis = reportOf(change, concurrency === undefined ? {} : { concurrency })
    const said = `Nothing to rank: ${reason}.`
    expect(renderTable(analysis, { width: 200, color: false }).split('\n')).toContain(
      `  cached-read  ${said}`,
    )
    expect(renderMarkdown(analysis)).toContain(`- **cached-read**: ${said}\n`)
    expect(await renderHtml(analysis)).toContain(`<dt>cached-read</dt><dd>${said}</dd>`)
  })

  test('is said to have none where no two contenders promise the same', () => {
    const text = renderTable(sample({ ...normal, contenders: ['memory', 'file'] }), {
      width: 80,
      color: false,
    })
    expect(text).toContain('no two contenders promise the same durability')
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

test('a reason is given once, with everybody it holds for, and a name in it is not said twice', () => {
  const footnotes = new Footnotes()
  const skipped = (contender: string, reason: string) =>
    footnotes.numberOf({ status: 'skipped', contender, reason })
  const alone = skipped('file', 'file can be opened by one process at a time')
  const shared = skipped('file', 'conflict needs at least 2 workers')
  expect(skipped('zeo', 'conflict needs at least 2 workers')).toBe(shared)
  expect(skipped('file', 'file can be opened by one process at a time')).toBe(alone)
  expect([alone, shared]).toEqual([1, 2])
  expect(footnotes.texts).toEqual([
    'file can be opened by one process at a time',
    'file, zeo: conflict needs at least 2 workers',
  ])
})

test.each([
  [1.3, '~1.30x slower'],
  [0.5, '~2.0x faster'],
  [0.999, '~1.00x'],
])('too few forks for an interval, and a ratio of %d: %s', (median, text) => {
  const estimate = { median, min: median, max: median, n: 1, interval: undefined }
  const ratio = { kind: 'paired', estimate, verdict: 'unclear', unequalDurability: false } as const
  expect(ratioText(ratio as unknown as Ratio)).toBe(text)
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

test('a resumed run took as long as all its sessions', () => {
  const text = sampleText(normal)
  const last = text.trimEnd().split('\n').at(-1)!
  const once = parseResults(text, 'once.jsonl').end!
  const twice = parseResults(`${text}${last}\n`, 'twice.jsonl').end!
  expect(twice).toEqual({ ...once, elapsedNs: 2 * once.elapsedNs })
})
