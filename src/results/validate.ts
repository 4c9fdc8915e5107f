/**
 * What each line of a results file must look like: schema.ts, as checks. The reader calls `lineProblem` for every
 * line; a line that passes may be used as its type says.
 */

import { isRecordSizes } from '../core/record-sizes.ts'
import {
  type Check,
  hasFields,
  isAmount,
  isBoolean,
  isCount,
  isList,
  isMap,
  isOneOf,
  isPositive,
  isRecord,
  isText,
  isTime,
} from './checks.ts'
import { type CompletedFork, concurrencyKinds, type HistogramRecord, type ResultLine } from './schema.ts'

const areSizes: Check = (value, at) =>
  isRecordSizes(value)
    ? undefined
    : `${at} must be a number of bytes, { min, max } or { mix: [{ bytes, weight }] }, but is ${JSON.stringify(value)}`

const isConcurrency = hasFields({ kind: isOneOf(...concurrencyKinds), workers: isPositive })

const isSetting = hasFields({
  scenario: isText,
  title: isText,
  objects: isCount,
  concurrency: isConcurrency,
})

const isContender = hasFields({
  label: isText,
  storage: isText,
  module: isText,
  options: isRecord,
  durability: isText,
  capabilities: isRecord,
  facts: isMap(isText),
})

const isEnvironment = hasFields(
  {
    shootout: isText,
    node: isText,
    v8: isText,
    platform: isText,
    kernel: isText,
    cpuModel: isText,
    cpus: isPositive,
    memoryBytes: isAmount,
    load: isAmount,
    folder: isText,
    fileSystem: isText,
    fsyncProbeNs: isAmount,
    timerCostNs: isAmount,
  },
  { gitCommit: isText },
)

const isSuite = hasFields(
  {
    schema: isPositive,
    startedAt: isTime,
    seed: isText,
    planHash: isText,
    forks: isPositive,
    batches: isPositive,
    contenders: isList(isContender, { lengthMin: 1 }),
    settings: isList(isSetting, { lengthMin: 1 }),
    scenarios: isMap(isText),
    dataset: hasFields({ recordBytes: areSizes, compressibility: isAmount, hash: isText }),
    environment: isEnvironment,
    reference: isText,
    profiled: isBoolean,
  },
  { budgetNs: isAmount, precision: isAmount },
)

const cell = { contender: isText, scenario: isText, objects: isCount, concurrency: isConcurrency }

const isError: Check = hasFields(
  { name: isText, code: isText, message: isText, transient: isBoolean, details: isRecord },
  { stack: isText, cause: (value, at) => isError(value, at) },
)

const isFailedFork = hasFields({ ...cell, fork: isCount, step: isText, error: isError })

const isBatch = hasFields(
  {
    workersNs: isList(isAmount, { lengthMin: 1 }),
    windowNs: isAmount,
    windowOperations: isCount,
    skewNs: isAmount,
  },
  { cpuNs: isAmount },
)

const isHistogram: Check = (value, at) => {
  const problem = hasFields({ count: isCount, maxNs: isAmount, buckets: isList(isCount) })(value, at)
  if (problem !== undefined) return problem
  const { count, buckets } = value as HistogramRecord
  if (buckets.length % 2 !== 0) return `${at}.buckets must be pairs of bucket and count`
  let sum = 0
  for (let index = 1; index < buckets.length; index += 2) sum += buckets[index]!
  return sum === count ? undefined : `${at}.buckets hold ${sum} values, but ${at}.count is ${count}`
}

const hasCompletedFields = hasFields(
  {
    ...cell,
    fork: isCount,
    startedAt: isTime,
    operationsPerBatch: isPositive,
    operationsPerLap: isPositive,
    order: isList(isCount),
    warmups: isList(isBatch),
    batches: isList(isBatch, { lengthMin: 1 }),
    hasStorageCache: isBoolean,
    counters: isMap(isAmount),
    transfers: hasFields({ loads: isCount, stores: isCount }),
    tallies: isMap(isAmount),
    cpuNs: hasFields({ user: isAmount, system: isAmount }),
    gcNs: isAmount,
    loopDelayNsMax: isAmount,
    residentBytesMax: isAmount,
    setupNs: isAmount,
  },
  { latencies: isList(isHistogram), serverCpuNs: hasFields({ user: isAmount, system: isAmount }) },
)

const isCompletedFork: Check = (value, at) => {
  const problem = hasCompletedFields(value, at)
  if (problem !== undefined) return problem
  const { batches, warmups, concurrency } = value as CompletedFork
  for (const [name, list] of Object.entries({ warmups, batches })) {
    const odd = list.findIndex((batch) => batch.workersNs.length !== concurrency.workers)
    if (odd >= 0) {
      return `${name}[${odd}].workersNs has ${list[odd]!.workersNs.length} times for ${concurrency.workers} workers`
    }
  }
  return undefined
}

const isFork: Check = (value, at) => {
  const problem = hasFields({ status: isOneOf('completed', 'failed') })(value, at)
  if (problem !== undefined) return problem
  return (value as { status: string }).status === 'completed'
    ? isCompletedFork(value, at)
    : isFailedFork(value, at)
}

const checks: Readonly<Record<ResultLine['type'], Check>> = {
  suite: isSuite,
  fork: isFork,
  skip: hasFields({ ...cell, reason: isText }),
  calibration: hasFields({
    scenario: isText,
    objects: isCount,
    concurrency: isConcurrency,
    operations: isPositive,
    warmups: isCount,
    contenders: isList(
      hasFields({ contender: isText, operationsPerLap: isPositive, pilotsNs: isList(isList(isAmount)) }),
    ),
  }),
  forks: hasFields({ decidedBy: isOneOf('budget', 'precision'), forks: isList(isCount) }),
  end: hasFields({ endedAt: isTime, outcome: isOneOf('completed', 'interrupted'), elapsedNs: isAmount }),
}

/** What is wrong with a parsed line, or undefined when it is a `ResultLine`. */
export function lineProblem(value: unknown): string | undefined {
  const problem = hasFields({ type: isOneOf(...Object.keys(checks)) })(value, '')
  if (problem !== undefined) return problem
  return checks[(value as ResultLine).type](value, '')
}
