import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseResults, readResults } from '../../src/results/reader.ts'
import type { Reporter } from '../../src/results/reporter.ts'
import type { ResultLine, SuiteLine } from '../../src/results/schema.ts'
import { openResultsWriter } from '../../src/results/writer.ts'
import { sampleLines, sampleText } from '../report/sample.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-results-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const small = { forks: 2, scenarios: ['add'], objects: [1] }

async function write(reporter: Reporter, lines: readonly ResultLine[]): Promise<void> {
  for (const line of lines) {
    if (line.type === 'suite') reporter.onSuite?.(line)
    else if (line.type === 'fork') reporter.onFork?.(line)
    else if (line.type === 'skip') reporter.onSkip?.(line)
    else if (line.type === 'calibration') reporter.onCalibration?.(line)
    else if (line.type === 'forks') reporter.onForks?.(line)
    else reporter.onEnd?.(line)
  }
  await reporter.close?.()
}

function codeOf(action: () => unknown): { code: string; message: string } {
  try {
    action()
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('nothing was thrown')
}

describe('the writer', () => {
  test('what it writes reads back as it was, in folders that did not exist', async () => {
    const path = join(folder, 'a/b/run.jsonl')
    const lines = sampleLines(small)
    await write(openResultsWriter(path), lines)
    const results = readResults(path)
    expect(results.suite).toEqual(lines[0])
    expect(results.forks).toEqual(lines.filter((line) => line.type === 'fork'))
    expect(results.skips).toEqual(lines.filter((line) => line.type === 'skip'))
    expect(results.end).toEqual(lines.at(-1))
    expect(results.warnings).toEqual([])
  })

  test('every line is in the file as soon as its event has been handled', () => {
    const path = join(folder, 'run.jsonl')
    const reporter = openResultsWriter(path)
    const [suite, ...rest] = sampleLines(small)
    reporter.onSuite?.(suite as never)
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(2)
    for (const [index, line] of rest.filter((one) => one.type === 'fork').entries()) {
      reporter.onFork?.(line)
      expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(index + 3)
    }
    void reporter.close?.()
  })

  test('an existing file is not touched without force', () => {
    const path = join(folder, 'run.jsonl')
    writeFileSync(path, 'precious\n')
    const error = codeOf(() => openResultsWriter(path))
    expect(error.code).toBe('results-exist')
    expect(error.message).toContain('--force')
    expect(readFileSync(path, 'utf8')).toBe('precious\n')
  })

  test('force replaces a file, but only once there is a line to put in its place', async () => {
    const path = join(folder, 'run.jsonl')
    writeFileSync(path, 'x'.repeat(1_000_000))
    const unused = openResultsWriter(path, { force: true })
    await unused.close?.()
    expect(statSync(path).size).toBe(1_000_000)
    await write(openResultsWriter(path, { force: true }), sampleLines(small))
    expect(readFileSync(path, 'utf8')).toBe(sampleText(small))
  })

  test('a run that ends before its first line leaves no file', async () => {
    const path = join(folder, 'run.jsonl')
    await openResultsWriter(path).close?.()
    expect(existsSync(path)).toBe(false)
  })

  test('a path that cannot be written to is named, with what to do', () => {
    mkdirSync(join(folder, 'is-a-folder'))
    writeFileSync(join(folder, 'is-a-file'), '')
    for (const path of [join(folder, 'is-a-file/run.jsonl'), '/proc/nowhere/run.jsonl']) {
      const error = codeOf(() => openResultsWriter(path))
      expect(error.code).toBe('results-unwritable')
      expect(error.message).toContain(path)
      expect(error.message).toContain('--out')
    }
    expect(codeOf(() => openResultsWriter(join(folder, 'is-a-folder'), { force: true })).code).toBe(
      'results-unwritable',
    )
  })

  test('a failed write is an error that says the file so far is valid', () => {
    const reporter = openResultsWriter('/dev/full', { force: true })
    const error = codeOf(() => reporter.onSuite?.(sampleLines(small)[0] as never))
    expect(error.code).toBe('results-lost')
    expect(error.message).toContain('/dev/full')
  })

  test('appending cuts a torn last line off and keeps the suite line that is there', async () => {
    const path = join(folder, 'run.jsonl')
    const lines = sampleLines(small)
    await write(openResultsWriter(path), lines.slice(0, -2))
    appendFileSync(path, '{"type":"fork","µ":')
    await write(openResultsWriter(path, { append: true }), [lines[0]!, ...lines.slice(-2)])
    expect(readFileSync(path, 'utf8')).toBe(sampleText(small))
  })
})

describe('the reader', () => {
  test('a file cut off anywhere reads as the lines before, with a warning when one is torn', () => {
    const path = join(folder, 'run.jsonl')
    const text = sampleText({ ...small, forks: 1 })
    writeFileSync(path, text)
    const first = text.indexOf('\n') + 1
    for (let size = text.length; size >= first; size -= 97) {
      truncateSync(path, size)
      const results = readResults(path)
      const kept = text.slice(0, size)
      const complete = kept.split('\n').length - 2
      expect(results.forks.length + results.skips.length + (results.end === undefined ? 0 : 1)).toBe(complete)
      expect(results.warnings.map(({ code }) => code)).toEqual(kept.endsWith('\n') ? [] : ['truncated-line'])
    }
  })

  test('a newer schema is refused, whatever else the file holds', () => {
    const error = codeOf(() => parseResults('{"type":"suite","schema":99,"new":true}\n', 'x.jsonl'))
    expect(error.code).toBe('results-newer-schema')
    expect(error.message).toContain('update shootout')
  })

  test('a missing and an empty file are told apart', () => {
    expect(codeOf(() => readResults(join(folder, 'none.jsonl'))).code).toBe('results-unreadable')
    expect(codeOf(() => parseResults('', 'x.jsonl')).code).toBe('results-empty')
    expect(codeOf(() => parseResults('{"type":"su', 'x.jsonl')).code).toBe('results-empty')
  })

  test('the journal of a gate is not taken for a damaged file', () => {
    const journal = '{"type":"gate","schema":1}\n'
    expect(() => parseResults(journal, 'x.jsonl')).toThrow('x.jsonl is the journal of a gate')
  })

  test('what is malformed is named by file, line and field', () => {
    const lines = sampleLines(small)
    const at = lines.findIndex((line) => line.type === 'fork')
    const breaking = (change: (fork: Record<string, unknown>) => void): string => {
      const broken = structuredClone(lines)
      change(broken[at] as unknown as Record<string, unknown>)
      return codeOf(() => parseResults(broken.map((line) => `${JSON.stringify(line)}\n`).join(''), 'x.jsonl'))
        .message
    }
    const where = `x.jsonl, line ${at + 1}: `
    const batch = (fork: Record<string, unknown>) => (fork['batches'] as Record<string, unknown>[])[1]!
    expect(breaking((fork) => (fork['status'] = 'done'))).toContain(`${where}status must be one of`)
    expect(breaking((fork) => (batch(fork)['windowNs'] = -1))).toContain(`${where}batches[1].windowNs must`)
    expect(breaking((fork) => (batch(fork)['workersNs'] = [1, 2, 3]))).toContain(
      `${where}batches[1].workersNs has 3 times for 1 workers`,
    )
    expect(breaking((fork) => (batch(fork)['skewNs'] = null))).toContain('batches[1].skewNs')
    expect(breaking((fork) => (fork['batches'] = []))).toContain(`${where}batches must not be empty`)
    expect(breaking((fork) => delete fork['counters'])).toContain(`${where}counters is missing`)
    expect(breaking((fork) => (fork['contender'] = 'nobody'))).toContain('"nobody" is not in the suite line')
    expect(breaking((fork) => (fork['objects'] = 7))).toContain('add/7/async:1')
    expect(breaking((fork) => (fork['latencies'] = [{ count: 3, maxNs: 1, buckets: [1, 2] }]))).toContain(
      'latencies[0].buckets hold 2 values',
    )
    expect(breaking((fork) => (fork['type'] = 'spoon'))).toContain(`${where}type must be one of`)
  })

  test('garbage in the middle is an error, not a line less', () => {
    const lines = sampleText(small).split('\n')
    lines.splice(2, 0, '{"type":"fork",')
    const error = codeOf(() => parseResults(lines.join('\n'), 'x.jsonl'))
    expect(error.code).toBe('results-malformed')
    expect(error.message).toContain('x.jsonl, line 3: not JSON')
  })

  test('fields that this version does not know are no fault', () => {
    const lines = sampleLines(small).map((line) => `${JSON.stringify({ ...line, future: { a: 1 } })}\n`)
    expect(parseResults(lines.join(''), 'x.jsonl').forks).toHaveLength(
      lines.filter((line) => line.includes('"type":"fork"')).length,
    )
  })

  test('a decision on the number of forks is read, and has a number for every setting', () => {
    const lines = sampleLines(small)
    const count = (lines[0] as SuiteLine).settings.length
    const decision = (forks: number): ResultLine => ({
      type: 'forks',
      decidedBy: 'budget',
      forks: Array.from({ length: forks }, () => 6),
    })
    const text = (forks: number) =>
      [...lines, decision(forks)].map((line) => `${JSON.stringify(line)}\n`).join('')
    expect(parseResults(text(count), 'x.jsonl').decision).toEqual(decision(count))
    expect(() => parseResults(text(count - 1), 'x.jsonl')).toThrow('forks has 3 numbers for 4 settings')
  })

  test('of a fork that was repeated, the last line counts, and a file that goes on has not ended', () => {
    const lines = sampleLines({ ...small, failure: false })
    const fork = lines.find((line) => line.type === 'fork')!
    const again = { ...fork, setupNs: 1 }
    const text = [...lines, again].map((line) => `${JSON.stringify(line)}\n`).join('')
    const results = parseResults(text, 'x.jsonl')
    expect(results.forks).toHaveLength(lines.filter((line) => line.type === 'fork').length)
    expect(results.forks[0]).toEqual(again)
    expect(results.end).toBeUndefined()
  })
})
