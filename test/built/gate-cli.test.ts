/** The gate as a required check would run it. What it finds by time is not asserted; that is what selftest is for. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { pairValues } from '../../src/analysis/gate/pair-values.ts'
import { defaultPolicy, withLimits } from '../../src/analysis/gate/policy.ts'
import type { GateReport } from '../../src/analysis/gate/report-model.ts'
import { assess } from '../../src/analysis/gate/suite.ts'
import { readGateJournal } from '../../src/results/gate-journal.ts'
import type { GateLine, PairLine, Stage } from '../../src/results/gate-schema.ts'
import { fixture, mainPath, newFolder, shootout } from './shootout.ts'

const one = ['--objects', '1', '--concurrency', 'async:1']

async function gate(baseline: string, candidate: string | undefined, ...more: string[]) {
  const folder = newFolder()
  const out = join(folder, 'gate.jsonl')
  const second = candidate === undefined ? [] : ['--candidate', candidate]
  const args = ['gate', '--baseline', baseline, ...second, '--objects', '1', ...more]
  const ran = await shootout([...args, '--format', 'json', '--out', out, '--folder', folder], folder)
  return {
    ...ran,
    report: ran.stdout === '' ? undefined : (JSON.parse(ran.stdout) as GateReport),
    journal: existsSync(out) && readFileSync(out, 'utf8') !== '' ? readGateJournal(out) : [],
    folder,
  }
}

function pairsOf(journal: readonly GateLine[], stage: Stage): PairLine[] {
  return journal.filter((line) => line.type === 'pair').filter((line) => line.stage === stage)
}

test('one more sync per commit fails by counting, before a single pair', async () => {
  const { code, report, journal } = await gate('file', fixture('extra-sync.js'), '--scenario', 'update')
  expect(code).toBe(1)
  expect(report!.cells).toHaveLength(1)
  expect(report!.cells[0]).toMatchObject({ verdict: 'fail', ground: 'counters', pairs: 0 })
  expect(report!.cells[0]!.counters!.changes).toEqual([
    { name: 'syncs', baseline: 1, candidate: 2, effect: 'more', gates: true },
  ])
  expect(journal.map(({ type }) => type)).toEqual(['gate', 'counters', 'verdict', 'end'])
})

/** A checkout as it is after its build, with one more sync per commit. */
function otherCheckout(): string {
  const folder = newFolder()
  const built = dirname(dirname(mainPath))
  cpSync(built, join(folder, 'dist'), { recursive: true })
  cpSync(join(built, '../package.json'), join(folder, 'package.json'))
  symlinkSync(join(built, '../node_modules'), join(folder, 'node_modules'))
  const storage = join(folder, 'dist/storages/file')
  renameSync(join(storage, 'index.js'), join(storage, 'real.js'))
  const careless = readFileSync(fixture('extra-sync.js'), 'utf8')
    .replace(/^import .* from 'shootout'$/m, '')
    .replace(/^const file = .*$/m, `import file from './real.js'`)
  writeFileSync(join(storage, 'index.js'), careless)
  return folder
}

test('the storage of another build is measured, with its own files', async () => {
  const folder = otherCheckout()
  const { code, report, journal } = await gate(
    'file',
    undefined,
    '--scenario',
    'update',
    '--candidate-from',
    folder,
  )
  expect(code).toBe(1)
  expect(report!.cells[0]!.counters!.changes).toMatchObject([{ name: 'syncs', baseline: 1, candidate: 2 }])
  expect(report!.candidate).toContain(folder)
  expect(journal[0]).toMatchObject({ candidate: { module: expect.stringContaining(folder) } })
})

test('another build that does not exist is a usage error', async () => {
  const { code, stderr } = await gate('file', undefined, '--baseline-from', '/nowhere/at/all')
  expect([code, stderr]).toEqual([2, expect.stringContaining('there is no folder /nowhere/at/all')])
})

test('a cache that became too small fails by what it no longer answers', async () => {
  const small = 'sqlite?cacheBytesLimit=1mb'
  const { code, report } = await gate('sqlite', small, '--scenario', 'cached-read')
  expect(code).toBe(1)
  expect(report!.cells[0]).toMatchObject({ verdict: 'fail', ground: 'counters', pairs: 0 })
  const misses = report!.cells[0]!.counters!.changes.find(({ name }) => name === 'backendLoads')
  expect(misses).toMatchObject({ baseline: 0, gates: true })
})

test('a declared tolerance lets the same pass to the clock', async () => {
  const { report } = await gate(
    'file',
    fixture('extra-sync.js'),
    ...['--scenario', 'update', '--tolerance', 'syncs=100%', '--budget', '1s'],
  )
  expect(report!.cells[0]!.ground).not.toBe('counters')
})

// Limits so wide that no machine is too noisy for them.
const wide = { tau: 1, delta: 9 }

test('equal sides are measured in pairs, and the verdict is what the journal says', async () => {
  const { code, report, journal } = await gate(
    'memory',
    'memory',
    ...['--scenario', 'live-read', '--rounds', '2', '--tau', '100%', '--delta', '900%', '--no-quarantine'],
  )
  expect(code).toBe(0)
  const [pilot, confirm] = [pairsOf(journal, 'pilot'), pairsOf(journal, 'confirm')]
  expect(pilot).toHaveLength(6)
  expect(confirm).toHaveLength(12)
  for (const pair of [...pilot, ...confirm]) {
    expect(pair.rounds).toHaveLength(2)
    expect(pair.rounds[0]!.store).not.toBe(pair.rounds[1]!.store)
    for (const { baselineNs, candidateNs } of pair.rounds) {
      expect(Math.min(...baselineNs, ...candidateNs)).toBeGreaterThan(0)
    }
  }
  const again = assess(
    [{ pilot: pilot.map(pairValues), screen: [], confirm: confirm.map(pairValues), cpuIsValid: true }],
    withLimits(defaultPolicy, wide),
  )
  expect(again.cells[0]).toMatchObject({ verdict: 'pass', evidence: report!.cells[0]!.evidence })
  expect(journal.filter(({ type }) => type === 'block')).toHaveLength(18)
  expect(report!.machine).toMatchObject({ blocks: 18, setAside: [] })
  expect(journal.at(-1)).toMatchObject({ type: 'end', outcome: 'completed', exitCode: 0 })
})

test('a cell that only one side can do is an error, and never a pass', async () => {
  const { code, report } = await gate('memory', fixture('faulty.js'), '--scenario', 'update')
  expect(code).toBe(4)
  expect(report!.cells[0]).toMatchObject({ verdict: 'failed', failure: { side: 'candidate' } })
  expect(report!.cells[0]!.failure!.error.message).toContain('the fault was ordered')
})

test('sides of unequal durability are refused, and nothing is measured', async () => {
  const { code, stderr, journal } = await gate('file', 'file?durability=os')
  expect(code).toBe(5)
  expect(stderr).toContain('--allow-mismatch durability')
  expect(journal).toEqual([])
})

test('a baseline that is not there is refused, a candidate that is not there has failed', async () => {
  const lost = await gate(fixture('absent.js'), 'memory')
  expect([lost.code, lost.stderr]).toEqual([
    5,
    expect.stringMatching(/no server answers.*\(baseline-missing\)/),
  ])
  const missing = await gate('memory', fixture('absent.js'))
  expect([missing.code, missing.stderr]).toEqual([4, expect.stringContaining('no server answers')])
})

test('no cell left is not a pass', async () => {
  const { code, stderr } = await gate('memory', 'memory', '--concurrency', 'processes:2')
  expect([code, stderr]).toEqual([4, expect.stringContaining('nothing-to-measure')])
})

test('a budget that is too small is inconclusive, also where that shall pass', async () => {
  const { code, report } = await gate(
    'memory',
    'memory',
    ...['--scenario', 'live-read', '--budget', '1s', '--on-inconclusive', 'pass'],
  )
  expect(code).toBe(3)
  expect(report!.cells[0]).toMatchObject({ verdict: 'inconclusive', ground: 'budget' })
})

test.each([
  [['--tau', '5%'], 'must be above'],
  [['--tolerance', 'sync=1%'], 'did you mean "syncs"'],
  [['--delta', 'much'], 'not a share'],
  [['--baseline', 'memry'], 'Did you mean "memory"'],
  [['--resume', 'none.jsonl'], 'leave out --out'],
])('%s is a usage error', async (flags, message) => {
  const { code, stderr } = await gate('memory', 'memory', ...flags)
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)])
})

test('an interrupted gate says so, keeps its journal and leaves nothing behind', async () => {
  const folder = newFolder()
  const out = join(folder, 'gate.jsonl')
  const args = ['gate', '--baseline', 'memory', '--candidate', 'memory', '--scenario', 'live-read', ...one]
  const child = spawn(process.execPath, [mainPath, ...args, '--out', out, '--folder', folder], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  // The first line on standard error comes when the work has been counted.
  await once(child.stderr, 'data')
  child.kill('SIGINT')
  const [code] = (await once(child, 'close')) as [number]
  expect(code).toBe(130)
  expect(readGateJournal(out).at(-1)).toMatchObject({ type: 'end', outcome: 'interrupted', exitCode: 130 })
  expect(readdirSync(folder)).toEqual(['gate.jsonl'])
})

test('an interrupted pilot says so', async () => {
  const args = ['plan', '--detect', '3%', '--storage', 'memory', '--scenario', 'live-read']
  const folder = newFolder()
  const child = spawn(process.execPath, [mainPath, ...args, '--folder', folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  // It says which cell it measures before it begins.
  await once(child.stderr, 'data')
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  expect(readdirSync(folder)).toEqual([])
})

test('a plan says of a journal what could be told, and of a pilot that nothing was measured', async () => {
  const { folder } = await gate(
    'memory',
    'memory',
    '--scenario',
    'live-read',
    '--rounds',
    '2',
    '--budget',
    '1s',
  )
  const journal = join(folder, 'gate.jsonl')
  const found = await shootout(
    ['plan', '--detect', '50%', '--budget', '1h', '--from', journal, '--json'],
    folder,
  )
  const pilot = pairsOf(readGateJournal(journal), 'pilot')
  if (pilot.length === 0) expect([found.code, found.stderr]).toEqual([4, expect.stringContaining('no cell')])
  else expect(JSON.parse(found.stdout)).toMatchObject({ detect: 0.5, cells: [{ unit: 'pairs' }] })
  const none = await shootout(
    ['plan', '--detect', '3%', '--storage', 'memory', '--concurrency', 'processes:2', '--folder', folder],
    folder,
  )
  expect([none.code, none.stderr]).toEqual([4, expect.stringContaining('nothing-to-measure')])
})

test('a saved baseline of another machine, durability or data is refused, and nothing is measured', async () => {
  const folder = newFolder()
  const saved = join(folder, 'saved.jsonl')
  const cell = ['--scenario', 'live-read', ...one, '--forks', '1', '--batches', '1', '--folder', folder]
  expect((await shootout(['run', '--storage', 'memory', ...cell, '--out', saved], folder)).code).toBe(0)
  const other = join(folder, 'other.jsonl')
  writeFileSync(other, readFileSync(saved, 'utf8').replace(/"cpuModel":"[^"]*"/, '"cpuModel":"abacus"'))
  const refused: [string, string, string[], string][] = [
    [other, 'memory', [], 'machine (abacus'],
    [saved, 'memory=file', [], 'durability (memory: memory → memory: full)'],
    [saved, 'memory', ['--record-bytes', '500'], 'dataset (records of 300 bytes'],
    [join(folder, 'none.jsonl'), 'memory', [], 'there is no baseline'],
  ]
  for (const [baseline, candidate, flags, said] of refused) {
    const out = join(folder, 'gate.jsonl')
    const args = [
      'gate',
      '--baseline',
      baseline,
      '--candidate',
      candidate,
      ...flags,
      '--out',
      out,
      '--folder',
      folder,
    ]
    const { code, stderr } = await shootout(args, folder)
    expect([code, stderr]).toEqual([5, expect.stringContaining(said)])
    expect(existsSync(out)).toBe(false)
  }
  const none = await shootout(
    ['gate', '--baseline', saved, '--candidate', 'memory', '--scenario', 'add', '--folder', folder],
    folder,
  )
  expect([none.code, none.stderr]).toEqual([4, expect.stringContaining('no number of memory')])
})
