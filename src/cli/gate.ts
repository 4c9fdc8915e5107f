/** `shootout gate`: is the candidate slower than the baseline? Both are measured now, taking turns. */

import { type Command, Option } from 'commander'
import type { GateReport, OverallVerdict } from '../analysis/gate/report-model.ts'
import { describeError, ShootoutError } from '../core/errors.ts'
import { gateLive } from '../report/gate-live.ts'
import { continueGateJournal, openGateJournal } from '../results/gate-journal.ts'
import { defaultRounds } from '../runner/gate/pair-engine.ts'
import { isTerminal, useColor } from './console.ts'
import { exitCodes } from './exit-codes.ts'
import { type GateFlags, gateDefaults, prepare, prepareSaved } from './gate-flags.ts'
import { carryOutGate, type GateJob } from './gate-job.ts'
import { printGate } from './gate-print.ts'
import { carryOutSaved, isSaved } from './gate-saved.ts'
import { joinLists } from './lists.ts'
import { assertWritable } from './output-files.ts'
import { temporaryFolders } from './temporary-folders.ts'

export function registerGate(program: Command): void {
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
    .option(
      '-b, --scenario <list>',
      'scenarios: names, headline, all, or ./module.js (default: headline)',
      joinLists,
    )
    .option('-n, --objects <list>', 'objects per operation (default: 1,20)', joinLists)
    .option('-c, --concurrency <list>', `KIND:WORKERS (default: ${gateDefaults.concurrency})`, joinLists)
    .option('--budget <duration>', `what the gate may take (default: ${gateDefaults.budget})`)
    .option('--tau <share>', 'slowdowns below this do not matter', '2%')
    .option('--delta <share>', 'the slowdown that must be excluded for a pass', '5%')
    .option('--rounds <n>', 'rounds per pair', String(defaultRounds))
    .option('--tolerance <counter=share>', 'what a work counter may grow by; may be repeated', joinLists)
    .addOption(
      new Option(
        '--counters <use>',
        'whether more counted work fails the gate (default: gate, but report for two different bundled storages)',
      ).choices(['gate', 'report']),
    )
    .option('--allow-mismatch <field>', 'compare although the sides differ in this: durability', joinLists)
    .addOption(
      new Option('--on-inconclusive <do>', 'exit code where some cells could not be told: 3, or 0')
        .choices(['fail', 'pass'])
        .default('fail'),
    )
    .option('--record-bytes <size>', 'exact size of records: 300, 100-4kb, or 200:70,64kb:30')
    .option('--no-explain', 'do not look at what became slower with a profiler')
    .option('--no-quarantine', 'count blocks, too, that were disturbed from outside')
    .option('--compressibility <share>', 'share of a record that a compressor can remove: 50%, 0.5')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--timeout <duration>', 'a step of a fork that takes longer is taken for a hang')
    .addOption(
      new Option('-f, --format <format>', 'what is printed')
        .choices(['table', 'md', 'json'])
        .default('table'),
    )
    .option('--markdown <file>', 'append a summary (default in GitHub Actions: the step summary)')
    .option('--junit <file>', 'write JUnit XML')
    .option('--annotations', 'print GitHub annotations (default in GitHub Actions)')
    .option('-o, --out <file>', 'journal (default: results/gate-<time>.jsonl)')
    .option('--force', 'overwrite the journal')
    .option('--resume <journal>', 'go on with a gate that was interrupted or killed; with its other options')
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .addHelpText(
      'after',
      `
Examples:
  shootout gate --baseline sqlite --candidate "sqlite?cacheBytesLimit=1mb"
  shootout gate --baseline ../base/my.js --candidate ./my.js --scenario update
  shootout gate --baseline sqlite --baseline-from ../shootout-main
  shootout gate --baseline results/nightly.jsonl --candidate sqlite
  shootout gate --baseline . --baseline-from my-store@1.4.0 --candidate ./my.js

Exit codes: 0 proven not slower, 1 a regression is proven, 3 could not tell,
4 cells failed or nothing was measured, 5 the sides cannot be compared.`,
    )
    .action(async (flags: GateFlags, command: Command) => {
      process.exitCode = await gate(flags, command)
    })
}

async function gate(flags: GateFlags, command: Command): Promise<number> {
  const installs = temporaryFolders()
  assertWritable('--junit', flags.junit)
  assertWritable('--markdown', flags.markdown)
  try {
    if (!isSaved(flags.baseline)) return await carryOut(await prepare(flags, command, installs.make), flags)
    const report = await carryOutSaved(await prepareSaved(flags, command, installs.make))
    await printGate(report, flags)
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
  const journal =
    job.interrupted === undefined
      ? openGateJournal(job.out, { force: flags.force === true })
      : continueGateJournal(job.out)
  const live = gateLive(process.stderr, {
    tty: isTerminal(process.stderr),
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
    await printGate(report, flags)
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
