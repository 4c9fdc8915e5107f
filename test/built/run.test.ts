/** `shootout run` as a user runs it: all kinds, all rooms, from arguments to report. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { readResults } from '../../src/results/reader.ts'
import type { CompletedFork, SuiteLine } from '../../src/results/schema.ts'
import { fixture, forkLines, newFolder, type Ran, readLines, shootout } from './shootout.ts'

const scenarios = ['add', 'update', 'conflict', 'cold-read', 'cached-read']

describe('a run over all storages, scenarios and kinds', () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const html = join(folder, 'x.html')
  let ran: Ran
  let forks: CompletedFork[]

  beforeAll(async () => {
    ran = await shootout(
      [
        ...['run', '--storage', 'memory,file,sqlite', '--scenario', scenarios.join(',')],
        ...['--objects', '5', '--concurrency', 'async:3,threads:2,processes:2'],
        ...['--forks', '1', '--batches', '2', '--seed', 'test', '--out', out, '--html', html],
      ],
      folder,
    )
    forks = forkLines(out).filter((fork) => fork.status === 'completed')
  }, 300_000)

  test('completes', () => {
    expect(ran.stderr).not.toContain('shootout:')
    expect(forkLines(out).filter((fork) => fork.status === 'failed')).toEqual([])
    expect(ran.code).toBe(0)
  })

  test('measures every cell that can exist, once', () => {
    const cells = forks.map(
      ({ contender, scenario, objects, concurrency }) =>
        `${contender} ${scenario} ${objects} ${concurrency.kind}:${concurrency.workers}`,
    )
    expect(new Set(cells).size).toBe(cells.length)
    // memory: async only. file: not over processes.
    const kindsOf = { memory: 1, file: 2, sqlite: 3 }
    const expected = Object.values(kindsOf).reduce((sum, kinds) => sum + scenarios.length * kinds, 0)
    expect(cells.length).toBe(expected)
  })

  test('gives every contender of a setting the same operations', () => {
    const operations = new Map<string, Set<number>>()
    for (const { scenario, objects, concurrency, operationsPerBatch, warmups } of forks) {
      const key = `${scenario} ${objects} ${concurrency.kind}:${concurrency.workers}`
      operations.set(key, (operations.get(key) ?? new Set()).add(operationsPerBatch * 1000 + warmups.length))
    }
    for (const [key, values] of operations) expect([key, values.size]).toEqual([key, 1])
  })

  test('times every worker in every batch, inside a common window', () => {
    for (const fork of forks) {
      expect(fork.batches).toHaveLength(2)
      for (const batch of fork.batches) {
        expect(batch.workersNs).toHaveLength(fork.concurrency.workers)
        for (const workerNs of batch.workersNs) expect(batch.windowNs).toBeLessThanOrEqual(workerNs + 1)
        expect(batch.windowOperations).toBeLessThanOrEqual(fork.operationsPerBatch * fork.concurrency.workers)
      }
    }
  })

  test('lets contenders go first in turn', () => {
    const firsts = forks.filter(({ contender }) => contender === 'sqlite').flatMap(({ order }) => order)
    expect(new Set(firsts).size).toBeGreaterThan(1)
  })

  test('counts work that fits the claim', () => {
    for (const { scenario, objects, concurrency, operationsPerBatch, counters, contender } of forks) {
      const operations = operationsPerBatch * 2 * concurrency.workers
      if (scenario === 'cold-read') expect(counters['backendLoads']).toBe(operations * objects)
      if (scenario === 'update') expect(counters['stores']).toBeGreaterThanOrEqual(operations * objects)
      if (scenario === 'update' && contender === 'file') expect(counters['syncs']).toBeGreaterThan(0)
      if (scenario === 'conflict')
        expect(counters['conflicts']! + counters['resolvedConflicts']!).toBeGreaterThanOrEqual(
          operationsPerBatch,
        )
    }
  })

  test('says which is faster, by how much, how sure', () => {
    for (const label of ['memory', 'file', 'sqlite', ...scenarios]) expect(ran.stdout).toContain(label)
    expect(ran.stdout).toMatch(/x (slower|faster)/)
  })

  test('explains each cell that cannot exist', () => {
    expect(ran.stdout).toContain('memory lives in one event loop')
    expect(ran.stdout).toContain('file can be opened by one process at a time')
  })

  test('shows progress with an expected end, line by line where there is no terminal', () => {
    expect(ran.stderr.split('\n').length).toBeGreaterThan(10)
  })

  test('writes a page that needs no network', () => {
    const page = readFileSync(html, 'utf8')
    expect(page).toContain('<svg')
    expect(page).not.toMatch(/(src|href)="https?:/)
  })

  test('writes a file from which everything can be printed again', async () => {
    for (const format of ['table', 'md', 'csv', 'json']) {
      const again = await shootout(['report', out, '--format', format])
      expect([format, again.code]).toEqual([format, 0])
      expect(again.stdout).toContain('cold-read')
    }
    const filtered = await shootout([
      'report',
      out,
      '--scenario',
      'update',
      '--kind',
      'threads',
      '--format',
      'csv',
    ])
    expect(filtered.stdout).toContain('update')
    expect(filtered.stdout).not.toContain('cold-read')
  })

  test('does not overwrite it', async () => {
    const again = await shootout(['run', '--storage', 'memory', '--scenario', 'add', '--out', out])
    expect(again.code).toBe(2)
    expect(again.stderr).toContain('--force')
    expect(forkLines(out).length).toBe(forks.length)
  })

  test('leaves nothing in the temporary folder', () => {
    const { folder: used } = (readLines(out)[0] as SuiteLine).environment
    expect(existsSync(used)).toBe(false)
  })
})

test('what was spent is what is reported, in every kind', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const ran = await shootout(
    [
      ...['run', '--storage', 'sqlite', '--scenario', fixture('sleeping-scenario.js'), '--objects', '1'],
      ...['--concurrency', 'async:3,threads:2,processes:2', '--forks', '1', '--batches', '2', '--out', out],
    ],
    folder,
  )
  expect(ran.code).toBe(0)
  for (const fork of forkLines(out)) {
    if (fork.status !== 'completed') throw new Error(fork.error.message)
    // What the operations took by their own clock, late timers included.
    const sleptNs = fork.tallies['sleptNs']!
    const operations = fork.operationsPerBatch * fork.batches.length * fork.concurrency.workers
    expect(sleptNs).toBeGreaterThan(3.9e6 * operations)
    const reportedNs = fork.batches.flatMap(({ workersNs }) => workersNs).reduce((sum, one) => sum + one)
    expect(reportedNs).toBeGreaterThanOrEqual(sleptNs)
    expect(reportedNs).toBeLessThan(1.5 * sleptNs)
  }
})

const tinyPath = fileURLToPath(new URL('../../examples/tiny-storage.js', import.meta.url))

test("a third party's storage in one file is a contender", async () => {
  const ran = await shootout([
    'run',
    '--storage',
    tinyPath,
    '--objects',
    '5',
    '--forks',
    '1',
    '--scenario',
    'add,cold-read',
    '--concurrency',
    'async:1',
  ])
  expect(ran.code).toBe(0)
  expect(ran.stdout).toContain('tiny')
})

test('--profile writes a profile for each worker and fork, and marks the results', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const profiles = join(folder, 'profiles')
  const ran = await shootout(
    [
      'run',
      '--storage',
      'sqlite',
      '--scenario',
      'cold-read',
      '--objects',
      '1',
      '--concurrency',
      'async:1,threads:2',
      '--forks',
      '1',
      '--out',
      out,
      '--profile',
      profiles,
    ],
    folder,
  )
  expect(ran.code).toBe(0)
  expect(readdirSync(profiles).sort()).toEqual([
    'sqlite-cold-read-1-async-1-0-worker0.cpuprofile',
    'sqlite-cold-read-1-threads-2-0-worker0.cpuprofile',
    'sqlite-cold-read-1-threads-2-0-worker1.cpuprofile',
  ])
  expect(readLines(out)[0]).toMatchObject({ profiled: true })
})

test('--plan does the same again: cells, order, data and work; a saved plan can be carried out', async () => {
  const folder = newFolder()
  const [plan, first, second] = ['plan.jsonl', 'first.jsonl', 'second.jsonl'].map((name) =>
    join(folder, name),
  )
  const grid = ['--storage', `memory,tiny=${tinyPath}`, '--scenario', 'add', '--objects', '1']
  const how = ['--concurrency', 'async:1', '--forks', '6', '--batches', '2', '--reference', 'memory']
  const planned = await shootout(['run', ...grid, ...how, '--dry-run', '--out', plan!], folder)
  expect(planned.code).toBe(0)
  expect(readLines(plan!).map(({ type }) => type)).toEqual(['suite'])

  const ran = await shootout(['run', '--plan', plan!, '--out', first!], folder)
  expect(ran.code).toBe(0)
  const again = await shootout(['run', '--plan', first!, '--out', second!], folder)
  expect(again.code).toBe(0)
  const [before, after] = [readResults(first!), readResults(second!)]
  expect(after.suite.planHash).toBe(readResults(plan!).suite.planHash)
  expect(after.suite.seed).toBe(before.suite.seed)
  expect(after.suite.startedAt > before.suite.startedAt).toBe(true)
  expect(after.calibrations).toEqual(before.calibrations)
  expect(before.calibrations).toHaveLength(1)
  const { operations, warmups, contenders } = before.calibrations[0]!
  // With six forks there is one pilot of each contender, three times as long as time for warm-ups would hold.
  expect(contenders.map(({ pilotsNs }) => pilotsNs.length)).toEqual([1, 1])
  expect(contenders[0]!.pilotsNs[0]!.length).toBe(contenders[1]!.pilotsNs[0]!.length)
  expect(contenders[0]!.pilotsNs[0]!.length).toBeGreaterThanOrEqual(2 * warmups)
  for (const { forks } of [before, after]) {
    expect(forks).toHaveLength(12)
    for (const fork of forks) {
      expect(fork).toMatchObject({ status: 'completed', operationsPerBatch: operations })
      expect(fork.status === 'completed' && fork.warmups.length).toBe(warmups)
    }
  }
  const refused = await shootout(['run', '--plan', first!, '--forks', '3'], folder)
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('leave out --forks')])
})
