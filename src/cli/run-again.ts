/** `shootout run --resume FILE` and `--plan FILE`: what a results file says is to be done, completed or repeated. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { UsageError } from '../core/errors.ts'
import { type Results, readResults } from '../results/reader.ts'
import { planAgain } from '../runner/plan.ts'
import { pastOf, replayOf } from '../runner/resume.ts'
import { warmupPilots } from '../runner/stages.ts'
import { loadConfig, type RunConfig } from './config.ts'
import { resolveContenders } from './contenders.ts'
import { type Job, measure } from './measure.ts'
import { configFlags, defaultOut, type RunFlags } from './run-flags.ts'
import { resolveScenarios } from './scenarios.ts'

/** Goes on with an interrupted run, in its file. */
export function resume(flags: RunFlags, command: Command): Promise<number> {
  return again(flags, command, {
    flag: 'resume',
    path: resolve(flags.resume!),
    allowed: ['resume', 'folder', 'timeout', 'html'],
    job: (results) => ({
      suite: () => results.suite,
      past: (plan) => pastOf(plan, results),
      out: results.path,
      force: false,
      continues: true,
    }),
  })
}

/** Repeats a run, or carries out a saved plan: the same cells, order, data and work, in a file of its own. */
export function replay(flags: RunFlags, command: Command): Promise<number> {
  const startedAt = new Date().toISOString()
  const profileFolder = flags.profile === undefined ? undefined : resolve(flags.profile)
  return again(flags, command, {
    flag: 'plan',
    path: resolve(flags.plan!),
    allowed: ['plan', 'folder', 'timeout', 'html', 'out', 'force', 'profile'],
    job: (results, config) => ({
      suite: (_plan, planned, environment) => ({
        ...results.suite,
        startedAt,
        contenders: planned.map(({ record }) => record),
        environment: environment(),
        profiled: profileFolder !== undefined,
      }),
      past: (plan) => replayOf(plan, results),
      repeated: results,
      out: config.out ?? defaultOut(startedAt),
      force: flags.force === true,
      ...(profileFolder === undefined ? {} : { profileFolder }),
    }),
  })
}

interface Again {
  readonly flag: 'resume' | 'plan'
  readonly path: string
  /** Flags that may be given anew: the file says what is to be done; only what does not change the numbers is free. */
  readonly allowed: readonly string[]
  job(results: Results, config: RunConfig): Pick<Job, 'suite' | 'past' | 'out' | 'force'> & Partial<Job>
}

async function again(
  flags: RunFlags,
  command: Command,
  { flag, path, allowed, job }: Again,
): Promise<number> {
  const others = command.options.filter(
    (one) =>
      command.getOptionValueSource(one.attributeName()) === 'cli' && !allowed.includes(one.attributeName()),
  )
  if (others.length > 0) {
    const free = allowed.filter((name) => name !== flag).map((name) => `--${name}`)
    throw new UsageError(
      `${flag}-options`,
      `--${flag} does what the file says; leave out ${others.map(({ long }) => long).join(', ')} (${free.join(', ')} may be given)`,
    )
  }
  const results = readResults(path)
  const { suite } = results
  const { config } = await loadConfig(configFlags(flags, command), flags.config)
  const contenders = await resolveContenders(
    suite.contenders.map(({ label, module, options }) => ({ label, storage: module, options })),
  )
  const scenarios = await resolveScenarios(Object.values(suite.scenarios), process.cwd())
  const urls = new Map(scenarios.map(({ url, module }) => [module.name, url]))
  return measure({
    contenders,
    scenarios,
    plan(planned) {
      const plan = planAgain(suite, results.skips, (scenario) => urls.get(scenario)!)
      const lost = planned.filter(
        ({ record, unavailable }) =>
          unavailable !== undefined && plan.settings.some((one) => one.contenders.includes(record.label)),
      )
      if (lost.length > 0) {
        const reasons = lost.map(({ record, unavailable }) => `${record.label}: ${unavailable}`)
        throw new UsageError(
          `${flag}-mismatch`,
          `what ${path} says cannot be done here: ${reasons.join('; ')}`,
        )
      }
      if (plan.hash === suite.planHash) return plan
      throw new UsageError(
        `${flag}-mismatch`,
        `${path} was planned by another version of shootout (${suite.environment.shootout}); use that one`,
      )
    },
    html: config.html,
    folder: config.folder,
    stepLimitNs: config.timeout,
    pilots: warmupPilots(suite.forks, suite.budgetNs !== undefined),
    ...(suite.budgetNs === undefined ? {} : { budgetNs: suite.budgetNs }),
    ...(suite.precision === undefined ? {} : { precision: suite.precision }),
    ...job(results, config),
  })
}
