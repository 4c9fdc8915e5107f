/**
 * A results file as a run would leave it: three storages with plausible times, noise between forks, drift that all
 * contenders of a block share, skipped cells and a failed one. Everything comes from one seed.
 */

import { Histogram } from '../../src/core/histogram.ts'
import { Random } from '../../src/core/random.ts'
import type {
  BatchRecord,
  CompletedFork,
  Concurrency,
  ContenderRecord,
  ForkLine,
  ResultLine,
  Setting,
  SkipLine,
  SuiteLine,
} from '../../src/results/schema.ts'
import { schemaVersion } from '../../src/results/schema.ts'

export interface SampleOptions {
  readonly seed?: string
  readonly forks?: number
  readonly batches?: number
  readonly contenders?: readonly string[]
  readonly scenarios?: readonly string[]
  readonly objects?: readonly number[]
  readonly concurrency?: readonly Concurrency[]
  /** Standard deviation of the logarithm between forks. */
  readonly noise?: number
  /** Leave the last line out, as a killed run does. */
  readonly interrupted?: boolean
  /** Have sqlite fail in a cell. */
  readonly failure?: boolean
}

interface Cost {
  /** ns per operation and per object. */
  readonly fixed: number
  readonly perObject: number
}

const costs: Readonly<Record<string, Readonly<Record<string, Cost>>>> = {
  memory: {
    add: { fixed: 3_100, perObject: 900 },
    update: { fixed: 3_400, perObject: 1_050 },
    'cold-read': { fixed: 1_200, perObject: 640 },
    'cached-read': { fixed: 1_150, perObject: 630 },
  },
  file: {
    add: { fixed: 142_000, perObject: 2_100 },
    update: { fixed: 148_000, perObject: 2_500 },
    'cold-read': { fixed: 2_600, perObject: 3_900 },
    'cached-read': { fixed: 2_500, perObject: 3_850 },
  },
  sqlite: {
    add: { fixed: 391_000, perObject: 4_300 },
    update: { fixed: 402_000, perObject: 5_900 },
    'cold-read': { fixed: 3_900, perObject: 4_050 },
    'cached-read': { fixed: 1_900, perObject: 780 },
  },
}

const facts: Readonly<Record<string, Omit<ContenderRecord, 'label'>>> = {
  memory: record('memory', 'memory', 'isolate', {}),
  file: record('file', 'full', 'process', { format: '1' }),
  sqlite: record('sqlite', 'full', 'host', { sqlite: '3.53.2', journal_mode: 'wal', synchronous: 'full' }),
}

function record(
  storage: string,
  durability: string,
  reach: string,
  found: Readonly<Record<string, string>>,
): Omit<ContenderRecord, 'label'> {
  return {
    storage,
    module: storage,
    options: {},
    durability,
    capabilities: { reach, durability },
    facts: found,
  }
}

export function sampleLines(options: SampleOptions = {}): ResultLine[] {
  const seed = options.seed ?? 'sample'
  const suite = sampleSuite(seed, options)
  const lines: ResultLine[] = [suite]
  for (const setting of suite.settings) {
    for (const { label } of suite.contenders) {
      const skip = skipOf(label, setting)
      if (skip !== undefined) lines.push(skip)
    }
  }
  const random = new Random(seed)
  for (let fork = 0; fork < suite.forks; fork++) {
    // What the machine is doing meanwhile: the same for all contenders of a block.
    const drift = Math.exp(0.05 * random.split('drift', fork).normal())
    for (const setting of suite.settings) {
      for (const { label } of suite.contenders) {
        if (skipOf(label, setting) !== undefined) continue
        lines.push(sampleFork(label, setting, fork, drift, random, options))
      }
    }
  }
  if (options.interrupted !== true) {
    lines.push({ type: 'end', endedAt: '2026-03-01T12:03:05.000Z', outcome: 'completed', elapsedNs: 185e9 })
  }
  return lines
}

export function sampleText(options: SampleOptions = {}): string {
  return sampleLines(options)
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('')
}

export function sampleSuite(seed: string, options: SampleOptions = {}): SuiteLine {
  const concurrency = options.concurrency ?? [
    { kind: 'async', workers: 1 },
    { kind: 'async', workers: 5 },
    { kind: 'threads', workers: 2 },
    { kind: 'processes', workers: 2 },
  ]
  const settings = (options.scenarios ?? ['add', 'update', 'cold-read', 'cached-read']).flatMap((scenario) =>
    concurrency.flatMap((one) =>
      (options.objects ?? [1, 20]).map(
        (objects): Setting => ({
          scenario,
          title: `${scenario} ${objects} ${objects === 1 ? 'object' : 'objects'}`,
          objects,
          concurrency: one,
        }),
      ),
    ),
  )
  const labels = options.contenders ?? ['memory', 'file', 'sqlite']
  return {
    type: 'suite',
    schema: schemaVersion,
    startedAt: '2026-03-01T12:00:00.000Z',
    seed,
    planHash: '5f2c91aa',
    forks: options.forks ?? 6,
    batches: options.batches ?? 5,
    contenders: labels.map((label) => ({ label, ...facts[label.replace(/-.*/, '')]! })),
    settings,
    scenarios: Object.fromEntries(settings.map(({ scenario }) => [scenario, scenario])),
    dataset: { recordBytes: 300, compressibility: 0.5, hash: '90ab12cd' },
    environment: {
      shootout: '0.1.0',
      node: '20.20.2',
      v8: '11.3.244.8',
      platform: 'linux x64',
      kernel: '6.1.0-40-amd64',
      cpuModel: 'Example CPU @ 2.50GHz',
      cpus: 2,
      memoryBytes: 8 * 1024 ** 3,
      load: 0.31,
      folder: '/tmp/shootout-sample',
      fileSystem: 'ext4',
      fsyncProbeNs: 131_000,
      timerCostNs: 48,
      gitCommit: '0123456789ab',
    },
    reference: labels.includes('file') ? 'file' : labels[0]!,
    profiled: false,
  }
}

function skipOf(contender: string, setting: Setting): SkipLine | undefined {
  const { kind } = setting.concurrency
  const reason =
    contender === 'memory' && kind !== 'async'
      ? 'memory can be used by one event loop only'
      : contender === 'file' && kind === 'processes'
        ? 'file can be used by the threads of one process only'
        : undefined
  if (reason === undefined) return undefined
  const { scenario, objects, concurrency } = setting
  return { type: 'skip', contender, scenario, objects, concurrency, reason }
}

function sampleFork(
  contender: string,
  { scenario, objects, concurrency }: Setting,
  fork: number,
  drift: number,
  root: Random,
  options: SampleOptions,
): ForkLine {
  const id = { contender, scenario, objects, concurrency, fork }
  if (options.failure !== false && contender === 'sqlite' && scenario === 'update') {
    if (concurrency.kind === 'processes' && objects === 20 && fork === 2) {
      return {
        type: 'fork',
        status: 'failed',
        ...id,
        step: 'verify',
        error: {
          name: 'VerificationError',
          code: 'verification',
          message: 'worker 1 finds version 18 in object 4711, but wrote version 19: an update was lost',
          transient: false,
          details: {},
        },
      }
    }
  }
  const random = root.split(contender, scenario, objects, concurrency.kind, concurrency.workers, fork)
  const noise = options.noise ?? 0.02
  const cost = costs[contender.replace(/-.*/, '')]![scenario]!
  const { workers } = concurrency
  // Readers on one event loop wait for each other; committers share an fsync.
  const waiting = concurrency.kind === 'async' ? 1 + 0.8 * (workers - 1) : 1 + 0.25 * (workers - 1)
  const slow = contender.endsWith('-slow') ? 1.3 : 1
  const timeNs =
    (cost.fixed + cost.perObject * objects) * waiting * drift * slow * Math.exp(noise * random.normal())
  const operationsPerBatch = Math.max(1, Math.round(20e6 / timeNs))
  const operationsPerLap = timeNs > 20_000 ? 1 : 64
  const batch = (): BatchRecord => {
    const workersNs = Array.from({ length: workers }, () =>
      Math.round(timeNs * operationsPerBatch * Math.exp(0.01 * random.normal())),
    )
    const skewNs = workers === 1 ? 0 : Math.round(20_000 * random.float())
    const windowNs = Math.min(...workersNs) - skewNs
    return {
      workersNs,
      windowNs,
      windowOperations: Math.floor((windowNs / timeNs) * workers) || 1,
      skewNs,
    }
  }
  const batches = Array.from({ length: options.batches ?? 5 }, batch)
  const operations = operationsPerBatch * batches.length * workers
  const writes = scenario === 'add' || scenario === 'update'
  const latencies = Array.from({ length: workers }, () => {
    const histogram = new Histogram()
    for (let i = 0; i < operationsPerBatch * batches.length; i++) {
      histogram.record(timeNs * Math.exp(0.2 * random.normal()))
    }
    return { count: histogram.count, maxNs: Math.round(histogram.maxNs), buckets: histogram.toSparse() }
  })
  const completed: CompletedFork = {
    type: 'fork',
    status: 'completed',
    ...id,
    startedAt: '2026-03-01T12:00:10.000Z',
    operationsPerBatch,
    operationsPerLap,
    order: batches.map(() => random.integer(3)),
    warmups: [batch(), batch()],
    batches,
    ...(operationsPerLap === 1 ? { latencies } : {}),
    hasStorageCache: contender.startsWith('sqlite'),
    counters: {
      loads: writes ? 0 : operations * objects,
      backendLoads:
        writes || (contender === 'sqlite' && scenario === 'cached-read') ? 0 : operations * objects,
      stores: writes ? operations * objects : 0,
      storedBytes: writes ? operations * objects * 300 : 0,
      commits: writes ? operations : 0,
      conflicts: 0,
      roundTrips: 0,
      statements: contender === 'sqlite' ? operations * (writes ? 5 : 1) : 0,
      syncs: writes && contender !== 'memory' ? operations : 0,
    },
    transfers: { loads: writes ? 0 : operations * objects, stores: writes ? operations * objects : 0 },
    tallies: {},
    cpuNs: { user: Math.round(timeNs * operations * 0.3), system: Math.round(timeNs * operations * 0.1) },
    gcNs: Math.round(timeNs * operations * 0.02),
    loopDelayNsMax: 1_200_000,
    residentBytesMax: 80 * 1024 ** 2,
    setupNs: 55_000_000,
  }
  return completed
}
