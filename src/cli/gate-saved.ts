/** `shootout gate --baseline results/x.jsonl`: measures the candidate as the file was measured, and judges the two. */

import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { analyse } from '../analysis/analyse.ts'
import { cellsToJudge, checkComparable } from '../analysis/compare.ts'
import type { Limits, Policy } from '../analysis/gate/policy.ts'
import { type GateReport, overallVerdict } from '../analysis/gate/report-model.ts'
import { judgeSaved } from '../analysis/saved-baseline.ts'
import { ShootoutError } from '../core/errors.ts'
import { siblingModule } from '../core/load-module.ts'
import { type Results, readResults, settingKey } from '../results/reader.ts'
import type { ContenderRecord, SuiteLine } from '../results/schema.ts'
import { readEnvironment } from '../runner/environment.ts'
import { runGuarded } from './bisect/guarded.ts'
import type { RunConfig } from './config.ts'
import { interruptibly } from './console.ts'
import type { ResolvedContender } from './contenders.ts'

export interface SavedJob {
  /** The results file. */
  readonly baseline: string
  /** As the user wrote it. */
  readonly name: string
  readonly candidate: ResolvedContender
  /** What of the file's grid is wanted; undefined: all of it. */
  readonly only: {
    readonly scenarios: readonly string[] | undefined
    readonly objects: readonly number[] | undefined
    readonly concurrency: RunConfig['concurrency'] | undefined
  }
  /** Of the records, where it was said; else as in the file. */
  readonly dataset: Partial<Pick<RunConfig, 'recordBytes' | 'compressibility'>>
  readonly folder: string
  readonly timeoutNs: number
  readonly policy: Policy
  /** Of single scenarios. */
  readonly limits: ReadonlyMap<string, Limits>
  readonly tolerances: Readonly<Record<string, number>> | undefined
  readonly allowed: readonly string[]
  readonly seed: string
  readonly again: string
  /** Results of the candidate. */
  readonly out: string
  readonly force: boolean
  /** Empty, for our own files. */
  readonly scratch: string
}

/** As in a normal run; fewer have no p that is small enough for several cells. */
const forksMin = 12

export function isSaved(baseline: string): boolean {
  return baseline.endsWith('.jsonl')
}

/**
 * @throws ShootoutError `baseline-missing`, `not-comparable`, `nothing-to-measure`
 */
export async function carryOutSaved(job: SavedJob): Promise<GateReport> {
  const before = readBaseline(job.baseline)
  const { suite } = before
  const record = contenderOf(suite, job)
  const environment = readEnvironment(job.folder)
  const now = {
    ...suite,
    environment,
    dataset: { ...suite.dataset, ...job.dataset },
    contenders: [{ ...record, durability: job.candidate.capabilities.durability }],
  }
  // What can be known before anything is measured; the server's own settings are known only afterwards.
  checkComparable(suite, now, [[record.label, record.label]], job.allowed)
  const settings = wanted(before, record.label, job)
  if (settings.length === 0) {
    throw new ShootoutError(
      'nothing-to-measure',
      `${job.baseline} has no number of ${record.label} for any cell that is wanted; choose scenarios, objects and concurrency that it has`,
    )
  }

  const started = process.hrtime.bigint()
  const interrupted = await measure(job, now, settings)
  const after = readResults(job.out)
  checkComparable(suite, after.suite, [[record.label, 'candidate']], job.allowed)
  const cells = judgeSaved(
    cellsToJudge(analyse(before), analyse(after), [record.label, 'candidate']).filter(({ setting }) =>
      settings.some((one) => settingKey(one) === settingKey(setting)),
    ),
    job.policy,
    job.tolerances,
    job.limits,
  )
  return {
    format: 1,
    baseline: `${record.label} of ${job.baseline}`,
    candidate: job.name,
    savedAt: suite.startedAt,
    verdict: overallVerdict(cells),
    cells,
    skips: [],
    policy: job.policy,
    seed: job.seed,
    again: job.again,
    journal: job.out,
    elapsedNs: Number(process.hrtime.bigint() - started),
    interrupted,
  }
}

function readBaseline(path: string): Results {
  try {
    return readResults(resolve(path))
  } catch (cause) {
    throw new ShootoutError('baseline-missing', `there is no baseline: ${(cause as Error).message}`, {
      cause,
    })
  }
}

/** The one of the candidate's label or storage; in a file with one contender, that one. */
function contenderOf({ contenders }: SuiteLine, { candidate, name, baseline }: SavedJob): ContenderRecord {
  const label = /^([A-Za-z0-9][\w.+-]*)=/.exec(name)?.[1]
  const found =
    contenders.find((one) => one.label === label) ??
    (contenders.length === 1 ? contenders[0] : contenders.find((one) => one.label === candidate.storage))
  if (found !== undefined) return found
  throw new ShootoutError(
    'baseline-missing',
    `${baseline} has ${contenders.map((one) => one.label).join(', ')}; say which one is meant by the candidate's label: ${contenders[0]!.label}=${name}`,
  )
}

function wanted(before: Results, label: string, { only }: SavedJob): SuiteLine['settings'] {
  return cellsToJudge(analyse(before), analyse(before), [label, label])
    .map(({ setting }) => setting)
    .filter(
      ({ scenario, objects, concurrency: { kind, workers } }) =>
        (only.scenarios?.includes(scenario) ?? true) &&
        (only.objects?.includes(objects) ?? true) &&
        (only.concurrency?.some((one) => one.kind === kind && one.workers === workers) ?? true),
    )
}

/** A run like the file's, by the same command line, in a process of its own. @returns whether it was interrupted */
async function measure(job: SavedJob, suite: SuiteLine, settings: SuiteLine['settings']): Promise<boolean> {
  const { candidate, scratch } = job
  const unique = <T>(values: readonly T[]) => [
    ...new Map(values.map((one) => [JSON.stringify(one), one])).values(),
  ]
  const config = {
    storages: [{ label: 'candidate', storage: candidate.source, options: candidate.options }],
    scenarios: unique(settings.map(({ scenario }) => suite.scenarios[scenario] ?? scenario)),
    objects: unique(settings.map(({ objects }) => objects)),
    concurrency: unique(settings.map(({ concurrency }) => concurrency)),
    forks: forksMin,
    batches: suite.batches,
    recordBytes: suite.dataset.recordBytes,
    compressibility: suite.dataset.compressibility,
    seed: job.seed,
    folder: job.folder,
    timeout: `${job.timeoutNs}ns`,
    out: job.out,
  }
  const path = join(scratch, 'run.json')
  await writeFile(path, JSON.stringify(config))
  const main = fileURLToPath(siblingModule(import.meta.url, './main'))
  return interruptibly(async (signal) => {
    const { code, stderr } = await runGuarded(
      [
        process.execPath,
        ...process.execArgv,
        main,
        'run',
        '--config',
        path,
        ...(job.force ? ['--force'] : []),
      ],
      { cwd: process.cwd(), env: process.env, signal, echo: process.stderr },
    )
    if (code !== 0 && code !== 4 && !signal.aborted) {
      throw new ShootoutError(
        'nothing-to-measure',
        `the candidate could not be measured: ${stderr.trim().split('\n').at(-1)}`,
      )
    }
    return signal.aborted
  })
}
