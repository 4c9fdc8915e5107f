/** From two contenders to a report: provisions both, finds the cells that both can do, and runs the session. */

import type { Limits, Policy } from '../analysis/gate/policy.ts'
import { type GateReport, overallVerdict } from '../analysis/gate/report-model.ts'
import { ShootoutError } from '../core/errors.ts'
import type { GateLive } from '../report/gate-live.ts'
import type { GateJournal } from '../results/gate-journal.ts'
import {
  type GateFailure,
  type GateHeader,
  type GateSkip,
  gateSchemaVersion,
  type Side,
} from '../results/gate-schema.ts'
import { settingKey } from '../results/reader.ts'
import { readEnvironment } from '../runner/environment.ts'
import { operationsStep } from '../runner/gate/calibration.ts'
import { PairEngine } from '../runner/gate/pair-engine.ts'
import { Sentinel } from '../runner/gate/sentinel.ts'
import { type Burden, cannot, ForkFactory, type GateTask } from '../runner/gate/side.ts'
import { makePlan, type Plan, type PlannedContender, type PlannedScenario } from '../runner/plan.ts'
import { openWorkspace } from '../runner/workspace.ts'
import type { RunConfig } from './config.ts'
import { interruptibly } from './console.ts'
import { provisionAll, type ResolvedContender } from './contenders.ts'
import { checkSameGate, type InterruptedGate } from './gate-past.ts'
import { runSession } from './gate-session.ts'

export interface GateJob {
  /** Labelled `baseline` and `candidate`. */
  readonly contenders: readonly ResolvedContender[]
  /** As the user wrote them. */
  readonly names: Readonly<Record<Side, string>>
  readonly scenarios: readonly PlannedScenario[]
  readonly config: Pick<
    RunConfig,
    'objects' | 'concurrency' | 'recordBytes' | 'compressibility' | 'folder' | 'timeout' | 'budget'
  >
  readonly seed: string
  readonly policy: Policy
  /** By scenario, where they differ from those of the policy. */
  readonly limits?: ReadonlyMap<string, Limits>
  readonly rounds: number
  readonly tolerances: Readonly<Record<string, number>> | undefined
  readonly allowUnequalDurability: boolean
  /** Blocks that were disturbed from outside count as well. */
  readonly keepsDisturbed?: boolean
  /** Cells that became slower are looked at more closely. */
  readonly explains?: boolean
  /** The command that does it again. */
  readonly again: string
  /** Path of the journal, for the report. */
  readonly out: string
  /** To go on with. */
  readonly interrupted?: InterruptedGate
}

/** Both sides provisioned and the cells found: all that pairs can be measured with. */
export interface GateBench {
  readonly tasks: readonly GateTask[]
  readonly failures: ReadonlyMap<GateTask, GateFailure>
  readonly skips: readonly GateSkip[]
  readonly header: GateHeader
  readonly signal: AbortSignal
  readonly sentinel: Sentinel
  /** Existing folder on the disk where the stores lie, removed in the end. */
  readonly folder: string
  engine(seed: string, burden?: Burden): PairEngine
}

/**
 * @throws ShootoutError `baseline-missing`, `not-comparable`, `nothing-to-measure`. Whatever happens afterwards is in
 *   the report
 */
export function carryOutGate(job: GateJob, journal: GateJournal, live: GateLive): Promise<GateReport> {
  return withBench(job, async ({ tasks, failures, skips, header, signal, sentinel, engine }) => {
    const { policy, seed, names, config, interrupted } = job
    if (interrupted === undefined) {
      journal.append(header)
      for (const skip of skips) journal.append(skip)
      for (const failure of failures.values()) journal.append(failure)
    } else checkSameGate(job.out, interrupted.header, header)
    const { cells, drift, machine, elapsedNs } = await runSession({
      tasks,
      failures,
      engine: engine(seed),
      policy,
      ...(job.limits === undefined ? {} : { limits: job.limits }),
      budgetNs: config.budget,
      seed,
      tolerances: job.tolerances,
      journal,
      signal,
      sentinel,
      keepsDisturbed: job.keepsDisturbed ?? false,
      ...(interrupted === undefined ? {} : { past: interrupted.past }),
      ...(job.explains ? { profileFolder: `${job.out.replace(/\.jsonl$/, '')}-profiles` } : {}),
      progress: {
        explaining: ({ setting }) => live.explaining(setting),
        disturbed: (reason) => live.disturbed(reason),
        counted: ({ setting }, comparison) => live.counted(setting, comparison),
        block: (wants, pairs, remainingNs) => live.block(wants, pairs, remainingNs),
        failed: ({ setting }, failure) => live.failed(setting, failure),
      },
    })
    for (const { setting, verdict, ground } of cells) {
      const { scenario, objects, concurrency } = setting
      journal.append({ type: 'verdict', scenario, objects, concurrency, verdict, reason: ground })
    }
    return {
      format: 1,
      ...names,
      verdict: overallVerdict(cells, drift),
      cells,
      skips,
      ...(drift === undefined ? {} : { drift }),
      ...(machine === undefined ? {} : { machine }),
      policy,
      seed,
      again: job.again,
      journal: job.out,
      elapsedNs,
      interrupted: signal.aborted,
    }
  })
}

/** Provisions both sides, lets them be used, and removes everything again; Ctrl-C ends it in order. */
export function withBench<T>(job: GateJob, use: (bench: GateBench) => Promise<T>): Promise<T> {
  return interruptibly((signal) => withBenchUntil(signal, job, use))
}

async function withBenchUntil<T>(
  signal: AbortSignal,
  job: GateJob,
  use: (bench: GateBench) => Promise<T>,
): Promise<T> {
  const { config, policy, seed, rounds } = job
  const warn = (message: string) => process.stderr.write(`${message}\n`)
  const workspace = await openWorkspace(config.folder, warn)
  try {
    const provisioned = await provisionAll(job.contenders, workspace, warn)
    try {
      const [baseline, candidate] = provisioned.planned as [PlannedContender, PlannedContender]
      checkSides(job, baseline, candidate)
      const plan = makePlan({
        contenders: provisioned.planned,
        scenarios: job.scenarios,
        objects: config.objects,
        concurrency: config.concurrency,
        dataset: { recordBytes: config.recordBytes, compressibility: config.compressibility },
        seed,
        forks: 1,
        batches: rounds,
      })
      const { tasks, failures, skips } = cellsOf(plan, job.scenarios)
      if (tasks.length === 0) {
        const reasons = [...new Set(skips.map(({ reason }) => reason))]
        throw new ShootoutError('nothing-to-measure', `no cell can be measured: ${reasons.join('; ')}`)
      }
      return await use({
        tasks,
        failures,
        skips,
        header: {
          type: 'gate',
          schema: gateSchemaVersion,
          startedAt: new Date().toISOString(),
          seed,
          baseline: baseline.record,
          candidate: candidate.record,
          settings: tasks.map(({ setting }) => setting),
          dataset: plan.dataset,
          environment: readEnvironment(workspace.folder),
          rounds,
          budgetNs: config.budget,
          policy,
        },
        signal,
        sentinel: new Sentinel(workspace.folder),
        folder: workspace.folder,
        engine(engineSeed, burden) {
          const factory = new ForkFactory({
            seed: engineSeed,
            dataset: plan.dataset,
            contenders: {
              baseline: provisioned.running.get('baseline')!,
              candidate: provisioned.running.get('candidate')!,
            },
            stepLimitNs: config.timeout,
            storePrefix: `e${engines++}`,
            folder: workspace.folder,
            ...(burden === undefined ? {} : { burden }),
          })
          signal.addEventListener('abort', () => void factory.stopAll(), { once: true })
          // Fewer operations could not be burdened with a whole one more.
          return burden === undefined
            ? new PairEngine(factory, engineSeed, rounds)
            : new PairEngine(factory, engineSeed, rounds, operationsFor(burden))
        },
      })
    } finally {
      await provisioned.dispose()
    }
  } finally {
    await workspace.remove()
  }
}

/** Stores of two engines of one process must not have the same name. */
let engines = 0

/** So many that the share more is a whole number of them: 2 % of 50 is one. */
function operationsFor({ operations: share }: Burden): number {
  return share === 0 ? operationsStep : Math.max(operationsStep, Math.round(1 / share))
}

/** Both must be there, and promise the same. */
function checkSides(job: GateJob, baseline: PlannedContender, candidate: PlannedContender): void {
  if (baseline.unavailable !== undefined) {
    throw new ShootoutError(
      'baseline-missing',
      `the baseline ${job.names.baseline} cannot be used here: ${baseline.unavailable}`,
    )
  }
  if (candidate.unavailable !== undefined) {
    throw new ShootoutError(
      'nothing-to-measure',
      `the candidate ${job.names.candidate} cannot be used here: ${candidate.unavailable}`,
    )
  }
  const [before, after] = [baseline.record.durability, candidate.record.durability]
  if (before !== after && !job.allowUnequalDurability) {
    throw new ShootoutError(
      'not-comparable',
      `${job.names.baseline} has durability "${before}" and ${job.names.candidate} "${after}": being faster by promising less is no improvement. Make them equal by their options, or add --allow-mismatch durability`,
    )
  }
}

interface Cells {
  readonly tasks: readonly GateTask[]
  /** Cells that the baseline can do and the candidate cannot, or the other way round. */
  readonly failures: ReadonlyMap<GateTask, GateFailure>
  /** Cells that neither can do. */
  readonly skips: readonly GateSkip[]
}

function cellsOf(plan: Plan, scenarios: readonly PlannedScenario[]): Cells {
  const tasks: GateTask[] = []
  const failures = new Map<GateTask, GateFailure>()
  const modules = new Map(scenarios.map(({ url, module }) => [url, module]))
  const reasons = new Map(plan.skips.map((skip) => [`${skip.contender}/${settingKey(skip)}`, skip.reason]))
  for (const { setting, scenarioUrl, contenders } of plan.settings) {
    if (contenders.length === 0) continue
    const task: GateTask = { setting, scenarioUrl, scenario: modules.get(scenarioUrl)! }
    tasks.push(task)
    for (const side of ['baseline', 'candidate'] as const) {
      if (contenders.includes(side)) continue
      failures.set(task, cannot(side, setting, reasons.get(`${side}/${settingKey(setting)}`)!))
    }
  }
  const done = new Set(tasks.map(({ setting }) => settingKey(setting)))
  const skips = new Map<string, GateSkip>()
  for (const { scenario, objects, concurrency, reason } of plan.skips) {
    const key = settingKey({ scenario, objects, concurrency })
    if (!done.has(key)) skips.set(key, { type: 'skip', scenario, objects, concurrency, reason })
  }
  return { tasks, failures, skips: [...skips.values()] }
}
