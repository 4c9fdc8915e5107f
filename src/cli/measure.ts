/**
 * Measures: provisions the contenders, makes the plan, carries it out into a results file, prints what came out.
 * Shared by fresh runs, resumed ones and those that repeat another's plan.
 */

import { analyse } from '../analysis/analyse.ts'
import { shellWord } from '../core/shell-word.ts'
import { counted, formatWait } from '../core/units.ts'
import { liveReporter } from '../report/live.ts'
import { type Results, readResults } from '../results/reader.ts'
import type { Reporter } from '../results/reporter.ts'
import type { SuiteLine } from '../results/schema.ts'
import { openResultsWriter } from '../results/writer.ts'
import { carryOut, nothingToMeasure } from '../runner/coordinator.ts'
import { type EnvironmentReader, readEnvironment } from '../runner/environment.ts'
import type { Plan, PlannedContender, PlannedScenario } from '../runner/plan.ts'
import type { Past } from '../runner/resume.ts'
import { openWorkspace } from '../runner/workspace.ts'
import { interruptibly, isTerminal, useColor } from './console.ts'
import { provisionAll, type ResolvedContender } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { assertWritable } from './output-files.ts'
import { printTable, writeHtml } from './report.ts'

/** What is to be done, and what differs between a fresh run, a resumed one, and one that repeats another. */
export interface Job {
  readonly contenders: readonly ResolvedContender[]
  readonly scenarios: readonly PlannedScenario[]
  /** The plan, once it is known which contenders are available. @throws UsageError when it cannot be this plan */
  plan(contenders: readonly PlannedContender[]): Plan
  /** The first line of the results. */
  suite(plan: Plan, contenders: readonly PlannedContender[], environment: EnvironmentReader): SuiteLine
  /** What a resumed run has behind it, or what a repeated one has fixed. */
  past?(plan: Plan): Past
  /** The run whose plan is repeated in a file of its own. */
  readonly repeated?: Results
  /** `out` is an interrupted run's file; go on with it. */
  readonly continues?: boolean
  /** Set to print the plan and stop. */
  printPlan?(plan: Plan): void
  /** With `printPlan`: also write it to `out`, as a results file in which nothing has been measured yet. */
  readonly savePlan?: boolean
  readonly out: string
  readonly force: boolean
  readonly html: string | undefined
  /** Where stores are made. */
  readonly folder: string
  readonly stepLimitNs: number
  /** Pilot forks per cell; see stages.ts. */
  readonly pilots: number
  readonly budgetNs?: number
  readonly precision?: number
  readonly profileFolder?: string
}

/** @returns the exit code */
export function measure(job: Job): Promise<number> {
  assertWritable('--html', job.html)
  return interruptibly((signal) => measureUntil(signal, job))
}

async function measureUntil(signal: AbortSignal, job: Job): Promise<number> {
  const warn = (message: string) => process.stderr.write(`${message}\n`)
  const workspace = await openWorkspace(job.folder, warn)
  try {
    const provisioned = await provisionAll(job.contenders, workspace, warn)
    try {
      const plan = job.plan(provisioned.planned)
      if (job.printPlan !== undefined) {
        job.printPlan(plan)
        if (job.savePlan) {
          const writer = openResultsWriter(job.out, { force: job.force })
          open(writer, job, plan, provisioned.planned, workspace.folder)
          await writer.close?.()
        }
        return exitCodes.pass
      }
      if (plan.blocks.every((block) => block.length === 0)) {
        throw nothingToMeasure(plan.skips.map((skip) => `${skip.contender}: ${skip.reason}`))
      }
      const past = job.past?.(plan)
      const reporter = allOf([
        openResultsWriter(job.out, { force: job.force, append: job.continues === true }),
        liveReporter(process.stderr, { tty: isTerminal(process.stderr), color: useColor(process.stderr) }),
      ])
      try {
        open(reporter, job, plan, provisioned.planned, workspace.folder)
        const outcome = await carryOut({
          plan,
          contenders: provisioned.running,
          scenarios: new Map(job.scenarios.map(({ url, module }) => [url, module])),
          reporter,
          signal,
          stepLimitNs: job.stepLimitNs,
          pilots: job.pilots,
          ...(job.budgetNs === undefined ? {} : { budgetNs: job.budgetNs }),
          ...(job.precision === undefined ? {} : { precision: job.precision }),
          ...(past === undefined ? {} : { past }),
          ...(job.profileFolder === undefined ? {} : { profileFolder: job.profileFolder }),
        })
        await reporter.close?.()
        await show(job, outcome.end.elapsedNs)
        if (signal.aborted) {
          process.stdout.write(`Interrupted. Go on with: shootout run --resume ${shellWord(job.out)}\n`)
          return exitCodes.interrupted
        }
        const measured = outcome.completedForks + (past?.done.size ?? 0)
        const failed = outcome.failedForks + (past?.failed.size ?? 0)
        return failed > 0 || measured === 0 ? exitCodes.incomplete : exitCodes.pass
      } finally {
        await reporter.close?.()
      }
    } finally {
      await provisioned.dispose()
    }
  } finally {
    await workspace.remove()
  }
}

/** What stands in a results file before anything is measured. A continued one has it already, but for the suite. */
function open(
  reporter: Reporter,
  job: Job,
  plan: Plan,
  contenders: readonly PlannedContender[],
  folder: string,
): void {
  reporter.onSuite?.(job.suite(plan, contenders, () => readEnvironment(folder)))
  if (job.continues) return
  for (const skip of plan.skips) reporter.onSkip?.(skip)
  const { calibrations = [], decision } = job.repeated ?? {}
  for (const line of calibrations) reporter.onCalibration?.(line)
  if (decision !== undefined) reporter.onForks?.(decision)
}

/** Reads the file back from disk: what is printed is what is in it. */
async function show(job: Job, elapsedNs: number): Promise<void> {
  const analysis = analyse(readResults(job.out), {})
  printTable(analysis)
  const { failed } = analysis.summary.counts
  process.stdout.write(`\nMeasured in ${formatWait(elapsedNs)}. Results: ${job.out}\n`)
  if (job.html !== undefined) await writeHtml(analysis, job.html)
  if (failed > 0) {
    process.stdout.write(`${counted(failed, 'cell')} failed; the notes below the tables say why.\n`)
  }
}

/** One reporter that tells all. */
function allOf(reporters: readonly Reporter[]): Reporter {
  const tell = <E extends keyof Reporter>(event: E) =>
    ((line: never) => {
      for (const one of reporters) (one[event] as ((line: never) => void) | undefined)?.(line)
    }) as NonNullable<Reporter[E]>
  return {
    onSuite: tell('onSuite'),
    onProgress: tell('onProgress'),
    onFork: tell('onFork'),
    onSkip: tell('onSkip'),
    onCalibration: tell('onCalibration'),
    onForks: tell('onForks'),
    onLog: tell('onLog'),
    onEnd: tell('onEnd'),
    close: async () => {
      for (const one of reporters) await one.close?.()
    },
  }
}
