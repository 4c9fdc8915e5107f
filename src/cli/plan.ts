/** `shootout plan`: which cells could tell a slowdown of a given size in a given time, and what would help the others. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { analyse } from '../analysis/analyse.ts'
import { defaultPolicy } from '../analysis/gate/policy.ts'
import {
  type ForkedCell,
  type PilotCell,
  type PowerPlan,
  planForks,
  planPairs,
} from '../analysis/power-plan.ts'
import { systemClock } from '../core/clock.ts'
import { ShootoutError, UsageError } from '../core/errors.ts'
import { formatWait } from '../core/units.ts'
import { settingText } from '../report/phrases.ts'
import { renderPowerPlan } from '../report/power-plan.ts'
import { readGateJournal } from '../results/gate-journal.ts'
import type { PairLine } from '../results/gate-schema.ts'
import { readResults, settingKey } from '../results/reader.ts'
import { defaultRounds } from '../runner/gate/pair-engine.ts'
import { SideFailure } from '../runner/gate/side.ts'
import { loadConfig } from './config.ts'
import { outputStyle } from './console.ts'
import { parseContender, resolveContenders } from './contenders.ts'
import { exitCodes } from './exit-codes.ts'
import { durationOf, shareOf } from './flag-values.ts'
import { gateDefaults } from './gate-flags.ts'
import { withBench } from './gate-job.ts'
import { onlyComputes } from './gate-session.ts'
import { joinLists } from './lists.ts'
import { resolveScenarios } from './scenarios.ts'

interface PlanFlags {
  readonly detect: string
  readonly budget: string
  readonly from?: string
  readonly storage?: string
  readonly scenario?: string
  readonly objects?: string
  readonly concurrency?: string
  readonly recordBytes?: string
  readonly seed?: string
  readonly folder?: string
  readonly config?: string
  readonly json?: boolean
}

export function registerPlan(program: Command): void {
  program
    .command('plan')
    .description('tell which cells could detect a slowdown of a given size in a given time')
    .requiredOption('--detect <share>', 'the slowdown that is to be found, such as 3%')
    .option('--budget <duration>', 'what a gate may take', gateDefaults.budget)
    .option('--from <file>', 'the journal of a gate, or the results of a run, instead of a pilot')
    .option(
      '-s, --storage <contender>',
      'the baseline, for a pilot: [LABEL=]NAME|./module.js[?option=value&…]',
    )
    .option('-b, --scenario <list>', 'as for gate', joinLists)
    .option('-n, --objects <list>', 'as for gate', joinLists)
    .option('-c, --concurrency <list>', 'as for gate', joinLists)
    .option('--record-bytes <size>', 'exact size of records: 300, 100-4kb, or 200:70,64kb:30')
    .option('--seed <text>', 'seed of data, order and everything else random')
    .option('--folder <path>', 'where stores are made: the disk to measure')
    .option('--config <file>', 'config file (default: shootout.config.js or .json, if there is one)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  shootout plan --detect 3% --storage sqlite --scenario update,cold-read
  shootout plan --detect 3% --from results/gate-2026-01-31T12-00-00.jsonl

A pilot measures six pairs of the baseline with itself per cell.

Exit codes: 0 some cell reaches it, 3 none does.`,
    )
    .action(async (flags: PlanFlags) => {
      process.exitCode = await plan(flags)
    })
}

async function plan(flags: PlanFlags): Promise<number> {
  const detect = shareOf('--detect', flags.detect)
  if (!(detect > 0)) throw new UsageError('bad-value', '--detect must be above 0')
  if ((flags.from === undefined) === (flags.storage === undefined)) {
    throw new UsageError('missing-option', 'give --storage for a pilot, or --from a journal or results file')
  }
  const wanted = { detect, budgetNs: durationOf('--budget', flags.budget) }
  const made =
    flags.from === undefined
      ? planPairs(await pilot(flags), defaultPolicy, wanted)
      : fromFile(resolve(flags.from), wanted)
  if (made.cells.length === 0) throw new ShootoutError('nothing-to-measure', 'there is no cell to plan for')
  process.stdout.write(
    flags.json ? `${JSON.stringify(made, null, 2)}\n` : renderPowerPlan(made, outputStyle()),
  )
  return made.cells.some(({ reaches }) => reaches === 'yes') ? exitCodes.pass : exitCodes.inconclusive
}

function fromFile(path: string, wanted: { readonly detect: number; readonly budgetNs: number }): PowerPlan {
  return isJournal(path)
    ? planPairs(cellsOfJournal(path), defaultPolicy, wanted)
    : planForks(cellsOfResults(path), wanted)
}

function isJournal(path: string): boolean {
  try {
    return (
      (JSON.parse(readFileSync(path, 'utf8').split('\n', 1)[0]!) as { readonly type?: unknown }).type ===
      'gate'
    )
  } catch {
    // The reader of results files says what is wrong with it.
    return false
  }
}

function cellsOfJournal(path: string): readonly PilotCell[] {
  const lines = readGateJournal(path)
  const header = lines.find((line) => line.type === 'gate')!
  const pairs = lines.filter((line) => line.type === 'pair')
  // One for each session, if it was resumed.
  const ends = lines.filter((line) => line.type === 'end')
  const elapsedNs = ends.reduce((sum, end) => sum + end.elapsedNs, 0)
  return header.settings.flatMap((setting) => {
    const key = settingKey(setting)
    const found = pairs.filter((pair) => pair.stage === 'pilot' && settingKey(pair) === key)
    if (found.length === 0) return []
    const counted = lines.find((line) => line.type === 'counters' && settingKey(line) === key)
    return [
      {
        setting,
        pilot: found,
        cpuIsValid:
          setting.concurrency.workers === 1 && counted?.type === 'counters' && onlyComputes(counted),
        // The journal has no time of a single pair; where it was cut short, its rounds are the least it can be.
        pairNs: ends.length === 0 ? measuredNs(found) : elapsedNs / pairs.length,
      },
    ]
  })
}

function measuredNs(pairs: readonly PairLine[]): number {
  const all = pairs.flatMap(({ rounds }) =>
    rounds.flatMap(({ baselineNs, candidateNs }) => [...baselineNs, ...candidateNs]),
  )
  return all.reduce((sum, ns) => sum + ns, 0) / pairs.length
}

/** Below this a spread is a guess. */
const forksMin = 4

function cellsOfResults(path: string): readonly ForkedCell[] {
  const analysis = analyse(readResults(path))
  const forks = analysis.groups.flatMap(({ cells }) =>
    cells.flatMap((cell) => ('forks' in cell ? cell.forks : [])),
  )
  const elapsedNs = analysis.end?.elapsedNs ?? 0
  return analysis.groups.flatMap(({ setting, cells }) =>
    cells.flatMap((cell) =>
      cell.status === 'measured' && cell.forks.length >= forksMin
        ? [
            {
              setting,
              contender: cell.contender,
              timesNs: cell.forks.map(({ timePerOperationNs }) => timePerOperationNs),
              forkNs: elapsedNs / forks.length,
            },
          ]
        : [],
    ),
  )
}

async function pilot(flags: PlanFlags): Promise<readonly PilotCell[]> {
  const { scenario, objects, concurrency = gateDefaults.concurrency, recordBytes, folder } = flags
  const loaded = await loadConfig(
    { scenarios: scenario, objects, concurrency, recordBytes, folder },
    flags.config,
  )
  const { config, baseFolder } = loaded
  const request = parseContender(flags.storage!)
  const seed = flags.seed ?? config.seed ?? randomBytes(6).toString('hex')
  const job = {
    contenders: await resolveContenders(
      [
        { ...request, label: 'baseline' },
        { ...request, label: 'candidate' },
      ],
      process.cwd(),
    ),
    names: { baseline: flags.storage!, candidate: flags.storage! },
    scenarios: await resolveScenarios(config.scenarios, baseFolder),
    config,
    seed,
    policy: defaultPolicy,
    rounds: defaultRounds,
    tolerances: {},
    allowUnequalDurability: false,
    again: '',
    out: '',
  }
  const cells: PilotCell[] = []
  await withBench(job, async ({ tasks, engine, signal }) => {
    const pairs = engine(seed)
    for (const task of tasks) {
      const { setting } = task
      process.stderr.write(`${setting.scenario}, ${settingText(setting)}: `)
      try {
        const counted = await pairs.countWork(task)
        const order = await pairs.calibrate(task)
        const measured: PairLine[] = []
        const startNs = systemClock.monotonicNs()
        for (let pair = 0; pair < defaultPolicy.pilotPairs; pair++) {
          measured.push(await pairs.measurePair(task, order, 'pilot', pair))
        }
        const pairNs = (systemClock.monotonicNs() - startNs) / measured.length
        process.stderr.write(`${measured.length} pairs, ${formatWait(pairNs * measured.length)}\n`)
        const cpuIsValid = setting.concurrency.workers === 1 && onlyComputes(counted)
        cells.push({ setting, pilot: measured, cpuIsValid, pairNs })
      } catch (error) {
        if (signal.aborted) throw new ShootoutError('interrupted', 'the pilot was interrupted')
        if (!(error instanceof SideFailure)) throw error
        process.stderr.write(`${error.message}\n`)
      }
    }
  })
  return cells
}
