/** `shootout run`: configuration → plan → measuring → results file → table. */

import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { analyse } from '../analysis/analyse.ts'
import { UsageError } from '../core/errors.ts'
import { formatWait } from '../core/units.ts'
import { liveReporter } from '../report/live.ts'
import { readResults } from '../results/reader.ts'
import type { Reporter } from '../results/reporter.ts'
import { type SuiteLine, schemaVersion } from '../results/schema.ts'
import { openResultsWriter } from '../results/writer.ts'
import { carryOut, nothingToMeasure } from '../runner/coordinator.ts'
import { readEnvironment } from '../runner/environment.ts'
import { makePlan, type Plan, type PlannedScenario } from '../runner/plan.ts'
import { openWorkspace } from '../runner/workspace.ts'
import {
  headlineScenarioNames,
  loadScenarioModule,
  scenarioNames,
  scenarioUrl,
} from '../scenarios/registry.ts'
import { describeConfig, type Flags, type LoadedConfig, loadConfig, type RunConfig } from './config.ts'
import { chooseReference, provisionAll, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { printTable, writeHtml } from './report.ts'

/** Numbers of forks for which the order-statistic interval's level is only just above 95 %. */
const forkLadder = [6, 9, 12, 15, 17, 20]

interface RunFlags {
  readonly config?: string
  readonly quick?: boolean
  readonly rigorous?: boolean
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly printConfig?: boolean
  readonly [flag: string]: unknown
}

export function registerRun(program: Command): void {
  program
    .command('run')
    .description('measure storages and print a comparison')
    .option('-s, --storage <list>', 'contenders: [LABEL=]NAME|./module.js[?option=value&…], comma-separated')
    .option('-b, --scenario <list>', 'scenarios: names, headline, all, or ./module.js')
    .option('-n, --objects <list>', 'objects per operation')
    .option('-c, --concurrency <list>', 'KIND:WORKERS; kinds are async, threads, processes')
    .option('--forks <n>', 'forks per cell: fresh workers and a fresh store each; the n of every interval')
    .option('--quick', '6 forks per cell')
    .option('--rigorous', '20 forks per cell')
    .option('--budget <duration>', 'what the run may take; decides the number of forks', '4m')
    .option('--batches <n>', 'measured batches per fork')
    .option('--record-bytes <size>', 'exact size of each record')
    .option('--compressibility <share>', 'share of a record that a compressor can remove, 0 to 1')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--reference <label>', 'the contender that ratios refer to')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--timeout <duration>', 'a step of a fork that takes longer is taken for a hang')
    .option('-o, --out <file>', 'results file (default: results/<time>.jsonl)')
    .option('--html <file>', 'also write a report with charts')
    .option('--force', 'overwrite the results file')
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .option('--print-config', 'print each setting with its origin, and stop')
    .option('--dry-run', 'print the plan, and stop')
    .addHelpText(
      'after',
      `
Examples:
  shootout run --quick
  shootout run --storage "fast=file?durability=os,safe=file" --scenario add,update
  shootout run --objects 1,20 --concurrency async:1,threads:4,processes:4 --html report.html`,
    )
    .action(async (flags: RunFlags, command: Command) => {
      process.exitCode = await run(flags, command)
    })
}

async function run(flags: RunFlags, command: Command): Promise<number> {
  const loaded = await loadConfig(configFlags(flags, command), flags.config)
  if (flags.printConfig) {
    process.stdout.write(`${describeConfig(loaded)}\n`)
    return exitCodes.pass
  }
  const { config, baseFolder } = loaded
  const contenders = await resolveContenders(config.storages, baseFolder)
  const scenarios = await resolveScenarios(config.scenarios, baseFolder)
  const reference = chooseReference(contenders, config.reference)
  const out =
    config.out ?? resolve('results', `${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.jsonl`)
  const seed = config.seed ?? randomBytes(6).toString('hex')
  const warn = (message: string) => process.stderr.write(`${message}\n`)

  const workspace = await openWorkspace(config.folder, warn)
  const stopping = new AbortController()
  const onSignal = () => stopping.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    const provisioned = await provisionAll(contenders, workspace, warn)
    try {
      const plan = makePlan({
        contenders: provisioned.planned,
        scenarios,
        objects: config.objects,
        concurrency: config.concurrency,
        dataset: { recordBytes: config.recordBytes, compressibility: config.compressibility },
        seed,
        forks: config.forks ?? forkLadder.at(-1)!,
        batches: config.batches,
      })
      if (flags.dryRun) {
        process.stdout.write(describePlan(plan, config))
        return exitCodes.pass
      }
      if (plan.settings.length === 0)
        throw nothingToMeasure(plan.skips.map((skip) => `${skip.contender}: ${skip.reason}`))
      const suite: SuiteLine = {
        type: 'suite',
        schema: schemaVersion,
        startedAt: new Date().toISOString(),
        seed,
        planHash: plan.hash,
        forks: plan.forks,
        ...(config.forks === undefined ? { budgetNs: config.budget } : {}),
        batches: plan.batches,
        contenders: provisioned.planned.map(({ record }) => record),
        settings: plan.settings.map(({ setting }) => setting),
        dataset: plan.dataset,
        environment: readEnvironment(workspace.folder),
        reference,
        profiled: false,
      }
      const writer = openResultsWriter(out, { force: flags.force === true })
      const reporter = allOf([
        writer,
        liveReporter(process.stderr, { tty: process.stderr.isTTY, color: useColor(process.stderr) }),
      ])
      reporter.onSuite?.(suite)
      const outcome = await carryOut({
        plan,
        contenders: provisioned.running,
        scenarios: new Map(scenarios.map(({ url, module }) => [url, module])),
        reporter,
        signal: stopping.signal,
        stepLimitNs: config.timeout,
        ...(config.forks === undefined ? { budgetNs: config.budget } : {}),
        forkLadder,
      })
      await reporter.close?.()
      const analysis = analyse(readResults(out), {})
      printTable(analysis)
      if (config.html !== undefined) await writeHtml(analysis, config.html)
      process.stdout.write(`\nResults: ${out} (${formatWait(outcome.end.elapsedNs)})\n`)
      process.stdout.write(`Again:   shootout report ${out}\n`)
      if (stopping.signal.aborted) return exitCodes.interrupted
      return outcome.failedForks > 0 || outcome.completedForks === 0 ? exitCodes.incomplete : exitCodes.pass
    } finally {
      await provisioned.dispose()
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await workspace.remove()
  }
}

/** Only what was really given: commander's own defaults stand in the help, not in the configuration. */
function configFlags(flags: RunFlags, command: Command): Flags {
  const given = (name: string) => (command.getOptionValueSource(name) === 'cli' ? flags[name] : undefined)
  if (flags.quick && flags.rigorous)
    throw new UsageError('bad-value', '--quick and --rigorous exclude each other')
  const preset = flags.quick ? 6 : flags.rigorous ? 20 : undefined
  if (preset !== undefined && given('forks') !== undefined) {
    throw new UsageError('bad-value', '--forks says how many; leave out --quick and --rigorous')
  }
  return {
    storages: given('storage'),
    scenarios: given('scenario'),
    objects: given('objects'),
    concurrency: given('concurrency'),
    forks: preset ?? given('forks'),
    budget: given('budget'),
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
async function resolveScenarios(
  wanted: readonly string[],
  baseFolder: string,
): Promise<readonly PlannedScenario[]> {
  const groups: Readonly<Record<string, readonly string[]>> = {
    headline: headlineScenarioNames,
    all: scenarioNames,
  }
  const urls = new Set(
    wanted.flatMap((name) => groups[name] ?? [name]).map((name) => scenarioUrl(name, baseFolder)),
  )
  return Promise.all([...urls].map(async (url) => ({ url, module: await loadScenarioModule(url) })))
}

/** One reporter that tells all. */
function allOf(reporters: readonly Reporter[]): Reporter {
  return {
    onSuite: (line) => reporters.forEach((one) => void one.onSuite?.(line)),
    onProgress: (progress) => reporters.forEach((one) => void one.onProgress?.(progress)),
    onFork: (line) => reporters.forEach((one) => void one.onFork?.(line)),
    onSkip: (line) => reporters.forEach((one) => void one.onSkip?.(line)),
    onLog: (message) => reporters.forEach((one) => void one.onLog?.(message)),
    onEnd: (line) => reporters.forEach((one) => void one.onEnd?.(line)),
    close: async () => {
      for (const one of reporters) await one.close?.()
    },
  }
}

/** Colour where a person looks, unless they said otherwise. */
export function useColor(stream: { readonly isTTY?: boolean }): boolean {
  if (process.env['NO_COLOR'] !== undefined && process.env['NO_COLOR'] !== '') return false
  if (process.env['FORCE_COLOR'] !== undefined && process.env['FORCE_COLOR'] !== '0') return true
  return stream.isTTY === true
}

function describePlan(plan: Plan, config: LoadedConfig['config']): string {
  const forks =
    config.forks === undefined
      ? `as many as fit into ${formatWait(config.budget)}, up to ${plan.forks}`
      : String(plan.forks)
  const lines = [
    `plan ${plan.hash}, seed ${plan.seed}: ${plan.settings.length} settings, ${forks} forks each, ${plan.batches} batches per fork`,
    '',
    ...plan.settings.map(
      ({ setting, contenders }) =>
        `${setting.title}, ${setting.concurrency.kind}:${setting.concurrency.workers}: ${contenders.join(', ')}`,
    ),
    ...(plan.skips.length === 0 ? [] : ['', 'Skipped:']),
    ...plan.skips.map(
      (skip) =>
        `${skip.contender}, ${skip.scenario} ${skip.objects}, ${skip.concurrency.kind}:${skip.concurrency.workers}: ${skip.reason}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}

export type { RunConfig }
