import { describe, expect, test } from 'vitest'
import { analyse } from '../../src/analysis/analyse.ts'
import type { Filters } from '../../src/analysis/filters.ts'
import type { Analysis, Cell, MeasuredCell } from '../../src/analysis/model.ts'
import { parseResults } from '../../src/results/reader.ts'
import type { CompletedFork, ResultLine, SuiteLine } from '../../src/results/schema.ts'
import { coded } from '../coded.ts'
import { type SampleOptions, sampleLines } from '../report/sample.ts'

function results(lines: readonly ResultLine[]) {
  return parseResults(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), 'x.jsonl')
}

function sample(options: SampleOptions, filters: Filters = {}): Analysis {
  return analyse(results(sampleLines(options)), filters)
}

/** Lines of a small run whose forks are changed by hand. */
function changed(
  options: SampleOptions,
  change: (fork: Mutable<CompletedFork>) => void,
  changeSuite: (suite: Mutable<SuiteLine>) => void = () => {},
): Analysis {
  const lines = structuredClone(sampleLines({ failure: false, ...options })) as Mutable<ResultLine>[]
  for (const line of lines) {
    if (line.type === 'fork' && line.status === 'completed') change(line as Mutable<CompletedFork>)
    if (line.type === 'suite') changeSuite(line as Mutable<SuiteLine>)
  }
  return analyse(results(lines as ResultLine[]))
}

type Mutable<T> = {
  -readonly [K in keyof T]: T[K] extends readonly (infer Item)[]
    ? Mutable<Item>[]
    : T[K] extends object
      ? Mutable<T[K]>
      : T[K]
}

const one: SampleOptions = { scenarios: ['add'], objects: [1], concurrency: [{ kind: 'async', workers: 1 }] }

function cell(analysis: Analysis, contender: string, group = 0): Cell {
  return analysis.groups[group]!.cells.find((each) => each.contender === contender)!
}

function measured(analysis: Analysis, contender: string, group = 0): MeasuredCell {
  const found = cell(analysis, contender, group)
  if (found.status !== 'measured') throw new Error(`${contender} is ${found.status}`)
  return found
}

function codes(analysis: Analysis): string[] {
  return analysis.warnings.map(({ code }) => code)
}

describe('a cell', () => {
  const concurrency = [{ kind: 'threads', workers: 2 }] as const
  const two = changed({ ...one, concurrency, contenders: ['file', 'sqlite'], forks: 6 }, (fork) => {
    const unit = fork.contender === 'file' ? 1 : 2
    fork.operationsPerBatch = 10
    fork.batches = [
      { workersNs: [1000 * unit, 3000 * unit], windowNs: 1000, windowOperations: 8, skewNs: 10 },
      { workersNs: [2000 * unit, 2000 * unit], windowNs: 3000, windowOperations: 12, skewNs: 0 },
    ]
    fork.counters = { syncs: 20, loads: 0 }
    fork.tallies = { retried: 4 }
    fork.cpuNs = { user: 300, system: 100 }
    fork.gcNs = 80
    delete fork.latencies
  })
  const file = measured(two, 'file')

  test('time per operation is the time of all workers over the operations of all workers', () => {
    expect(file.timePerOperationNs).toMatchObject({ median: 8000 / 40, min: 200, max: 200, n: 6 })
  })

  test('throughput counts operations inside the common window over its length', () => {
    expect(file.throughputPerSecond!.median).toBeCloseTo((20 / 4000) * 1e9, 6)
  })

  test('counters, tallies and CPU time are per operation, and what is always 0 is left out', () => {
    expect(file.countersPerOperation).toEqual({ syncs: 0.5 })
    expect(file.talliesPerOperation).toEqual({ retried: 0.1 })
    expect(file.cpuPerOperationNs.median).toBe(10)
    expect(file.gcPerOperationNs).toBe(2)
  })

  test('skew, overlap and imbalance are those of its batches', () => {
    expect(file.forks[0]).toMatchObject({ skewShare: 0.005, overlapShare: 1, imbalance: 1.25 })
  })

  test('a time of 0 is a failure, never a number', () => {
    const zero = changed(one, (fork) => {
      for (const batch of fork.batches) batch.workersNs = [0]
    })
    const failed = cell(zero, 'file')
    expect(failed).toMatchObject({
      status: 'failed',
      failures: [{ code: 'nothing-measured' }, {}, {}, {}, {}, {}],
    })
    expect(zero.summary.counts.measured).toBe(0)
  })

  test('one failed fork makes it failed, and what the others measured is kept', () => {
    const analysis = sample({ scenarios: ['update'], objects: [20] })
    const failed = analysis.groups.flatMap(({ cells }) => cells).filter(({ status }) => status === 'failed')
    expect(failed).toHaveLength(1)
    expect(failed[0]).toMatchObject({
      contender: 'sqlite',
      failures: [{ fork: 2, step: 'verify', code: 'verification' }],
    })
    expect(failed[0]).toHaveProperty('forks.length', 5)
  })

  test('one that was skipped has its reason, one that was not reached has none', () => {
    const lines = sampleLines({ ...one, concurrency: [{ kind: 'threads', workers: 2 }] })
    const analysis = analyse(
      results(lines.filter((line) => line.type !== 'fork' || line.contender !== 'sqlite')),
    )
    expect(cell(analysis, 'memory')).toMatchObject({
      status: 'skipped',
      reason: expect.stringContaining('event loop'),
    })
    expect(cell(analysis, 'sqlite')).toEqual({ status: 'missing', contender: 'sqlite' })
  })

  test('quantiles of single operations are shown only where every fork has ten beyond them', () => {
    const latencies = (count: number) =>
      measured(
        changed(one, (fork) => {
          fork.latencies = [{ count, maxNs: 100, buckets: [50, count - 1, 100, 1] }]
        }),
        'file',
      ).latencies.map(({ share, estimate }) => [share, estimate?.median])
    expect(latencies(199)).toEqual([
      [0.5, 50],
      [0.95, undefined],
      [0.99, undefined],
    ])
    expect(latencies(200)).toEqual([
      [0.5, 50],
      [0.95, 50],
      [0.99, undefined],
    ])
    expect(latencies(1000)).toEqual([
      [0.5, 50],
      [0.95, 50],
      [0.99, 50],
    ])
  })
})

describe('the ratio', () => {
  /** Forks of two contenders: `ratio` apart, while the machine drifts by a factor of 10. */
  const drifting = (ratio: (fork: number) => number, forks = 6) =>
    changed({ ...one, contenders: ['file', 'sqlite'], forks }, (fork) => {
      const own = fork.contender === 'sqlite' ? ratio(fork.fork) : 1
      const timeNs = 1e6 * 10 ** (fork.fork / forks) * own
      fork.operationsPerBatch = 1
      delete fork.latencies
      fork.batches = [{ workersNs: [timeNs], windowNs: timeNs, windowOperations: 1, skewNs: 0 }]
    })

  test('is taken fork by fork, so what slows all contenders down does not blur it', () => {
    const { ratio } = measured(
      drifting((fork) => 1.5 + 0.01 * fork),
      'sqlite',
    )
    expect(ratio).toMatchObject({ kind: 'paired', verdict: 'slower', unequalDurability: false })
    if (ratio.kind !== 'paired') throw new Error('not paired')
    expect(ratio.estimate.median).toBeCloseTo(1.525, 9)
    expect(ratio.estimate.interval!.low).toBeCloseTo(1.5, 9)
    expect(ratio.estimate.interval!.high).toBeCloseTo(1.55, 9)
  })

  test.each([
    ['slower', (fork: number) => 1.03 + 0.01 * fork],
    ['faster', (fork: number) => 0.8 + 0.01 * fork],
    ['equal', (fork: number) => 0.99 + 0.004 * fork],
    ['equal', (fork: number) => 1.005 + 0.002 * fork],
    ['unclear', (fork: number) => 0.97 + 0.02 * fork],
  ] as const)('has the word %s', (verdict, ratio) => {
    expect(measured(drifting(ratio), 'sqlite').ratio).toMatchObject({ verdict })
  })

  test('says of an unclear result what it could have seen', () => {
    const { ratio } = measured(
      drifting((fork) => 0.95 + 0.02 * fork),
      'sqlite',
    )
    if (ratio.kind !== 'paired') throw new Error('not paired')
    // Half of ln(1.05 / 0.95) is 5 %, times 1.43.
    expect(ratio.detectable).toBeCloseTo(0.074, 3)
  })

  test('of fewer than six forks is unclear, however large it is', () => {
    expect(
      measured(
        drifting(() => 3, 5),
        'sqlite',
      ).ratio,
    ).toMatchObject({ verdict: 'unclear', detectable: undefined })
  })

  test('uses only forks that both have', () => {
    const lines = sampleLines({ ...one, contenders: ['file', 'sqlite'], forks: 7 })
    const kept = lines.filter((line) => line.type !== 'fork' || line.contender === 'file' || line.fork !== 3)
    expect(measured(analyse(results(kept)), 'sqlite').ratio).toMatchObject({ estimate: { n: 6 } })
  })

  test('across durability tiers is marked, and nobody is fastest of a tier it is alone in', () => {
    const memory = measured(sample(one), 'memory')
    expect(memory.ratio).toMatchObject({ kind: 'paired', unequalDurability: true })
    expect(memory.fastest).toBe(false)
    expect(measured(sample(one), 'file').fastest).toBe(true)
  })

  test('has a reason where the reference has no result', () => {
    const analysis = sample({ ...one, concurrency: [{ kind: 'processes', workers: 2 }] })
    expect(measured(analysis, 'sqlite').ratio).toEqual({
      kind: 'none',
      reason: 'the reference file is skipped here',
    })
  })
})

describe('the summary', () => {
  test('ranks only contenders of equal durability, over settings that all of them have', () => {
    const { summary } = sample({ scenarios: ['add', 'cached-read'] })
    expect(summary.tiers).toEqual([
      { durability: 'memory', contenders: ['memory'] },
      { durability: 'full', contenders: ['file', 'sqlite'] },
    ])
    const [add, cached] = summary.scenarios
    expect(add!.rankings).toMatchObject([
      {
        durability: 'full',
        settings: 6,
        settingsOfScenario: 8,
        places: [{ contender: 'file' }, { contender: 'sqlite', slowerIn: 6, ratio: { verdict: 'slower' } }],
      },
    ])
    expect(cached!.rankings[0]!.places[0]!.contender).toBe('sqlite')
  })

  test('the ratio over settings is their geometric mean: twice and half as slow make equal', () => {
    const analysis = changed({ ...one, objects: [1, 20], contenders: ['file', 'sqlite'] }, (fork) => {
      const timeNs = 1e6 * (fork.contender === 'file' ? 1 : fork.objects === 1 ? 2 : 0.5)
      fork.operationsPerBatch = 1
      fork.batches = [{ workersNs: [timeNs], windowNs: timeNs, windowOperations: 1, skewNs: 0 }]
      delete fork.latencies
    })
    const [, second] = analysis.summary.scenarios[0]!.rankings[0]!.places
    expect(second).toMatchObject({ slowerIn: 1, fasterIn: 1, ratioMin: 0.5, ratioMax: 2 })
    expect(second!.ratio!.estimate.median).toBeCloseTo(1, 12)
    expect(second!.ratio!.verdict).toBe('equal')
  })
})

describe('filters', () => {
  test('narrow every dimension', () => {
    const analysis = sample(
      { failure: false },
      { contenders: ['file', 'sqlite'], scenarios: ['add'], objects: [20], kinds: ['async'], workers: [5] },
    )
    expect(analysis.groups.map(({ setting }) => setting.title)).toEqual(['add 20 objects'])
    expect(analysis.contenders.map(({ label }) => label)).toEqual(['file', 'sqlite'])
  })

  test('another reference may be named', () => {
    expect(measured(sample(one, { reference: 'sqlite' }), 'file').ratio).toMatchObject({ verdict: 'faster' })
  })

  test('without the reference of the run, the first that is left takes its place', () => {
    expect(sample(one, { contenders: ['sqlite', 'memory'] }).reference).toBe('memory')
  })

  test.each([
    [{ contenders: ['sqlit'] }, 'did you mean "sqlite"?'],
    [{ scenarios: ['write'] }, 'they have add'],
    [{ objects: [7] }, 'no object count "7"'],
    [{ workers: [9] }, 'no number of workers "9"'],
    [{ kinds: ['processes'] }, 'no concurrency kind "processes"'],
    [{ reference: 'nobody' }, 'no contender "nobody"'],
  ] as const)('what the file does not have is an error: %j', (filters, text) => {
    expect(() => sample(one, filters)).toThrow(coded('not-in-results', text))
  })

  test('a combination that no setting has is an error', () => {
    const filters: Filters = { kinds: ['threads'], workers: [5] }
    expect(() => sample({ scenarios: ['add'] }, filters)).toThrow(
      expect.objectContaining({ code: 'nothing-selected' }),
    )
  })
})

describe('warnings', () => {
  test('a quiet run of equals has none', () => {
    expect(codes(sample({ ...one, contenders: ['file', 'sqlite'], noise: 0.001, seed: 'quiet' }))).toEqual([])
  })

  const pair: SampleOptions = { ...one, contenders: ['file', 'sqlite'], noise: 0.001, seed: 'quiet' }
  const many: SampleOptions = { ...pair, concurrency: [{ kind: 'threads', workers: 2 }] }

  test('each kind is said once, with the cells it concerns', () => {
    expect(codes(sample({ ...pair, forks: 3 }))).toEqual(['too-few-forks'])
    expect(codes(sample({ ...pair, noise: 0.3 }))).toEqual(['noisy'])
    expect(codes(sample({ ...pair, contenders: ['memory', 'file'] }))).toEqual(['unequal-durability'])
    expect(codes(sample({ ...pair, interrupted: true }))).toEqual(['interrupted'])
    const warning = sample({ ...pair, forks: 3 }).warnings[0]!
    expect(warning.cells).toHaveLength(2)
    expect(warning.text).toContain('All 2 cells')
    expect(sample({ ...pair, contenders: ['file'], forks: 3 }).warnings[0]!.text).toContain(
      'The only cell has',
    )
  })

  test.each([
    [
      'start-skew',
      many,
      (batch: { skewNs: number; windowNs: number }) => (batch.skewNs = 0.06 * batch.windowNs),
    ],
    ['low-overlap', many, (batch: { windowNs: number }) => (batch.windowNs *= 0.7)],
    ['imbalance', many, (batch: { workersNs: number[] }) => (batch.workersNs[0]! *= 2)],
  ] as const)('%s', (code, options, change) => {
    const analysis = changed(options, (fork) => {
      for (const batch of fork.batches) change(batch as never)
    })
    expect(codes(analysis)).toContain(code)
    expect(codes(changed(options, () => {}))).not.toContain(code)
  })

  test.each([
    ['warming-up', [1.2, 1.2, 1, 1, 1]],
    ['slowing-down', [1, 1, 1, 1.2, 1.2]],
  ] as const)('%s, when forks agree', (code, course) => {
    const bend = (stranger: number) =>
      changed(pair, (fork) => {
        const factors = fork.fork === stranger ? course.toReversed() : course
        for (const [at, batch] of fork.batches.entries()) {
          batch.workersNs = batch.workersNs.map((ns) => ns * factors[at]!)
        }
      })
    expect(codes(bend(-1))).toEqual([code])
    // Five of six forks may be an accident: 2 × 7/64 is more than 5 %.
    expect(codes(bend(3))).not.toContain(code)
  })

  test.each([
    ['fsync-free', { fsyncProbeNs: 3_000 }],
    ['load', { load: 1.5 }],
    ['harness-share', { timerCostNs: 5_000 }],
  ] as const)('%s', (code, environment) => {
    const analysis = changed(
      pair,
      () => {},
      (suite) => Object.assign(suite.environment, environment),
    )
    expect(codes(analysis)).toEqual([code])
  })

  test('a cached-read of a storage without a cache is called what it is', () => {
    const analysis = sample({ ...pair, scenarios: ['cached-read'] })
    expect(codes(analysis)).toEqual(['no-storage-cache'])
    expect(analysis.warnings[0]!.text).toContain('file has no cache of its own')
  })

  test('a torn last line is said', () => {
    const lines = sampleLines(pair).map((line) => `${JSON.stringify(line)}\n`)
    const analysis = analyse(parseResults(`${lines.join('')}{"type":"for`, 'x.jsonl'))
    expect(codes(analysis)).toEqual(['truncated-file'])
  })

  test('a profiled run is said to be comparable with nothing', () => {
    expect(
      codes(
        changed(
          pair,
          () => {},
          (suite) => (suite.profiled = true),
        ),
      ),
    ).toEqual(['profiled'])
  })
})
