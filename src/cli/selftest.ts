/**
 * `shootout selftest`: is the gate right on this machine? Whole gates with a known truth: equal sides, a candidate that
 * does more work, a machine that is disturbed, nothing to measure, and a kill. What it finds goes into a certificate.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import {
  type Certificate,
  type ConductTrial,
  type CountedTrial,
  certify,
  type Trial,
} from '../analysis/gate/certificate.ts'
import { defaultPolicy } from '../analysis/gate/policy.ts'
import { systemClock } from '../core/clock.ts'
import { ShootoutError, UsageError } from '../core/errors.ts'
import { Random } from '../core/random.ts'
import { formatWait } from '../core/units.ts'
import { renderBadge, renderCertificate } from '../report/certificate.ts'
import { percentText } from '../report/phrases.ts'
import { type GateJournal, openGateJournal } from '../results/gate-journal.ts'
import { defaultRounds } from '../runner/gate/pair-engine.ts'
import { SideFailure } from '../runner/gate/side.ts'
import { loadConfig } from './config.ts'
import { outputStyle } from './console.ts'
import { parseContender, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { durationOf } from './flag-values.ts'
import { commandAgain } from './gate-flags.ts'
import { type GateBench, type GateJob, withBench } from './gate-job.ts'
import { joinLists, splitList } from './lists.ts'
import { resolveScenarios } from './scenarios.ts'
import { tryKills, tryVacuities } from './selftest/conduct.ts'
import { type Arm, interleaved, wantedArms } from './selftest/schedule.ts'
import { committing, SubjectUnderTest } from './selftest/subject.ts'

interface SelftestFlags {
  readonly storage?: string
  readonly scenario?: string
  readonly objects: string
  readonly quick?: boolean
  readonly budget?: string
  readonly seed?: string
  readonly folder?: string
  readonly out?: string
  readonly force?: boolean
}

/** The file storage is about its flush to disk; the others are tried where nothing waits. */
const scenarioOf = (storage: string) => (storage === 'file' ? 'update' : 'cold-read')

export function registerSelftest(program: Command): void {
  program
    .command('selftest')
    .description('prove that the gate raises no false alarm on this machine and finds what it should')
    .option('-s, --storage <list>', 'storages to try it with (default: memory,sqlite)', joinLists)
    .option('-b, --scenario <name>', 'the scenario to try it with (default: cold-read, for file update)')
    .option('-n, --objects <n>', 'objects per operation', '20')
    .option('--quick', 'a few gates, for a first impression')
    .option('--budget <duration>', 'no gate begins after this (default: 40m, with --quick 5m)')
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
  readonly conduct: ConductTrial[]
  readonly untried: string[]
}

async function selftest(flags: SelftestFlags): Promise<number> {
  const seed = flags.seed ?? randomBytes(6).toString('hex')
  const startNs = systemClock.monotonicNs()
  const startedAt = new Date().toISOString()
  const out = resolve(flags.out ?? `results/selftest-${startedAt.slice(0, 19).replaceAll(':', '-')}.json`)
  if (!out.endsWith('.json')) throw new UsageError('bad-value', `--out: ${out} does not end in .json`)
  const beside = (ending: string) => out.replace(/\.json$/, ending)
  const deadlineNs = startNs + durationOf('--budget', flags.budget ?? (flags.quick ? '5m' : '40m'))
  const storages = splitList(flags.storage ?? 'memory,sqlite')
  const jobs: (readonly [string, GateJob])[] = []
  for (const storage of new Set(storages)) jobs.push([storage, await jobFor(storage, flags, seed, out)])
  const journal = openGateJournal(beside('.jsonl'), { force: flags.force === true })
  const progress: Progress = { trials: [], counted: [], conduct: [], untried: [] }
  try {
    return await withBenches(jobs, [], async (benches) => {
      const subjects = benches.map(
        ([storage, job, bench]) => new SubjectUnderTest(storage, job, bench, journal),
      )
      const { header, signal } = benches[0]![2]
      const isPrepared = await tryAll(flags, benches, subjects, journal, progress, deadlineNs)
      const certificate = certify(
        {
          startedAt,
          elapsedNs: Math.round(systemClock.monotonicNs() - startNs),
          seed,
          again: commandAgain(seed),
          environment: header.environment,
          policy: defaultPolicy,
        },
        { ...progress, subjects: isPrepared ? subjects.map(({ subject }) => subject) : [] },
      )
      await mkdir(dirname(out), { recursive: true })
      await writeFile(out, `${JSON.stringify(certificate, null, 2)}\n`)
      await writeFile(beside('.svg'), renderBadge(certificate))
      process.stdout.write(renderCertificate(certificate, outputStyle()))
      process.stdout.write(
        `\nCertificate: ${out}\nBadge:       ${beside('.svg')}\nJournal:     ${beside('.jsonl')}\n`,
      )
      return signal.aborted ? exitCodes.interrupted : codes[certificate.verdict]
    })
  } finally {
    journal.close()
  }
}

const codes: Readonly<Record<Certificate['verdict'], number>> = {
  kept: exitCodes.pass,
  undecided: exitCodes.inconclusive,
  missed: exitCodes.regression,
  broken: exitCodes.regression,
}

type Benches = readonly (readonly [storage: string, job: GateJob, bench: GateBench])[]

/** All benches at once, so that storages can take turns. */
function withBenches<T>(
  [first, ...others]: readonly (readonly [string, GateJob])[],
  open: Benches,
  use: (benches: Benches) => Promise<T>,
): Promise<T> {
  if (first === undefined) return use(open)
  const [storage, job] = first
  return withBench(job, (bench) => withBenches(others, [...open, [storage, job, bench]], use))
}

async function jobFor(storage: string, flags: SelftestFlags, seed: string, out: string): Promise<GateJob> {
  const { config, baseFolder } = await loadConfig(
    {
      scenarios: flags.scenario ?? scenarioOf(storage),
      objects: flags.objects,
      concurrency: 'async:1',
      folder: flags.folder,
    },
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
    seed: `${seed}/${storage}`,
    policy: defaultPolicy,
    rounds: defaultRounds,
    tolerances: undefined,
    allowUnequalDurability: false,
    again: '',
    out,
  }
}

/** @returns whether every storage came as far as to hold gates */
async function tryAll(
  flags: SelftestFlags,
  benches: Benches,
  subjects: readonly SubjectUnderTest[],
  journal: GateJournal,
  progress: Progress,
  deadlineNs: number,
): Promise<boolean> {
  const { signal } = benches[0]![2]
  const say = (text: string) => process.stderr.write(`${text}\n`)
  for (const [, , { header }] of benches) journal.append(header)
  for (const [index, subject] of subjects.entries()) {
    const [storage] = benches[index]!
    for (const extra of ['nothing', 'operations', 'record bytes', 'sync'] as const) {
      const trial = await unlessInterrupted(storage, signal, () => subject.count(extra))
      if (trial === undefined) return false
      progress.counted.push(trial)
      say(`${storage}: counting, extra ${extra}: ${trial.isRight ? 'as expected' : 'WRONG'}`)
    }
  }
  await tryConduct(signal, progress, say)
  const isUp = () => signal.aborted || systemClock.monotonicNs() >= deadlineNs
  for (const [index, subject] of subjects.entries()) {
    const [storage] = benches[index]!
    if (isUp()) return false
    const prepared = await unlessInterrupted(storage, signal, () => subject.prepare())
    if (prepared === undefined) return false
    const { worth, operations } = prepared
    say(
      `${storage}: pilot; batches of ${operations}, twice as many take ${(1 + worth).toFixed(2)} times the time`,
    )
  }

  const wanted = subjects.map((subject) => {
    const arms = wantedArms(flags.quick === true, subject.subject.waitsForDisk)
    return [subject, arms.filter((arm) => subject.canDo(arm))] as const
  })
  const gates = interleaved(wanted, new Random(subjects.length).split(benches[0]![1].seed))
  for (const [number, [subject, arm]] of gates.entries()) {
    if (isUp()) break
    const { storage } = subject.subject
    const trial = await subject.hold(arm, number, (text) => say(`${storage}: ${text}`))
    if (signal.aborted) break
    progress.trials.push(trial)
    say(`${storage}: gate ${number + 1} of ${gates.length}, ${trialText(arm, trial)}`)
  }
  return true
}

function trialText({ extra, isDisturbed }: Arm, trial: Trial): string {
  const measured = trial.ratio === undefined ? '' : `, measured ${(100 * (trial.ratio - 1)).toFixed(1)} %`
  const beside = isDisturbed ? ', disturbed' : ''
  return `${percentText(extra)} more work${beside}: ${trial.verdict}${trial.verdict === 'inconclusive' ? ` (${trial.ground})` : ''}, ${trial.values.length} pairs${measured}, ${formatWait(trial.elapsedNs)}`
}

async function tryConduct(
  signal: AbortSignal,
  progress: Progress,
  say: (text: string) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'shootout-selftest-'))
  const done = (trial: ConductTrial) => {
    progress.conduct.push(trial)
    say(`${trial.name}: ${trial.isRight ? 'as expected' : `WRONG, ${trial.observed}`}`)
  }
  try {
    await tryVacuities({ folder, signal, done })
    if (process.platform === 'linux') await tryKills({ folder, signal, done })
    else progress.untried.push('killing workers and gates, whose processes are found on Linux only')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** @returns undefined where it was interrupted: that, too, ends the forks, and then there is nothing to report */
async function unlessInterrupted<T>(
  storage: string,
  signal: AbortSignal,
  action: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof SideFailure)) throw error
    if (signal.aborted) return undefined
    const { line } = error
    throw new ShootoutError(
      'nothing-to-measure',
      `${storage} cannot be tried: ${line.error.message} (${line.step}, ${line.error.code}); try another storage or scenario`,
    )
  }
}
