/** `shootout bisect`: the commit that made a storage slower, found with the gate as judge. */

import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { GateReport, ReportedCell } from '../../analysis/gate/report-model.ts'
import { worstFirst } from '../../analysis/gate/report-model.ts'
import { describeError, ShootoutError, UsageError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import { gateCellText, reasonOf } from '../../report/gate-phrases.ts'
import { interruptibly } from '../console.ts'
import { exitCodes } from '../exit-codes.ts'
import { joinLists } from '../lists.ts'
import { temporaryFolders } from '../temporary-folders.ts'
import { guardFolder } from './guarded.ts'
import { Judge, type Judgement } from './judge.ts'
import { type CommitFacts, Repository } from './repository.ts'
import { search } from './search.ts'

interface BisectFlags {
  readonly good: string
  readonly bad: string
  readonly storage: string
  readonly repository: string
  readonly build: string
  readonly budget: string
  readonly seed?: string
  readonly json?: boolean
  readonly scenario?: string
  readonly objects?: string
  readonly concurrency?: string
  readonly tau?: string
  readonly delta?: string
  readonly rounds?: string
  readonly recordBytes?: string
  readonly folder?: string
}

/** What is printed with --json. */
export interface BisectReport {
  readonly format: 1
  readonly good: CommitFacts
  readonly bad: CommitFacts
  readonly storage: string
  readonly seed: string
  /** The cell in which every commit was judged, and what the ends differ in. */
  readonly cell: string
  readonly reason: string
  readonly firstBad?: CommitFacts
  /** Where it could not be told which one: the first bad commit is among these. */
  readonly among: readonly CommitFacts[]
  readonly steps: readonly (CommitFacts & Judgement)[]
}

export function registerBisect(program: Command): void {
  program
    .command('bisect')
    .description('find the commit that made a storage slower')
    .requiredOption('--good <commit>', 'a commit that was fast enough: the baseline')
    .requiredOption('--bad <commit>', 'a later commit that is slower')
    .requiredOption(
      '-s, --storage <storage>',
      'NAME that the repository bundles, or ./path/in/it.js, with ?option=value',
    )
    .option('--repository <folder>', 'where the commits are', '.')
    .option(
      '--build <command>',
      'builds a fresh checkout; empty for none',
      'npm ci && npm run build --if-present',
    )
    .option('-b, --scenario <list>', 'as for gate; the cell that differs most is searched with', joinLists)
    .option('-n, --objects <list>', 'as for gate', joinLists)
    .option('-c, --concurrency <list>', 'as for gate', joinLists)
    .option('--budget <duration>', 'what each gate may take', '10m')
    .option('--tau <share>', 'as for gate')
    .option('--delta <share>', 'as for gate')
    .option('--rounds <n>', 'as for gate')
    .option('--record-bytes <size>', 'as for gate')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Example:
  shootout bisect --good v1.2.0 --bad HEAD --storage ./dist/my-storage.js

A commit that cannot be built or measured is skipped, and so is one that could
not be told twice. Nothing in the repository is changed: commits are checked out
into a temporary folder.

Exit codes: 0 found, 3 could not tell, 4 an end cannot be measured.`,
    )
    .action(async (flags: BisectFlags) => {
      process.exitCode = await bisect(flags)
    })
}

async function bisect(flags: BisectFlags): Promise<number> {
  const repository = await Repository.open(resolve(flags.repository))
  const [good, bad] = [await repository.commit(flags.good), await repository.commit(flags.bad)]
  if (good === bad || !(await repository.isAncestor(good, bad))) {
    throw new UsageError(
      'bad-range',
      `${flags.bad} does not come after ${flags.good}; --good must be an ancestor of --bad`,
    )
  }
  return interruptibly(async (signal) => {
    const folders = temporaryFolders()
    const folder = await folders.make()
    const guard = guardFolder(resolve(folder, '..'))
    try {
      return await carryOut(flags, repository, { good, bad }, folder, signal)
    } catch (error) {
      if (signal.aborted) return exitCodes.interrupted
      if (!(error instanceof ShootoutError) || error.code !== 'end-unusable') throw error
      process.stderr.write(`shootout: ${describeError(error)}\n`)
      return exitCodes.incomplete
    } finally {
      await folders.remove()
      guard.stdin!.end()
    }
  })
}

async function carryOut(
  flags: BisectFlags,
  repository: Repository,
  ends: { readonly good: string; readonly bad: string },
  folder: string,
  signal: AbortSignal,
): Promise<number> {
  const log = (message: string) => process.stderr.write(`${message}\n`)
  const seed = flags.seed ?? randomBytes(6).toString('hex')
  // Equally long: the length of a path can move a time.
  const checkouts = { base: join(folder, 'base'), head: join(folder, 'head') }
  await mkdir(join(folder, 'stores'))
  const judge = new Judge({
    repository,
    checkouts,
    storage: flags.storage,
    build: flags.build,
    gateFlags: gateFlags({ folder: join(folder, 'stores'), ...flags }),
    main: siblingModule(import.meta.url, '../main'),
    journals: folder,
    budget: flags.budget,
    seed,
    signal,
    log,
  })
  const facts = (commit: string) => repository.facts(commit)
  const [first, last] = [await facts(ends.good), await facts(ends.bad)]

  log(`baseline ${text(first)}`)
  await judge.setBaseline(ends.good)
  log(`is there a difference at all? ${text(last)}`)
  const whole = await judge.compareEnds(ends.bad)
  if (whole.verdict !== 'fail') {
    const sentence = worstFirst(whole.cells).map(
      (cell) => `${gateCellText(cell)}: ${reasonOf(cell, whole.policy)}`,
    )
    log(
      `There is nothing to search for: ${flags.bad} is not proven slower than ${flags.good}.\n${sentence.join('\n')}`,
    )
    return exitCodes.inconclusive
  }
  const cell = worstFirst(whole.cells)[0]!
  if (cell.verdict !== 'fail') {
    log(
      'All cells together became slower, and none of them by itself: name one with --scenario and a smaller --tau.',
    )
    return exitCodes.inconclusive
  }
  const reason = reasonOf(cell, whole.policy)
  log(`${gateCellText(cell)}: ${reason}`)
  judge.searchWith(cell)

  const steps: (CommitFacts & Judgement)[] = []
  const outcome = await search(repository, ends, async (commit, left) => {
    const shown = await facts(commit)
    log(`${left} commits left, trying ${text(shown)}`)
    const judgement = await judge.judge(commit)
    log(`  ${judgement.answer}: ${judgement.reason}`)
    steps.push({ ...shown, ...judgement })
    return judgement.answer
  })
  const report: BisectReport = {
    format: 1,
    good: first,
    bad: last,
    storage: flags.storage,
    seed,
    cell: gateCellText(cell),
    reason,
    ...(outcome.found === undefined ? {} : { firstBad: await facts(outcome.found) }),
    among: outcome.found === undefined ? await Promise.all(outcome.among.map(facts)) : [],
    steps,
  }
  process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : render(report, whole, cell))
  return outcome.found === undefined ? exitCodes.inconclusive : exitCodes.pass
}

/** Flags of `gate` that are passed on as they were given. */
function gateFlags(flags: BisectFlags): Readonly<Record<string, string>> {
  const names = [
    'scenario',
    'objects',
    'concurrency',
    'tau',
    'delta',
    'rounds',
    'recordBytes',
    'folder',
  ] as const
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = flags[name]
      return value === undefined ? [] : [[name.replace('B', '-b'), value]]
    }),
  )
}

function text({ commit, subject }: CommitFacts): string {
  return `${commit.slice(0, 12)} ${subject}`
}

function render(report: BisectReport, { policy }: GateReport, cell: ReportedCell): string {
  const { firstBad, among, steps } = report
  const judged = steps.find(({ commit }) => commit === firstBad?.commit)
  const tried = steps.map((step) => `  ${step.answer.padEnd(4)}  ${text(step)}\n        ${step.reason}`)
  const found =
    firstBad === undefined
      ? [
          'The first bad commit is one of these; the others could not be told:',
          ...among.map((one) => `  ${text(one)}`),
        ]
      : [
          'First bad commit:',
          `  ${text(firstBad)}`,
          `  ${firstBad.author}, ${firstBad.date}`,
          `  ${report.cell}: ${judged?.reason ?? reasonOf(cell, policy)}`,
        ]
  return `${[...(tried.length === 0 ? [] : ['Tried:', ...tried, '']), ...found].join('\n')}\n`
}
