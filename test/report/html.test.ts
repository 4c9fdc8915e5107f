import { describe, expect, test } from 'vitest'
import { analyse } from '../../src/analysis/analyse.ts'
import type { Analysis } from '../../src/analysis/model.ts'
import { ratioChart, summaryChart, timeChart } from '../../src/report/html/charts.ts'
import { escapeJson } from '../../src/report/html/escape.ts'
import { renderHtml } from '../../src/report/html/page.ts'
import { renderSvg } from '../../src/report/html/svg.ts'
import { parseResults } from '../../src/results/reader.ts'
import { type SampleOptions, sampleText } from './sample.ts'

const small: SampleOptions = { scenarios: ['update'], objects: [20], batches: 2 }

function sample(options: SampleOptions, change: (text: string) => string = (text) => text): Analysis {
  return analyse(parseResults(change(sampleText(options)), 'results/sample.jsonl'))
}

describe('the page', () => {
  test('needs nothing from the network and runs no script', async () => {
    const page = await renderHtml(sample(small))
    // Names of XML namespaces are not addresses.
    const addresses = page.match(/https?:[^"'\s<]*/g) ?? []
    expect(addresses.filter((address) => !address.startsWith('http://www.w3.org/'))).toEqual([])
    expect(page).not.toMatch(/<(link|iframe|img)\b|url\(|@import/)
    expect(page.match(/<script[^>]*>/g)).toEqual(['<script type="application/json" id="analysis">'])
    expect(page).toContain('<meta charset="utf-8">')
  })

  test('holds the whole analysis as JSON', async () => {
    const analysis = sample(small)
    const page = await renderHtml(analysis)
    const [, json] = /<script type="application\/json" id="analysis">(.*)<\/script>/.exec(page)!
    expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(analysis)))
  })

  test('shows text from elsewhere as text', async () => {
    const evil = '</script><img src=x onerror=alert(1)>'
    const analysis = sample(small, (text) =>
      text.replaceAll('worker 1 finds', `${evil} finds`).replaceAll('"sqlite"', JSON.stringify(`sql${evil}`)),
    )
    const page = await renderHtml(analysis)
    expect(page).not.toContain('<img')
    expect(page.match(/<\/script>/g)).toHaveLength(1)
  })

  test('says in words, in the chart and below it why a cell has no number', async () => {
    const page = await renderHtml(sample(small))
    expect(page).toContain('skipped [1]</text>')
    expect(page).toContain('failed [3]</text>')
    expect(page).toContain('<li>sqlite: 1 of 6 forks: worker 1 finds version 18')
  })

  test('draws no plot of what nobody can do', () => {
    const processes = { kind: 'processes', workers: 2 } as const
    const analysis = sample({
      ...small,
      contenders: ['memory', 'file'],
      concurrency: [{ kind: 'async', workers: 1 }, processes],
    })
    const { values } = timeChart(analysis, 'update', () => 1)['data'] as { values: { kind: string }[] }
    expect(new Set(values.map(({ kind }) => kind))).toEqual(new Set(['async']))
  })

  test('can be made of a run in which nothing was measured', async () => {
    const analysis = sample({
      ...small,
      contenders: ['memory'],
      concurrency: [{ kind: 'threads', workers: 2 }],
    })
    expect(await renderHtml(analysis)).toContain('Nothing to rank')
  })

  test('has the answer before the charts', async () => {
    const page = await renderHtml(sample(small))
    expect(page.indexOf('file is fastest')).toBeGreaterThan(0)
    expect(page.indexOf('file is fastest')).toBeLessThan(page.indexOf('<svg'))
  })
})

describe('the charts', () => {
  /** Bars as drawn: Vega describes each mark for screen readers. */
  const bars = (svg: string) => svg.match(/aria-roledescription="bar"/g)?.length ?? 0

  test('there is a bar for every measured cell, and only for those', async () => {
    const analysis = sample({ scenarios: ['update'], batches: 2 })
    const measured = analysis.groups
      .flatMap(({ cells }) => cells)
      .filter(({ status }) => status === 'measured')
    expect(bars(await renderSvg(timeChart(analysis, 'update', () => 1)))).toBe(measured.length)
    expect(measured).toHaveLength(17)
  })

  test('the same analysis is drawn the same', async () => {
    const spec = timeChart(sample(small), 'update', () => 1)
    const drawn = await renderSvg(spec)
    // Not toBe: a failure would print both.
    expect(drawn === (await renderSvg(spec))).toBe(true)
  })

  test('colours of text and lines follow the page', async () => {
    const svg = await renderSvg(timeChart(sample(small), 'update', () => 1))
    expect(svg).toContain('fill="currentColor"')
    expect(svg).not.toMatch(/(fill|stroke)="(black|#000|#000000|#888)"/)
  })

  test('a chart is named for those who do not see it', async () => {
    const svg = await renderSvg(summaryChart(sample({ ...small, failure: false }))!)
    expect(svg).toMatch(/^<svg [^>]*aria-label="Time of each contender relative to the fastest/)
  })

  test('ratios are drawn for contenders other than the reference, if there are any', async () => {
    const spec = ratioChart(sample(small), 'update')!
    const svg = await renderSvg(spec)
    expect(svg).toContain('time relative to file')
    expect(ratioChart(sample({ ...small, contenders: ['file'] }), 'update')).toBeUndefined()
  })
})

describe('the chart of the summary', () => {
  const rowsOf = (analysis: Analysis) =>
    (summaryChart(analysis)!['data'] as { values: { row: string; contender: string; ratio: number }[] })
      .values

  test('has the fastest of each scenario at 1, and the others where the summary has them', () => {
    const analysis = sample({ ...small, scenarios: ['update', 'cached-read'], failure: false })
    const expected = analysis.summary.scenarios.flatMap(({ scenario, rankings }) =>
      rankings[0]!.places.map(({ contender, ratio }) => ({
        row: scenario,
        contender,
        ratio: ratio?.estimate.median ?? 1,
      })),
    )
    expect(expected.map(({ contender }) => contender)).toEqual(['file', 'sqlite', 'sqlite', 'file'])
    expect(rowsOf(analysis)).toMatchObject(expected)
  })

  test('is not drawn where nobody is ranked', () => {
    expect(summaryChart(sample({ ...small, contenders: ['memory', 'file'] }))).toBeUndefined()
  })
})

test('kinds stand side by side where there is one object count, else below each other', () => {
  const facetOf = (objects: number[]) => timeChart(sample({ ...small, objects }), 'update', () => 1)['facet']
  expect(facetOf([20])).toEqual({ column: expect.objectContaining({ field: 'panel' }) })
  expect(facetOf([1, 20])).toMatchObject({ row: { field: 'kind' }, column: { field: 'objects' } })
})

test('JSON in a page cannot end its element and is still the same', () => {
  const value = { text: '</script><!--<script>', more: ['a < b'] }
  expect(escapeJson(value)).not.toContain('<')
  expect(JSON.parse(escapeJson(value))).toEqual(value)
})
