/** The table in README is not typed: scripts/readme-table.mjs takes it from a results file. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { partOf, withTable } from '../scripts/readme-table.mjs'
import { analyse } from '../src/analysis/analyse.ts'
import { renderTable } from '../src/report/table.ts'
import { parseResults, readResults } from '../src/results/reader.ts'
import { sampleText } from './report/sample.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(`${root}/README.md`, 'utf8')
const kept = /<!-- table of (\S*) -->/.exec(readme)?.[1] ?? ''

const report = (results: Parameters<typeof analyse>[0]) =>
  renderTable(analyse(results), { width: 120, color: false })

test('it shows the tables of one scenario, their legend and the summary, and nothing else', () => {
  const part = partOf(report(parseResults(sampleText({ scenarios: ['add', 'update', 'cached-read'] }), 'x')))
  expect(part.match(/^\w.*$/gm)?.[0]).toBe('update')
  expect(part).toContain('20 objects')
  expect(part).toMatch(/\n\nTime per operation [\s\S]*\n\nWhich is faster\n/)
  expect(part).not.toMatch(/^(?:add|cached-read|Durability|Conditions)/m)
})

test('footnotes of other scenarios are left out', () => {
  const note = (number: number, text: string) => `[${number}] ${text}\nand more of it`
  const legend = ['Time per operation as', 'such', note(1, 'b'), note(2, 'a'), note(3, 'b')].join('\n')
  const given = `add\n a [2]\n\nupdate\n b [1]\n c [3]\n\n${legend}\n\nWhich is faster\n  add  a\n`
  expect(partOf(given)).toBe(
    `update\n b [1]\n c [3]\n\n${legend.replace(`${note(2, 'a')}\n`, '')}\n\nWhich is faster\n  add  a`,
  )
})

test('it takes the place of the old one, and says what it was measured on', () => {
  const results = parseResults(sampleText({ scenarios: ['update'], objects: [20] }), 'x')
  const page = 'Before.\n\n<!-- table of nothing -->\n```\nold $&\n```\n\n```\nother\n```\n'
  const first = withTable(page, 'results/a.jsonl', results.suite, report(results))
  expect(first).toMatch(
    /^Before\.\n\n<!-- table of results\/a\.jsonl -->\n```\nupdate\n[^`]*\n```\n\nMeasured on 2026-03-01: 2 × Example CPU .*; \[all of it\]\(results\/a\.jsonl\)\.\n\n```\nother\n```\n$/,
  )
  const second = withTable(first, 'results/b.jsonl', results.suite, report(results))
  expect(second).toBe(first.replaceAll('results/a.jsonl', 'results/b.jsonl'))
  expect(() => withTable('no mark', 'x', results.suite, report(results))).toThrow('no mark')
})

test.skipIf(kept === 'nothing')(
  'README shows what its results file says (skipped: its run was not kept)',
  () => {
    const results = readResults(`${root}/${kept}`)
    expect(withTable(readme, kept, results.suite, report(results))).toBe(readme)
  },
)
