import { appendFileSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defaultPolicy } from '../../src/analysis/gate/policy.ts'
import { checkSameGate, pastOf, readInterruptedGate } from '../../src/cli/gate-past.ts'
import { continueGateJournal, openGateJournal, readGateJournal } from '../../src/results/gate-journal.ts'
import type { GateHeader, GateLine, PairLine } from '../../src/results/gate-schema.ts'
import { coded } from '../coded.ts'
import { sampleSuite } from '../report/sample.ts'

const { environment } = sampleSuite('gate', {})
const setting = (scenario: string) => ({
  scenario,
  title: scenario,
  objects: 1,
  concurrency: { kind: 'async' as const, workers: 1 },
})
const [one, two] = [setting('update'), setting('cold-read')]
const side = { label: 'a', storage: 'memory', module: 'memory', options: {}, durability: 'memory' }
const header = {
  type: 'gate',
  schema: 1,
  startedAt: '2026-01-01T00:00:00Z',
  seed: 's',
  baseline: side,
  candidate: side,
  settings: [one, two],
  dataset: { recordBytes: 300, compressibility: 0.5, hash: 'h' },
  environment,
  rounds: 30,
  budgetNs: 1,
  policy: defaultPolicy,
} as unknown as GateHeader

const pair = (setting: typeof one, number: number): GateLine =>
  ({ type: 'pair', ...setting, stage: 'screen', pair: number }) as unknown as PairLine
const block = (number: number, disturbed?: string): GateLine => ({
  type: 'block',
  block: number,
  machine: { cpuRulerNs: 1, fsyncRulerNs: 1 },
  ...(disturbed === undefined ? {} : { disturbed }),
})

test('pairs count if their block was judged and not set aside, and their numbers are used up', () => {
  const { cells, blocks } = pastOf(header, [
    pair(two, 0),
    pair(one, 0),
    block(0),
    pair(one, 1),
    pair(two, 1),
    block(1, 'a burst'),
    pair(one, 2),
  ])
  expect(cells.map(({ pairs }) => pairs.map((line) => line.pair))).toEqual([[0], [0]])
  expect(cells.map(({ begun }) => begun.screen)).toEqual([3, 2])
  expect(blocks).toMatchObject([{ cells: '0,1' }, { cells: '0,1', disturbed: 'a burst' }])
})

test('a gate goes on only if it is the same', () => {
  expect(() => checkSameGate('x.jsonl', header, { ...header, seed: 'other', budgetNs: 2 })).not.toThrow()
  const others: [Partial<GateHeader>, string][] = [
    [{ settings: [one] }, 'other cells;'],
    [{ rounds: 15 }, 'other rounds;'],
    [{ policy: { ...defaultPolicy, delta: 0.1 } }, 'other limits;'],
    [{ candidate: { ...header.candidate, options: { history: true } } }, 'other candidate;'],
    [{ environment: { ...environment, cpus: 64, node: 'v99' } }, 'other Node.js, machine;'],
  ]
  for (const [other, said] of others) {
    expect(() => checkSameGate('x.jsonl', header, { ...header, ...other })).toThrow(
      coded('resume-mismatch', said),
    )
  }
})

test('a journal that was cut off goes on behind its last complete line', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'shootout-test-')), 'gate.jsonl')
  const begun = openGateJournal(path)
  begun.append(header)
  begun.close()
  appendFileSync(path, '{"type":"pair","stag')
  expect(readInterruptedGate(path).past.blocks).toEqual([])
  const next = continueGateJournal(path)
  next.append(block(0))
  next.close()
  expect(readGateJournal(path).map(({ type }) => type)).toEqual(['gate', 'block'])
  expect(readFileSync(path, 'utf8')).not.toContain('"stag')
})

test('a gate that came to its end has nothing to resume', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'shootout-test-')), 'gate.jsonl')
  const journal = openGateJournal(path)
  journal.append(header)
  journal.append({ type: 'end', endedAt: '', outcome: 'completed', exitCode: 0, elapsedNs: 1 })
  journal.close()
  expect(() => readInterruptedGate(path)).toThrow(coded('resume-complete', 'is complete (exit code 0)'))
})

test('a gate whose budget was too short goes on', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'shootout-test-')), 'gate.jsonl')
  const journal = openGateJournal(path)
  const verdict = (reason: string): GateLine =>
    ({ type: 'verdict', ...one, verdict: 'inconclusive', reason }) as unknown as GateLine
  const end: GateLine = {
    type: 'end',
    endedAt: '2026-01-01T00:00:00Z',
    outcome: 'completed',
    exitCode: 3,
    elapsedNs: 1,
  }
  journal.append(header)
  for (const line of [pair(one, 0), block(0), verdict('budget'), end]) journal.append(line)
  expect(readInterruptedGate(path).past.cells[0]!.pairs).toHaveLength(1)
  for (const line of [verdict('noise'), end]) journal.append(line)
  journal.close()
  expect(() => readInterruptedGate(path)).toThrow(coded('resume-complete', 'is complete'))
})
