/** `shootout run`: from arguments and config file to a job; also completes or repeats the run of a results file. */

import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { counted, formatWait } from '../core/units.ts'
import { schemaVersion } from '../results/schema.ts'
import { makePlan, type Plan } from '../runner/plan.ts'
import { forkLadder, precisionForksMax, warmupPilots } from '../runner/stages.ts'
import { scenarioNames, scenarioUrl } from '../scenarios/registry.ts'
import { gridOf, loadConfig, presets, type RunConfig } from './config.ts'
import { chooseReference, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { joinLists } from './lists.ts'
import { measure } from './measure.ts'
import { describeConfig } from './print-config.ts'
import { replay, resume } from './run-again.ts'
import { configFlags, defaultOut, type RunFlags } from './run-flags.ts'
import { resolveScenarios } from './scenarios.ts'

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
    .option('--compressibility <share>', 'share of a record that a compressor can remove: 50%, 0.5')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--reference <label>', 'the contender that ratios refer to')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--timeout <duration>', 'a step of a fork that takes longer is taken for a hang')
    .option('-o, --out <file>', 'results file (default: results/<time>.jsonl)')
    .option('--html <file>', 'also write a report with charts')
    .option('--force', 'overwrite the results file')
    .option('--resume <file>', 'complete a run that was interrupted')
    .option('--plan <file>', 'repeat the run of a results file, or what --dry-run --out wrote')
    .option(
      '--profile <folder>',
      'write a V8 CPU profile per worker and fork; marks the run as not comparable',
    )
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .option('--print-config', 'print each setting with its origin, and stop')
    .option('--dry-run', 'print the plan, and stop; with --out, also write it as a file for --plan')
    .addHelpText(
      'after',
      `
Examples:
  shootout run --quick
  shootout run --storage "fast=file?durability=os,safe=file" --scenario update
  shootout run --objects 1,20 --concurrency async:1,threads:4 --html report.html
  shootout run --preset relstorage3 --budget 1h`,
    )
    .action(async (flags: RunFlags, command: Command) => {
      const how = flags.resume !== undefined ? resume : flags.plan !== undefined ? replay : run
      process.exitCode = await how(flags, command)
    })
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
    ...(flags.dryRun
      ? {
          printPlan: (plan: Plan) => process.stdout.write(describePlan(plan, stages)),
          savePlan: config.out !== undefined,
        }
      : {}),
    out: config.out ?? defaultOut(startedAt),
    force: flags.force === true,
    html: config.html,
    folder: config.folder,
    stepLimitNs: config.timeout,
    pilots: warmupPilots(stages.forks, stages.budgetNs !== undefined),
    ...stages.limits,
    ...(profileFolder === undefined ? {} : { profileFolder }),
  })
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

function isBundled(name: string, url: string): boolean {
  return scenarioNames.includes(name) && scenarioUrl(name) === url
}

function describePlan(plan: Plan, stages: Stages): string {
  const forks =
    stages.budgetNs !== undefined
      ? `as many forks as fit into ${formatWait(stages.budgetNs)}, up to ${plan.forks}`
      : stages.precision !== undefined
        ? `as many forks as intervals of ±${stages.precision * 100} % need, up to ${plan.forks}`
        : `${counted(plan.forks, 'fork')} each`
  const runnable = plan.settings.filter(({ contenders }) => contenders.length > 0)
  const cellsByReason = new Map<string, number>()
  for (const { reason } of plan.skips) cellsByReason.set(reason, (cellsByReason.get(reason) ?? 0) + 1)
  const lines = [
    `plan ${plan.hash}, seed ${plan.seed}: ${counted(runnable.length, 'setting')}, ${forks}, ${plan.batches} batches per fork`,
    '',
    ...runnable.map(
      ({ setting: { title, concurrency }, contenders }) =>
        `${title}, ${concurrency.kind}:${concurrency.workers}: ${contenders.join(', ')}`,
    ),
    ...(cellsByReason.size === 0 ? [] : ['', 'Skipped:']),
    ...[...cellsByReason].map(([reason, cells]) => `${counted(cells, 'cell')}: ${reason}`),
  ]
  return `${lines.join('\n')}\n`
}
