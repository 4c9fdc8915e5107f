/** `shootout run`: from arguments and config file to a job; also resumes one that was interrupted. */

import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { UsageError } from '../core/errors.ts'
import { formatWait } from '../core/units.ts'
import { readResults } from '../results/reader.ts'
import { schemaVersion } from '../results/schema.ts'
import { makePlan, type Plan, type PlannedScenario, planAgain } from '../runner/plan.ts'
import { pastOf } from '../runner/resume.ts'
import { forkLadder, precisionForksMax } from '../runner/stages.ts'
import {
  headlineScenarioNames,
  loadScenarioModule,
  scenarioNames,
  scenarioUrl,
} from '../scenarios/registry.ts'
import { describeConfig, type Flags, gridOf, loadConfig, presets, type RunConfig } from './config.ts'
import { chooseReference, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { type Job, measure } from './measure.ts'

interface RunFlags {
  readonly config?: string
  readonly preset?: string
  readonly quick?: boolean
  readonly rigorous?: boolean
  readonly resume?: string
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly printConfig?: boolean
  readonly profile?: string
  readonly [flag: string]: unknown
}

export function registerRun(program: Command): void {
  program
    .command('run')
    .description('measure storages and print a comparison')
    .option(
      '-s, --storage <list>',
      'contenders: [LABEL=]NAME|./module.js[?option=value&…], comma-separated',
      joinLists,
    )
    .option('-b, --scenario <list>', 'scenarios: names, headline, all, or ./module.js', joinLists)
    .option('-n, --objects <list>', 'objects per operation', joinLists)
    .option('-c, --concurrency <list>', 'KIND:WORKERS; kinds are async, threads, processes', joinLists)
    .option('--preset <name>', `a grid to start from: ${Object.keys(presets).join(', ')}`)
    .option('--forks <n>', 'forks per cell: fresh workers and a fresh store each; the n of every interval')
    .option('--quick', '6 forks per cell')
    .option('--rigorous', '20 forks per cell')
    .option('--budget <duration>', 'what the run may take; decides the number of forks (default: 4m)')
    .option('--precision <share>', 'wanted half-width of intervals, such as 2%; decides the number of forks')
    .option('--batches <n>', 'measured batches per fork')
    .option(
      '--record-bytes <size>',
      'exact size of records: 300, 100-4kb (uniform), or 200:70,64kb:30 (sizes with weights)',
    )
    .option('--compressibility <share>', 'share of a record that a compressor can remove, 0 to 1')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--reference <label>', 'the contender that ratios refer to')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--timeout <duration>', 'a step of a fork that takes longer is taken for a hang')
    .option('-o, --out <file>', 'results file (default: results/<time>.jsonl)')
    .option('--html <file>', 'also write a report with charts')
    .option('--force', 'overwrite the results file')
    .option('--resume <file>', 'complete a run that was interrupted')
    .option(
      '--profile <folder>',
      'write a V8 CPU profile per worker and fork; marks the run as not comparable',
    )
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .option('--print-config', 'print each setting with its origin, and stop')
    .option('--dry-run', 'print the plan, and stop')
    .addHelpText(
      'after',
      `
Examples:
  shootout run --quick
  shootout run --storage "fast=file?durability=os,safe=file" --scenario add,update
  shootout run --objects 1,20 --concurrency async:1,threads:4,processes:4 --html report.html
  shootout run --preset relstorage3 --budget 1h`,
    )
    .action(async (flags: RunFlags, command: Command) => {
      process.exitCode = flags.resume === undefined ? await run(flags, command) : await resume(flags, command)
    })
}

/** A list may be given at once, separated by commas, or by repeating the flag. */
function joinLists(value: string, previous: string | undefined): string {
  return previous === undefined ? value : `${previous},${value}`
}

async function run(flags: RunFlags, command: Command): Promise<number> {
  const loaded = await loadConfig(configFlags(flags, command), flags.config, flags.preset)
  if (flags.printConfig) {
    process.stdout.write(`${describeConfig(loaded)}\n`)
    return exitCodes.pass
  }
  const { config, baseFolder } = loaded
  const contenders = await resolveContenders(config.storages, baseFolder)
  const scenarios = await resolveScenarios(config.scenarios, baseFolder)
  const reference = chooseReference(contenders, config.reference)
  const seed = config.seed ?? randomBytes(6).toString('hex')
  const startedAt = new Date().toISOString()
  const stages = stagesOf(config)
  const profileFolder = flags.profile === undefined ? undefined : resolve(flags.profile)
  return measure({
    contenders,
    scenarios,
    plan: (planned) =>
      makePlan({
        contenders: planned,
        scenarios,
        ...gridOf(loaded, planned.filter(({ unavailable }) => unavailable === undefined).length),
        dataset: { recordBytes: config.recordBytes, compressibility: config.compressibility },
        seed,
        forks: stages.forks,
        batches: config.batches,
      }),
    suite: (plan, planned, environment) => ({
      type: 'suite',
      schema: schemaVersion,
      startedAt,
      seed,
      planHash: plan.hash,
      forks: plan.forks,
      ...(stages.budgetNs === undefined ? {} : { budgetNs: stages.budgetNs }),
      ...(stages.precision === undefined ? {} : { precision: stages.precision }),
      batches: plan.batches,
      contenders: planned.map(({ record }) => record),
      settings: plan.settings.map(({ setting }) => setting),
      scenarios: Object.fromEntries(
        scenarios.map(({ url, module }) => [module.name, isBundled(module.name, url) ? module.name : url]),
      ),
      dataset: plan.dataset,
      environment: environment(),
      reference,
      profiled: profileFolder !== undefined,
    }),
    ...(flags.dryRun ? { printPlan: (plan: Plan) => process.stdout.write(describePlan(plan, stages)) } : {}),
    out: config.out ?? resolve('results', `${startedAt.slice(0, 19).replaceAll(':', '-')}.jsonl`),
    force: flags.force === true,
    html: config.html,
    folder: config.folder,
    stepLimitNs: config.timeout,
    ...stages.limits,
    ...(profileFolder === undefined ? {} : { profileFolder }),
  })
}

/** The file says what was to be done; only what does not change the numbers may be given anew. */
async function resume(flags: RunFlags, command: Command): Promise<number> {
  const allowed = ['resume', 'folder', 'timeout', 'html']
  const others = command.options
    .filter(
      (one) =>
        command.getOptionValueSource(one.attributeName()) === 'cli' && !allowed.includes(one.attributeName()),
    )
    .map((one) => one.long)
  if (others.length > 0) {
    throw new UsageError(
      'resume-options',
      `--resume goes on with what the file says; leave out ${others.join(', ')} (--folder, --timeout and --html may be given)`,
    )
  }
  const out = resolve(flags.resume!)
  const results = readResults(out)
  const { suite } = results
  const { config } = await loadConfig(configFlags(flags, command), flags.config)
  const contenders = await resolveContenders(
    suite.contenders.map(({ label, module, options }) => ({ label, storage: module, options })),
  )
  const scenarios = await resolveScenarios(Object.values(suite.scenarios), process.cwd())
  const urls = new Map(scenarios.map(({ url, module }) => [module.name, url]))
  const job: Job = {
    contenders,
    scenarios,
    plan(planned) {
      const lost = planned.filter(({ record, unavailable }) => {
        const measured = results.forks.some((fork) => fork.contender === record.label)
        return unavailable !== undefined && measured
      })
      if (lost.length > 0) {
        const reasons = lost.map(({ record, unavailable }) => `${record.label}: ${unavailable}`)
        throw new UsageError('resume-mismatch', `${out} cannot be completed here: ${reasons.join('; ')}`)
      }
      const plan = planAgain(suite, results.skips, (scenario) => urls.get(scenario)!)
      if (plan.hash === suite.planHash) return plan
      throw new UsageError(
        'resume-mismatch',
        `${out} was planned by another version of shootout (${suite.environment.shootout}); complete it with that one`,
      )
    },
    suite: () => suite,
    past: (plan) => pastOf(plan, suite, results.forks, results.decision),
    out,
    force: false,
    html: config.html,
    folder: config.folder,
    stepLimitNs: config.timeout,
    ...(suite.budgetNs === undefined ? {} : { budgetNs: suite.budgetNs }),
    ...(suite.precision === undefined ? {} : { precision: suite.precision }),
  }
  return measure(job)
}

interface Stages {
  /** Forks of the plan: the number itself, or the most there may be. */
  readonly forks: number
  readonly budgetNs?: number
  readonly precision?: number
  readonly limits: { readonly budgetNs?: number; readonly precision?: number }
}

/** What decides the number of forks: the number, else the precision, else the budget. */
function stagesOf(config: RunConfig): Stages {
  if (config.forks !== undefined) return { forks: config.forks, limits: {} }
  if (config.precision !== undefined) {
    const limits = { precision: config.precision }
    return { forks: precisionForksMax, ...limits, limits }
  }
  const limits = { budgetNs: config.budget }
  return { forks: forkLadder.at(-1)!, ...limits, limits }
}

/** Only what was really given: what is not stays as the config file and the defaults say. */
function configFlags(flags: RunFlags, command: Command): Flags {
  const given = (name: string) => (command.getOptionValueSource(name) === 'cli' ? flags[name] : undefined)
  const ways = ['forks', 'quick', 'rigorous', 'budget', 'precision'].filter(
    (name) => given(name) !== undefined,
  )
  if (ways.length > 1) {
    const [one, other] = ways.map((name) => `--${name}`)
    throw new UsageError('bad-value', `${one} and ${other} both decide the number of forks; give one of them`)
  }
  const preset = flags.quick ? forkLadder[0] : flags.rigorous ? forkLadder.at(-1) : undefined
  return {
    storages: given('storage'),
    scenarios: given('scenario'),
    objects: given('objects'),
    concurrency: given('concurrency'),
    forks: preset ?? given('forks'),
    budget: given('budget'),
    precision: given('precision'),
    batches: given('batches'),
    recordBytes: given('recordBytes'),
    compressibility: given('compressibility'),
    seed: given('seed'),
    reference: given('reference'),
    folder: given('folder'),
    timeout: given('timeout'),
    out: given('out'),
    html: given('html'),
  }
}

/** `headline` and `all` stand for lists; every scenario enters once. */
export async function resolveScenarios(
  wanted: readonly string[],
  baseFolder: string,
): Promise<readonly PlannedScenario[]> {
  const groups: Readonly<Record<string, readonly string[]>> = {
    headline: headlineScenarioNames,
    all: scenarioNames,
  }
  const names = wanted.flatMap((name) => groups[name] ?? [name])
  const urls = new Set(names.map((name) => scenarioUrl(name, baseFolder)))
  return Promise.all([...urls].map(async (url) => ({ url, module: await loadScenarioModule(url) })))
}

function isBundled(name: string, url: string): boolean {
  return scenarioNames.includes(name) && scenarioUrl(name) === url
}

function describePlan(plan: Plan, stages: Stages): string {
  const forks =
    stages.budgetNs !== undefined
      ? `as many forks as fit into ${formatWait(stages.budgetNs)}, up to ${plan.forks}`
      : stages.precision !== undefined
        ? `as many forks as intervals of ±${stages.precision * 100} % need, up to ${plan.forks}`
        : `${plan.forks} forks each`
  const runnable = plan.settings.filter(({ contenders }) => contenders.length > 0)
  const kind = ({ concurrency }: { concurrency: { kind: string; workers: number } }) =>
    `${concurrency.kind}:${concurrency.workers}`
  const lines = [
    `plan ${plan.hash}, seed ${plan.seed}: ${runnable.length} settings, ${forks}, ${plan.batches} batches per fork`,
    '',
    ...runnable.map(
      ({ setting, contenders }) => `${setting.title}, ${kind(setting)}: ${contenders.join(', ')}`,
    ),
    ...(plan.skips.length === 0 ? [] : ['', 'Skipped:']),
    ...plan.skips.map(
      (skip) => `${skip.contender}, ${skip.scenario} ${skip.objects}, ${kind(skip)}: ${skip.reason}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
