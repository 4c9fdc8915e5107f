/** `shootout gate`: is the candidate slower than the baseline? Both are measured now, taking turns. */

import { randomBytes } from 'node:crypto'
import { appendFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { defaultPolicy, withLimits } from '../analysis/gate/policy.ts'
import type { GateReport, OverallVerdict } from '../analysis/gate/report-model.ts'
import { closestName, describeError, ShootoutError, UsageError } from '../core/errors.ts'
import { renderAnnotations } from '../report/annotations.ts'
import { gateLive } from '../report/gate-live.ts'
import { renderGateMarkdown } from '../report/gate-markdown.ts'
import { renderGateTable } from '../report/gate-table.ts'
import { renderJunit } from '../report/junit.ts'
import { openGateJournal } from '../results/gate-journal.ts'
import type { Side } from '../results/gate-schema.ts'
import { defaultRounds } from '../runner/gate/pair-engine.ts'
import { scenarioNames } from '../scenarios/registry.ts'
import { counterNames } from '../storages/storage.ts'
import { openBuild } from './builds.ts'
import { type Flags, loadConfig } from './config.ts'
import { parseContender, type ResolvedContender, resolveContender } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { carryOutGate, type GateJob } from './gate-job.ts'
import { carryOutSaved, isSaved, type SavedJob } from './gate-saved.ts'
import { useColor } from './report.ts'
import { resolveScenarios } from './scenarios.ts'
import { temporaryFolders } from './temporary-folders.ts'

interface GateFlags {
  readonly baseline: string
  readonly candidate?: string
  readonly baselineFrom?: string
  readonly candidateFrom?: string
  readonly tau: string
  readonly delta: string
  readonly rounds: string
  readonly tolerance: readonly string[]
  readonly counters?: 'gate' | 'report'
  readonly allowMismatch: readonly string[]
  readonly onInconclusive: 'fail' | 'pass'
  readonly format: 'table' | 'md' | 'json'
  readonly markdown?: string
  readonly junit?: string
  readonly annotations?: boolean
  readonly force?: boolean
  readonly quarantine: boolean
  readonly explain: boolean
  readonly config?: string
  readonly [flag: string]: unknown
}

/** A required check must be quick: the headline scenarios with one client. */
export const gateDefaults = { concurrency: 'async:1', budget: '10m' } as const

export function registerGate(program: Command): void {
  const repeated = (value: string, others: readonly string[]) => [...others, ...value.split(',')]
  program
    .command('gate')
    .description('prove that a candidate is not slower than a baseline, or that it is')
    .requiredOption(
      '--baseline <contender>',
      '[LABEL=]NAME|./module.js[?option=value&…], or the results of a run, FILE.jsonl',
    )
    .option(
      '--candidate <contender>',
      'the same for what shall not be slower (default, from another build: as baseline)',
    )
    .option(
      '--baseline-from <build>',
      'load the baseline from another build: FOLDER of a built checkout, or package@version',
    )
    .option('--candidate-from <build>', 'the same for the candidate')
    .option('-b, --scenario <list>', 'scenarios: names, headline, all, or ./module.js (default: headline)')
    .option('-n, --objects <list>', 'objects per operation (default: 1,20)')
    .option('-c, --concurrency <list>', `KIND:WORKERS (default: ${gateDefaults.concurrency})`)
    .option('--budget <duration>', `what the gate may take (default: ${gateDefaults.budget})`)
    .option('--tau <share>', 'slowdowns below this do not matter', '2%')
    .option('--delta <share>', 'the slowdown that must be excluded for a pass', '5%')
    .option('--rounds <n>', 'rounds per pair', String(defaultRounds))
    .option('--tolerance <counter=share>', 'what a work counter may grow by; may be repeated', repeated, [])
    .addOption(
      new Option(
        '--counters <use>',
        'whether more counted work fails the gate (default: gate, but report for two different bundled storages)',
      ).choices(['gate', 'report']),
    )
    .option('--allow-mismatch <field>', 'compare although the sides differ in this: durability', repeated, [])
    .addOption(
      new Option('--on-inconclusive <do>', 'exit code where some cells could not be told: 3, or 0')
        .choices(['fail', 'pass'])
        .default('fail'),
    )
    .option('--record-bytes <size>', 'exact size of records: 300, 100-4kb, or 200:70,64kb:30')
    .option('--no-explain', 'do not look at what became slower with a profiler')
    .option('--no-quarantine', 'count blocks, too, that were disturbed from outside')
    .option('--compressibility <share>', 'share of a record that a compressor can remove, 0 to 1')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--timeout <duration>', 'a step of a fork that takes longer is taken for a hang')
    .addOption(new Option('-f, --format <form>', 'form').choices(['table', 'md', 'json']).default('table'))
    .option('--markdown <file>', 'append a summary (default in GitHub Actions: the step summary)')
    .option('--junit <file>', 'write JUnit XML')
    .option('--annotations', 'print GitHub annotations (default in GitHub Actions)')
    .option('-o, --out <file>', 'journal (default: results/gate-<time>.jsonl)')
    .option('--force', 'overwrite the journal')
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .addHelpText(
      'after',
      `
Examples:
  shootout gate --baseline sqlite --candidate "sqlite?cacheBytesLimit=1mb" --scenario cached-read
  shootout gate --baseline ./base/dist/my-storage.js --candidate ./head/dist/my-storage.js --budget 5m
  shootout gate --baseline sqlite --baseline-from ../shootout-main
  shootout gate --baseline results/nightly.jsonl --candidate sqlite
  shootout gate --baseline ./dist/storage.js --baseline-from my-storage@1.4.0 --candidate ./dist/storage.js

Exit codes: 0 proven not slower, 1 a regression is proven, 3 could not tell, 4 cells failed or nothing was measured,
5 the sides cannot be compared.`,
    )
    .action(async (flags: GateFlags, command: Command) => {
      process.exitCode = await gate(flags, command)
    })
}

async function gate(flags: GateFlags, command: Command): Promise<number> {
  const installs = temporaryFolders()
  try {
    if (!isSaved(flags.baseline)) return await carryOut(await prepare(flags, command, installs.make), flags)
    const report = await carryOutSaved(await prepareSaved(flags, command, installs.make))
    await print(report, flags)
    return exitCodeOf(report, flags.onInconclusive)
  } catch (error) {
    const code = error instanceof ShootoutError ? refusals[error.code] : undefined
    if (code === undefined) throw error
    process.stderr.write(`shootout: ${describeError(error)}\n`)
    return code
  } finally {
    await installs.remove()
  }
}

async function carryOut(job: GateJob, flags: GateFlags): Promise<number> {
  const journal = openGateJournal(job.out, { force: flags.force === true })
  const live = gateLive(process.stderr, {
    tty: process.stderr.isTTY === true,
    color: useColor(process.stderr),
  })
  try {
    const report = await carryOutGate(job, journal, live)
    live.close()
    const code = exitCodeOf(report, flags.onInconclusive)
    journal.append({
      type: 'end',
      endedAt: new Date().toISOString(),
      outcome: report.interrupted ? 'interrupted' : 'completed',
      exitCode: code,
      elapsedNs: report.elapsedNs,
    })
    await print(report, flags)
    return code
  } finally {
    live.close()
    journal.close()
  }
}

/** Errors that say something else than "wrong usage". */
const refusals: Readonly<Record<string, number>> = {
  'not-comparable': exitCodes.baseline,
  'other-contract': exitCodes.baseline,
  'baseline-missing': exitCodes.baseline,
  'nothing-to-measure': exitCodes.incomplete,
}

/** Limits and counters mean the same; the cells are those of the file, as far as they are wanted. */
async function prepareSaved(
  flags: GateFlags,
  command: Command,
  newFolder: () => Promise<string>,
): Promise<SavedJob> {
  if (flags.candidate === undefined || flags.baselineFrom !== undefined) {
    throw new UsageError('missing-option', 'a saved baseline needs --candidate, and has no --baseline-from')
  }
  const given = withDefaults(flags, command)
  const { config, baseFolder, origins } = await loadConfig(given, flags.config)
  const from = flags.candidateFrom
  const build = from === undefined ? undefined : await openBuild(from, newFolder)
  const candidate = await resolveContender(parseContender(flags.candidate), process.cwd(), build)
  const isGiven = (key: 'scenarios' | 'objects') => origins[key] !== 'default'
  const scenarios = isGiven('scenarios') ? await resolveScenarios(config.scenarios, baseFolder) : undefined
  const seed = config.seed ?? randomBytes(6).toString('hex')
  return {
    baseline: flags.baseline,
    name: flags.candidate,
    candidate,
    only: {
      scenarios: scenarios?.map(({ module }) => module.name),
      objects: isGiven('objects') ? config.objects : undefined,
      concurrency: command.getOptionValueSource('concurrency') === 'cli' ? config.concurrency : undefined,
    },
    dataset: {
      ...(given.recordBytes === undefined ? {} : { recordBytes: config.recordBytes }),
      ...(given.compressibility === undefined ? {} : { compressibility: config.compressibility }),
    },
    folder: config.folder,
    timeoutNs: config.timeout,
    policy: withLimits(defaultPolicy, {
      tau: shareOf('--tau', flags.tau),
      delta: shareOf('--delta', flags.delta),
    }),
    tolerances: flags.counters === 'report' ? undefined : tolerancesOf(flags.tolerance),
    allowed: flags.allowMismatch,
    seed,
    again: commandAgain(seed),
    out: config.out ?? defaultJournal(),
    force: flags.force === true,
    scratch: await newFolder(),
  }
}

function defaultJournal(): string {
  return resolve('results', `gate-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.jsonl`)
}

async function prepare(
  flags: GateFlags,
  command: Command,
  newFolder: () => Promise<string>,
): Promise<GateJob> {
  const loaded = await loadConfig(withDefaults(flags, command), flags.config)
  const { config } = loaded
  const candidateText = flags.candidate ?? sameStorage(flags)
  const side = async (label: Side, text: string, from: string | undefined) =>
    resolveContender(
      { ...parseContender(text), label },
      process.cwd(),
      from === undefined ? undefined : await openBuild(from, newFolder),
    )
  const contenders = [
    await side('baseline', flags.baseline, flags.baselineFrom),
    await side('candidate', candidateText, flags.candidateFrom),
  ]
  const policy = withLimits(defaultPolicy, {
    tau: shareOf('--tau', flags.tau),
    delta: shareOf('--delta', flags.delta),
  })
  const scenarios = await resolveScenarios(config.scenarios, loaded.baseFolder)
  const limits = new Map(Object.entries(config.gateLimits))
  for (const [scenario, own] of limits) {
    const names = [...scenarioNames, ...scenarios.map(({ module }) => module.name)]
    if (!names.includes(scenario)) {
      const closest = closestName(scenario, names)
      throw new UsageError(
        'unknown-scenario',
        `gateLimits: there is no scenario "${scenario}"${closest === undefined ? '' : `; did you mean "${closest}"?`}`,
      )
    }
    withLimits(policy, own, `gateLimits of ${scenario}: `)
  }
  const [baseline, candidate] = contenders
  const areDifferent =
    baseline!.storage !== candidate!.storage &&
    baseline!.source === baseline!.storage &&
    candidate!.source === candidate!.storage
  const counters = flags.counters ?? (areDifferent ? 'report' : 'gate')
  for (const field of flags.allowMismatch) {
    if (field !== 'durability')
      throw new UsageError(
        'unknown-field',
        `--allow-mismatch: "${field}" is not compared; only durability is`,
      )
  }
  const seed = config.seed ?? randomBytes(6).toString('hex')
  return {
    contenders,
    names: {
      baseline: nameOf(flags.baseline, contenders[0]!),
      candidate: nameOf(candidateText, contenders[1]!),
    },
    scenarios,
    config,
    seed,
    policy,
    limits,
    rounds: wholeNumber('--rounds', flags.rounds),
    tolerances: counters === 'gate' ? tolerancesOf(flags.tolerance) : undefined,
    keepsDisturbed: !flags.quarantine,
    explains: flags.explain,
    allowUnequalDurability: flags.allowMismatch.includes('durability'),
    again: commandAgain(seed),
    out: config.out ?? defaultJournal(),
  }
}

/** The same storage from another build is what changed; everything else needs to be said. */
function sameStorage({ baseline, baselineFrom, candidateFrom }: GateFlags): string {
  if (baselineFrom === undefined && candidateFrom === undefined) {
    throw new UsageError('missing-option', 'name what shall not be slower: --candidate NAME or ./module.js')
  }
  return baseline
}

function nameOf(given: string, { build }: ResolvedContender): string {
  return build === undefined ? given : `${given} of ${build}`
}

/** Flags that were given; where nobody said anything, not even the config file, the gate's own defaults. */
function withDefaults(flags: GateFlags, command: Command): Flags {
  const given = (name: string) => (command.getOptionValueSource(name) === 'cli' ? flags[name] : undefined)
  return {
    scenarios: given('scenario'),
    objects: given('objects'),
    concurrency: given('concurrency') ?? gateDefaults.concurrency,
    budget: given('budget') ?? gateDefaults.budget,
    recordBytes: given('recordBytes'),
    compressibility: given('compressibility'),
    seed: given('seed'),
    folder: given('folder'),
    timeout: given('timeout'),
    out: given('out'),
  }
}

/** The whole command once more, with the seed in it. */
function commandAgain(seed: string): string {
  const given = process.argv.slice(2)
  const quoted = given.map((word) =>
    /^[\w./:=,%@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  )
  return `shootout ${quoted.join(' ')}${given.includes('--seed') ? '' : ` --seed ${seed}`}`
}

/** `5%` or `0.05`. @throws UsageError `bad-value` */
export function shareOf(flag: string, text: string): number {
  const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text)
  if (text.trim() === '' || !(value >= 0 && value < 10)) {
    throw new UsageError('bad-value', `${flag}: "${text}" is not a share; write it 5% or 0.05`)
  }
  return value
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1 || value > 1000) {
    throw new UsageError('bad-value', `${flag}: "${text}" is not an integer from 1 to 1000`)
  }
  return value
}

function tolerancesOf(given: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = '', value = ''] = text.split('=')
      if (!(counterNames as readonly string[]).includes(name)) {
        const closest = closestName(name, counterNames)
        throw new UsageError(
          'bad-value',
          `--tolerance: there is no counter "${name}"; ${closest === undefined ? `there are ${counterNames.join(', ')}` : `did you mean "${closest}"?`}`,
        )
      }
      return [name, shareOf('--tolerance', value)]
    }),
  )
}

const codes: Readonly<Record<OverallVerdict, number>> = {
  pass: exitCodes.pass,
  fail: exitCodes.regression,
  inconclusive: exitCodes.inconclusive,
  failed: exitCodes.incomplete,
  nothing: exitCodes.incomplete,
}

/** What could not be told passes only where it was asked for, and never when nothing at all has passed. */
export function exitCodeOf(report: GateReport, onInconclusive: 'fail' | 'pass'): number {
  if (report.verdict === 'fail') return exitCodes.regression
  if (report.interrupted) return exitCodes.interrupted
  const hasPassed = report.cells.some(({ verdict }) => verdict === 'pass')
  if (report.verdict === 'inconclusive' && onInconclusive === 'pass' && hasPassed) return exitCodes.pass
  return codes[report.verdict]
}

async function print(report: GateReport, flags: GateFlags): Promise<void> {
  const { env, stdout } = process
  if (flags.format === 'json') stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else if (flags.format === 'md') stdout.write(renderGateMarkdown(report))
  else stdout.write(renderGateTable(report, { width: stdout.columns ?? 120, color: useColor(stdout) }))

  const isAction = env['GITHUB_ACTIONS'] === 'true'
  // Annotations are commands on standard output; in the other forms they would spoil the document.
  if (flags.annotations ?? (isAction && flags.format === 'table')) stdout.write(renderAnnotations(report))
  const summary = flags.markdown ?? (isAction ? env['GITHUB_STEP_SUMMARY'] : undefined)
  if (summary !== undefined) await write(summary, () => appendFile(summary, renderGateMarkdown(report)))
  const junit = flags.junit
  if (junit !== undefined) await write(junit, () => writeFile(junit, renderJunit(report)))
}

async function write(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (cause) {
    throw new UsageError(
      'report-unwritable',
      `the report cannot be written to ${path}: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}
