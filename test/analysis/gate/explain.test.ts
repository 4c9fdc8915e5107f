import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { explain } from '../../../src/analysis/gate/explain.ts'
import { explanationLines } from '../../../src/report/gate-phrases.ts'
import type { ExplanationLine, WatchedSide } from '../../../src/results/gate-schema.ts'
import { selfTimes } from '../../../src/runner/gate/cpu-profile.ts'

const side: WatchedSide = {
  timeNs: 1000e3,
  cpuNs: { user: 600e3, system: 100e3 },
  gcNs: 50e3,
  loopDelayNsMax: 2e6,
  counters: { statements: 10, syncs: 10, loads: 0 },
  functions: [
    { name: 'decode', place: 'database/record-decoder.js', selfNs: 300e3 },
    { name: 'load', place: 'storages/memory.js', selfNs: 200e3 },
    { name: 'once', place: 'a/b.js', selfNs: 1e3 },
  ],
}
const slower: WatchedSide = {
  ...side,
  timeNs: 1500e3,
  cpuNs: { user: 1050e3, system: 100e3 },
  counters: { ...side.counters, statements: 20 },
  functions: [
    { name: 'decode', place: 'database/record-decoder.js', selfNs: 700e3 },
    { name: 'load', place: 'storages/memory.js', selfNs: 150e3 },
    { name: 'check', place: 'x/new.js', selfNs: 100e3 },
  ],
}
const line: ExplanationLine = {
  type: 'explanation',
  scenario: 'add',
  objects: 1,
  concurrency: { kind: 'async', workers: 1 },
  pairs: 2,
  operations: 10,
  profiledOperations: 20,
  baseline: side,
  candidate: slower,
}

test('names where the time went, the functions that gained, the counters that changed', () => {
  const text = explanationLines({ explanation: explain(line, 'results/profiles') }).join('\n')
  expect(text).toContain('an operation 100 µs → 150 µs in 2 pairs')
  expect(text).toContain('(+50.0 µs: user +45.0 µs, system +0 ns, waiting +5.00 µs)')
  expect(text).toMatch(
    /more time in decode \(database\/record-decoder.js\) 15.0 µs → 35.0 µs; check \(x\/new.js\) 5.00 µs, in the candidate only \(what V8 inlined/,
  )
  expect(text).toContain('less time in load (storages/memory.js) 10.0 µs → 7.50 µs')
  expect(text).toContain('counters: statements 1 → 2')
  expect(text).not.toContain('once')
  expect(text).toContain('garbage collection 2.50 µs → 2.50 µs per operation')
})

test('equal sides give nothing to tell', () => {
  const text = explanationLines({ explanation: explain({ ...line, candidate: side }, 'p') }).join('\n')
  expect(text).toContain('no function stands out')
  expect(text).toContain('no counter changed')
})

test('self times leave sleep out, and add up functions of the same file in any build', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const frame = (functionName: string, url = '') => ({ functionName, url })
  const profile = (root: string) => ({
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('load', `file://${root}/storages/memory.js`) },
      { id: 3, callFrame: frame('(garbage collector)') },
    ],
    samples: [1, 2, 2, 3, 1],
    timeDeltas: [0, 500, 30, 40, 7],
  })
  writeFileSync(join(folder, 'baseline-0-0-worker0.cpuprofile'), JSON.stringify(profile('/a/dist')))
  writeFileSync(join(folder, 'baseline-0-1-worker0.cpuprofile'), JSON.stringify(profile('/b/dist')))
  writeFileSync(join(folder, 'candidate-0-2-worker0.cpuprofile'), JSON.stringify(profile('/b/dist')))
  expect(selfTimes(folder, 'baseline')).toEqual([
    { name: 'load', place: 'storages/memory.js', selfNs: 140e3 },
    { name: '(garbage collector)', place: '', selfNs: 14e3 },
  ])
})
