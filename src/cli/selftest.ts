/**
 * `shootout selftest`: is the gate right on this machine? Whole gates with a known truth: equal sides, and a candidate
 * that does more work. What it finds goes into a certificate.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { type Certificate, type CountedTrial, certify, type Trial } from '../analysis/gate/certificate.ts'
import { compareCounters } from '../analysis/gate/counters.ts'
import { defaultPolicy } from '../analysis/gate/policy.ts'
import { systemClock } from '../core/clock.ts'
import { ShootoutError, UsageError } from '../core/errors.ts'
import { Random } from '../core/random.ts'
import { parseDuration } from '../core/units.ts'
import { renderBadge, renderCertificate } from '../report/certificate.ts'
import { percentText } from '../report/phrases.ts'
import { type GateJournal, openGateJournal } from '../results/gate-journal.ts'
import type { GateHeader } from '../results/gate-schema.ts'
import { defaultRounds } from '../runner/gate/pair-engine.ts'
import { SideFailure } from '../runner/gate/side.ts'
import { loadConfig } from './config.ts'
import { parseContender, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { type GateBench, type GateJob, withBench } from './gate-job.ts'
import { runSession } from './gate-session.ts'
import { useColor } from './report.ts'
import { resolveScenarios } from './scenarios.ts'

interface SelftestFlags {
  readonly storage: readonly string[]
  readonly scenario: string
  readonly objects: string
  readonly quick?: boolean
  readonly budget?: string
  readonly seed?: string
  readonly folder?: string
  readonly out?: string
  readonly force?: boolean
}

/** Gates per storage, by how much more the candidate does. */
const quickGates = new Map([
  [0, 3],
  [0.05, 2],
  [0.1, 1],
])
const allGates = new Map([
  [0, 20],
  [0.02, 5],
  [0.05, 10],
  [0.1, 10],
  [0.2, 5],
])

/** In counting: one more operation in 25, records a tenth larger, a flush to disk per commit. */
const countedBurdens = {
  nothing: { operations: 0, recordBytes: 0 },
  operations: { operations: 0.04, recordBytes: 0 },
  'record bytes': { operations: 0, recordBytes: 0.1 },
  sync: { operations: 0, recordBytes: 0, extraSync: true },
} as const

/** The scenario in which commits are counted. */
const committing = 'update'

export function registerSelftest(program: Command): void {
  program
    .command('selftest')
    .description('prove that the gate raises no false alarm on this machine and finds what it should')
    .option(
      '-s, --storage <list>',
      'storages to try it with (default: memory,sqlite)',
      (value: string, others: readonly string[]) => [...others, ...value.split(',')],
      [],
    )
    .option('-b, --scenario <name>', 'the scenario to try it with', 'cold-read')
    .option('-n, --objects <n>', 'objects per operation', '20')
    .option('--quick', 'a few gates, for a first impression')
    .option('--budget <duration>', 'no gate begins after this (default: 2h, with --quick 6m)')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option(
      '-o, --out <file>',
      'certificate; a badge and the journal lie beside it (default: results/selftest-<time>.json)',
    )
    .option('--force', 'overwrite the certificate')
    .action(async (flags: SelftestFlags) => {
      process.exitCode = await selftest(flags)
    })
}

/** What grows while the trials go on. */
interface Progress {
  readonly trials: Trial[]
  readonly counted: CountedTrial[]
  header: GateHeader | undefined
  isInterrupted: boolean
}

async function selftest(flags: SelftestFlags): Promise<number> {
  const seed = flags.seed ?? randomBytes(6).toString('hex')
  const startedAt = new Date().toISOString()
  const out = resolve(flags.out ?? `results/selftest-${startedAt.slice(0, 19).replaceAll(':', '-')}.json`)
  if (!out.endsWith('.json')) throw new UsageError('bad-value', `--out: ${out} does not end in .json`)
  const beside = (ending: string) => out.replace(/\.json$/, ending)
  const budgetNs = parseDuration(flags.budget ?? (flags.quick ? '6m' : '2h'))
  const deadlineNs = systemClock.monotonicNs() + budgetNs
  const journal = openGateJournal(beside('.jsonl'), { force: flags.force === true })
  const progress: Progress = { trials: [], counted: [], header: undefined, isInterrupted: false }
  try {
    for (const storage of flags.storage.length === 0 ? ['memory', 'sqlite'] : flags.storage) {
      if (progress.isInterrupted) break
      const job = await jobFor(storage, flags, seed, out)
      await withBench(job, (bench) => tryStorage(storage, flags, job, bench, journal, progress, deadlineNs))
    }
  } finally {
    journal.close()
  }
  if (progress.header === undefined) {
    throw new ShootoutError('nothing-to-measure', 'no storage could be tried; name others with --storage')
  }
  const { environment, policy } = { ...progress.header, policy: defaultPolicy }
  const certificate = certify({ startedAt, seed, environment, policy }, progress.trials, progress.counted)
  await mkdir(dirname(out), { recursive: true })
  await writeFile(out, `${JSON.stringify(certificate, null, 2)}\n`)
  await writeFile(beside('.svg'), renderBadge(certificate))
  const { stdout } = process
  stdout.write(renderCertificate(certificate, { width: stdout.columns ?? 120, color: useColor(stdout) }))
  stdout.write(`\nCertificate: ${out}\nBadge:       ${beside('.svg')}\nJournal:     ${beside('.jsonl')}\n`)
  return progress.isInterrupted ? exitCodes.interrupted : codes[certificate.verdict]
}

const codes: Readonly<Record<Certificate['verdict'], number>> = {
  proven: exitCodes.pass,
  undecided: exitCodes.inconclusive,
  missed: exitCodes.regression,
  broken: exitCodes.regression,
}

async function jobFor(storage: string, flags: SelftestFlags, seed: string, out: string): Promise<GateJob> {
  const { config, baseFolder } = await loadConfig(
    { scenarios: flags.scenario, objects: flags.objects, concurrency: 'async:1', folder: flags.folder },
    undefined,
  )
  const request = parseContender(storage)
  const scenarios = await resolveScenarios([...config.scenarios, committing], baseFolder)
  if (config.scenarios.length !== 1 || config.objects.length !== 1) {
    throw new UsageError('bad-value', 'selftest tries one scenario with one number of objects')
  }
  return {
    contenders: await resolveContenders(
      [
        { ...request, label: 'baseline' },
        { ...request, label: 'candidate' },
      ],
      process.cwd(),
    ),
    names: { baseline: storage, candidate: storage },
    scenarios,
    config,
    seed,
    policy: defaultPolicy,
    rounds: defaultRounds,
    tolerances: undefined,
    allowUnequalDurability: false,
    again: '',
    out,
  }
}

function unusable(storage: string, { line: { error, step } }: SideFailure): never {
  throw new ShootoutError(
    'nothing-to-measure',
    `${storage} cannot be tried: ${error.message} (${step}, ${error.code}); try another storage or scenario`,
  )
}

async function tryStorage(
  storage: string,
  flags: SelftestFlags,
  job: GateJob,
  bench: GateBench,
  journal: GateJournal,
  progress: Progress,
  deadlineNs: number,
): Promise<void> {
  const { header, tasks, failures, signal, sentinel } = bench
  const say = (text: string) => process.stderr.write(`${storage}: ${text}\n`)
  const task = tasks[0]!
  const { scenario } = task.setting
  progress.header ??= header
  journal.append(header)

  for (const [extra, burden] of Object.entries(countedBurdens)) {
    const counting = extra === 'sync' ? tasks.find(({ setting }) => setting.scenario === committing)! : task
    const line = await bench
      .engine(`${job.seed}/count`, burden)
      .countWork(counting)
      .catch((error: unknown) => {
        // An interruption, too, ends the forks, and then there is nothing to report.
        if (!(error instanceof SideFailure)) throw error
        return signal.aborted ? undefined : unusable(storage, error)
      })
    if (line === undefined) {
      progress.isInterrupted = true
      return
    }
    journal.append(line)
    const { changes } = compareCounters(line, {})
    const grown = changes.filter(({ effect }) => effect === 'more')
    const isRight =
      extra === 'nothing'
        ? changes.length === 0
        : extra === 'sync'
          ? grown.length === 1 && grown[0]!.name === 'syncs'
          : grown.length > 0
    progress.counted.push({
      storage,
      scenario: counting.setting.scenario,
      extra: extra as CountedTrial['extra'],
      changes,
      isRight,
    })
    say(`counting, extra ${extra}: ${isRight ? 'as expected' : 'WRONG'}`)
  }

  const gates = [...(flags.quick ? quickGates : allGates)].flatMap(([extra, count]) =>
    Array.from({ length: count }, () => extra),
  )
  const order = new Random(job.seed).split('trials', storage).shuffled(gates)
  for (const [number, extra] of order.entries()) {
    const remainingNs = deadlineNs - systemClock.monotonicNs()
    if (signal.aborted || remainingNs <= 0) break
    const seed = `${job.seed}/${number}`
    const { cells, elapsedNs } = await runSession({
      tasks: [task],
      failures,
      engine: bench.engine(seed, { operations: extra, recordBytes: 0 }),
      policy: job.policy,
      budgetNs: remainingNs,
      seed,
      tolerances: undefined,
      journal,
      signal,
      sentinel,
      progress: { counted: () => {}, block: () => {}, failed: (_, { error }) => say(error.message) },
    })
    if (signal.aborted) break
    const { verdict, ground, evidence, pairs } = cells[0]!
    const { ratio, interval } = evidence ?? { ratio: undefined, interval: undefined }
    progress.trials.push({ storage, scenario, extra, verdict, ground, ratio, interval, pairs, elapsedNs })
    say(
      `gate ${number + 1} of ${order.length}, ${percentText(extra)} more work: ${verdict}, ${pairs} pairs${ratio === undefined ? '' : `, measured ${(100 * (ratio - 1)).toFixed(1)} %`}`,
    )
    // It stays in the certificate as undecided: leaving out what took long would flatter.
    if (ground === 'budget') break
  }
  progress.isInterrupted = signal.aborted
}
