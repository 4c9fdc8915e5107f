import { describe, expect, test } from 'vitest'
import { compare } from '../../src/analysis/compare.ts'
import { renderComparison, renderComparisonMarkdown } from '../../src/report/comparison.ts'
import { parseResults, type Results } from '../../src/results/reader.ts'
import type { SuiteLine } from '../../src/results/schema.ts'
import { coded } from '../coded.ts'
import { type SampleOptions, sampleText } from '../report/sample.ts'

function results(seed: string, options: SampleOptions = {}): Results {
  return parseResults(
    sampleText({ failure: false, forks: 12, noise: 0.01, ...options, seed }),
    `${seed}.jsonl`,
  )
}

/** The same file from another machine, software or data. */
function changed(from: Results, change: (suite: SuiteLine) => Partial<SuiteLine>): Results {
  return { ...from, suite: { ...from.suite, ...change(from.suite) } }
}

/** Each time of every fork, times a factor. */
function slowed(from: Results, factor: number): Results {
  return {
    ...from,
    forks: from.forks.map((line) =>
      line.status === 'failed'
        ? line
        : {
            ...line,
            batches: line.batches.map((batch) => ({
              ...batch,
              workersNs: batch.workersNs.map((ns) => ns * factor),
            })),
          },
    ),
  }
}

describe('two runs', () => {
  const before = results('one', { noise: 0.001 })

  test('equal to each other are equivalent everywhere', () => {
    const { cells } = compare(before, before)
    expect(cells.length).toBeGreaterThan(20)
    expect(new Set(cells.map(({ word }) => word))).not.toContain('slower')
    expect(new Set(cells.map(({ word }) => word))).not.toContain('faster')
    expect(cells.every(({ ratio }) => Math.abs(ratio - 1) < 1e-9)).toBe(true)
  })

  test('one of them a third slower is slower everywhere, and the interval says by how much', () => {
    const { cells } = compare(before, slowed(before, 4 / 3))
    for (const cell of cells) {
      expect(cell.word).toBe('slower')
      expect(cell.ratio).toBeCloseTo(4 / 3, 6)
      expect(cell.interval!.low).toBeLessThanOrEqual(4 / 3)
      expect(cell.interval!.high).toBeGreaterThanOrEqual(4 / 3)
      expect(cell.q).toBeLessThan(0.05)
    }
    expect(compare(slowed(before, 4 / 3), before).cells.every(({ word }) => word === 'faster')).toBe(true)
  })

  test('the q of a row is never below its p', () => {
    const { cells } = compare(before, results('two'))
    expect(cells.filter(({ p, q }) => q < p)).toEqual([])
  })

  test('three forks on each side give no interval and no verdict', () => {
    const few = results('few', { forks: 3 })
    const { cells } = compare(few, slowed(few, 3))
    expect(
      cells.every(({ word, interval, detectable }) => word === 'unclear' && !interval && !detectable),
    ).toBe(true)
  })

  test('cells that only one of them has are named, not left out', () => {
    const other = results('other', { scenarios: ['add', 'update', 'cold-read'] })
    const { uncompared } = compare(before, other)
    expect(uncompared.length).toBeGreaterThan(0)
    expect(new Set(uncompared.map(({ setting, reason }) => `${setting.scenario}: ${reason}`))).toEqual(
      new Set(['cached-read: not in the second file']),
    )
  })

  test('with nothing in common are an error', () => {
    expect(() => compare(before, results('other', { contenders: ['memory-slow', 'file-slow'] }))).toThrow(
      expect.objectContaining({ code: 'nothing-to-measure' }),
    )
  })
})

describe('a comparison is refused', () => {
  const before = results('one')
  const cases = {
    machine: changed(before, ({ environment }) => ({ environment: { ...environment, cpus: 64 } })),
    node: changed(before, ({ environment }) => ({ environment: { ...environment, node: 'v22.1.0' } })),
    dataset: changed(before, ({ dataset }) => ({ dataset: { ...dataset, recordBytes: 5000 } })),
    durability: changed(before, ({ contenders }) => ({
      contenders: contenders.map((one) => (one.label === 'sqlite' ? { ...one, durability: 'os' } : one)),
    })),
  }

  test.each(Object.entries(cases))('for another %s, unless it is allowed', (field, after) => {
    expect(() => compare(before, after)).toThrow(expect.objectContaining({ code: 'not-comparable' }))
    expect(() => compare(before, after)).toThrow(`--allow-mismatch ${field}`)
    const { mismatches } = compare(before, after, [field])
    expect(mismatches.map((one) => one.field)).toEqual([field])
  })

  test('never for another seed or a patch of Node', () => {
    const after = changed(before, ({ environment }) => ({
      seed: 'other',
      environment: { ...environment, node: 'v20.99.0' },
    }))
    expect(compare(before, after).mismatches).toEqual([])
  })

  test('when the allowed field does not exist', () => {
    expect(() => compare(before, before, ['machin'])).toThrow(
      coded('unknown-field', 'did you mean "machine"'),
    )
  })
})

test('both forms show every cell, what is slower first, and an allowed mismatch', () => {
  const before = results('one')
  const after = changed(slowed(before, 2), ({ environment }) => ({
    environment: { ...environment, cpus: 64 },
  }))
  const comparison = compare(before, after, ['machine'])
  const table = renderComparison(comparison, { width: 120, color: false })
  const markdown = renderComparisonMarkdown(comparison)
  for (const text of [table, markdown]) {
    expect(text.match(/slower/g)!.length).toBeGreaterThanOrEqual(comparison.cells.length)
    expect(text).toContain('The runs differ in machine')
  }
})

test.each([120, 80, 60])('at %i columns no line is wider, and every cell has its verdict', (width) => {
  const before = results('one')
  const comparison = compare(before, slowed(before, 2))
  const lines = renderComparison(comparison, { width, color: false }).split('\n')
  expect(lines.filter((line) => [...line].length > width)).toEqual([])
  expect(lines.filter((line) => / slower( |$)/.test(line)).length).toBeGreaterThanOrEqual(
    comparison.cells.length,
  )
})
