/**
 * Whole gates that had nothing to measure, or were killed, run as a required check would run them. None may pass, and
 * none may leave anything behind. All of it in the memory storage: it is about the gate, and not about storages.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ConductTrial } from '../../analysis/gate/certificate.ts'
import { siblingModule } from '../../core/load-module.ts'
import { readGateJournal } from '../../results/gate-journal.ts'
import { runGuarded } from '../bisect/guarded.ts'
import { exitCodes } from '../exit-codes.ts'

const vacuous = (name: string) => fileURLToPath(siblingModule(import.meta.url, `./vacuous/${name}`))

interface Vacuity {
  readonly name: string
  readonly exitCode: number
  readonly args: readonly string[]
}

const both = ['--baseline', 'memory', '--candidate', 'memory'] as const
const against = (name: string) => ['--baseline', 'memory', '--candidate', vacuous(name)]

/** What the exit codes are is documented in docs/ci-gating.md. */
const vacuities: readonly Vacuity[] = [
  {
    name: 'a candidate that fails',
    exitCode: exitCodes.incomplete,
    args: [...against('refusing-storage'), '--scenario', 'update'],
  },
  {
    name: 'a candidate that is quick because it answers with other objects',
    exitCode: exitCodes.incomplete,
    args: [...against('lazy-storage'), '--scenario', 'cold-read'],
  },
  {
    name: 'a candidate that is not there',
    exitCode: exitCodes.incomplete,
    args: [...against('absent-storage'), '--scenario', 'update'],
  },
  {
    name: 'a baseline that is not there',
    exitCode: exitCodes.baseline,
    args: ['--baseline', vacuous('absent-storage'), '--candidate', 'memory', '--scenario', 'update'],
  },
  {
    name: 'a choice of cells that leaves none',
    exitCode: exitCodes.incomplete,
    args: [...both, '--scenario', 'update', '--concurrency', 'processes:2'],
  },
  {
    name: 'a scenario that times no operation',
    exitCode: exitCodes.incomplete,
    args: [...both, '--scenario', vacuous('empty-scenario')],
  },
  {
    name: 'a scenario whose operations do nothing',
    exitCode: exitCodes.incomplete,
    args: [...both, '--scenario', vacuous('idle-scenario')],
  },
  {
    name: 'a scenario whose time does not depend on the number of operations',
    exitCode: exitCodes.incomplete,
    args: [...both, '--scenario', vacuous('fixed-work-scenario')],
  },
  {
    name: 'a budget too small for a verdict, with --on-inconclusive pass',
    exitCode: exitCodes.inconclusive,
    args: [...both, '--scenario', 'live-read', '--budget', '1s', '--on-inconclusive', 'pass'],
  },
]

export interface ConductParts {
  /** Existing folder, for journals and stores. */
  readonly folder: string
  readonly signal: AbortSignal
  /** Told of each when it is done. */
  done(trial: ConductTrial): void
}

/** The command line that is running now, for another of its commands. */
function commandLine(args: readonly string[]): [string, ...string[]] {
  const main = fileURLToPath(siblingModule(import.meta.url, '../main'))
  return [process.execPath, ...process.execArgv, main, ...args]
}

const common = ['--objects', '1', '--no-explain']

export async function tryVacuities({ folder, signal, done }: ConductParts): Promise<void> {
  for (const [number, { name, exitCode, args }] of vacuities.entries()) {
    if (signal.aborted) return
    const own = join(folder, `vacuity-${number}`)
    await mkdir(own)
    const { code, stderr } = await runGuarded(
      commandLine(['gate', ...common, ...args, '--folder', own, '--out', join(own, 'gate.jsonl')]),
      { cwd: own, env: environment(), signal },
    )
    if (signal.aborted) return
    const words = code === exitCode ? '' : `: ${stderr.trim().split('\n').at(-1)}`
    done({
      kind: 'vacuity',
      name,
      expected: `exit code ${exitCode}`,
      observed: `exit code ${code}${words}`,
      isRight: code === exitCode,
    })
  }
}

/** Ours, without what makes a gate write into somebody else's summary. */
function environment(): NodeJS.ProcessEnv {
  const { GITHUB_ACTIONS: _, GITHUB_STEP_SUMMARY: __, ...others } = process.env
  return { ...others, NO_COLOR: '1' }
}

/** Kills a worker in the middle of a pair, then a whole gate, and resumes that. Needs /proc. */
export async function tryKills({ folder, signal, done }: ConductParts): Promise<void> {
  for (const [name, kill] of [
    ['worker', killWorker],
    ['gate', killGate],
  ] as const) {
    if (signal.aborted) return
    const own = join(folder, `kill-${name}`)
    await mkdir(own)
    for (const trial of await kill(own, signal)) if (!signal.aborted) done(trial)
  }
}

/** Limits so wide that twelve pairs decide on any machine. */
const wide = ['--tau', '100%', '--delta', '900%', '--rounds', '4', '--no-quarantine']
const pairsBeforeKill = 1

async function killWorker(folder: string, signal: AbortSignal): Promise<ConductTrial[]> {
  const gate = await gateWithPairs(folder, signal)
  const [worker] = await childrenOf(gate.pid)
  if (worker !== undefined) process.kill(worker, 'SIGKILL')
  const code = await gate.ended
  const verdict = worker === undefined ? 'no worker found' : `exit code ${code}, ${lastVerdict(folder)}`
  const expected = `exit code ${exitCodes.incomplete}, cell failed`
  return [
    {
      kind: 'kill',
      name: 'a worker that is killed in the middle of a pair',
      expected,
      observed: verdict,
      isRight: verdict === expected,
    },
  ]
}

async function killGate(folder: string, signal: AbortSignal): Promise<ConductTrial[]> {
  const gate = await gateWithPairs(folder, signal)
  const workers = await childrenOf(gate.pid)
  gate.kill()
  await gate.ended
  const alive = await survivors(workers)
  const before = pairsOf(folder)
  // The next one removes what was left, and goes on; not for long, because that it comes to a verdict is known.
  const next = await runGuarded(
    commandLine([...gate.args, '--budget', '1s', '--resume', journalOf(folder)]),
    { cwd: folder, env: environment(), signal },
  )
  const left = (await readdir(folder)).filter((name) => name.startsWith('shootout-'))
  const kept = pairsOf(folder)
  const isKept = before.length >= pairsBeforeKill && before.every((pair, at) => pair === kept[at])
  const trial = (name: string, expected: string, observed: string): ConductTrial => ({
    kind: 'kill',
    name,
    expected,
    observed,
    isRight: observed === expected,
  })
  return [
    trial('a gate that is killed: workers that live on', '0', String(alive)),
    trial('the same: its journal', 'readable', before.length > 0 ? 'readable' : 'without pairs'),
    trial(
      'the same, resumed with a budget of a second',
      `exit code ${exitCodes.inconclusive}, its pairs kept, no store left behind`,
      `exit code ${next.code}, its pairs ${isKept ? 'kept' : 'lost'}, ${left.length === 0 ? 'no store' : left.join(', ')} left behind`,
    ),
  ]
}

function journalOf(folder: string): string {
  return join(folder, 'gate.jsonl')
}

interface RunningGate {
  readonly pid: number
  /** Without the name of the journal. */
  readonly args: readonly string[]
  /** Its exit code; -1 where it was killed. */
  readonly ended: Promise<number>
  kill(): void
}

/** A gate in the middle of a pair, with some behind it. */
async function gateWithPairs(folder: string, signal: AbortSignal): Promise<RunningGate> {
  const args = ['gate', ...both, '--scenario', 'live-read', ...common, ...wide, '--folder', folder]
  const [command, ...words] = commandLine([...args, '--out', journalOf(folder)])
  const child = spawn(command, words, { cwd: folder, env: environment(), stdio: 'ignore' })
  const kill = () => void child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  const ended = once(child, 'close').then(([code]) => {
    signal.removeEventListener('abort', kill)
    return (code as number | null) ?? -1
  })
  let hasEnded = false
  void ended.then(() => {
    hasEnded = true
  })
  while (!hasEnded && pairsOf(folder).length < pairsBeforeKill) await pause(20)
  // All forks of the next pair are up when there are four of them.
  for (let turn = 0; turn < 3000 && !hasEnded; turn++) {
    if ((await childrenOf(child.pid!)).length === 4) break
    await pause(10)
  }
  return { pid: child.pid!, args, ended, kill }
}

/** Each pair of the journal as it stands there. */
function pairsOf(folder: string): readonly string[] {
  try {
    return readGateJournal(journalOf(folder)).flatMap((line) =>
      line.type === 'pair' ? [JSON.stringify(line)] : [],
    )
  } catch {
    // Not begun yet, or not readable, which is the same for those who ask.
    return []
  }
}

function lastVerdict(folder: string): string {
  const line = readGateJournal(journalOf(folder)).findLast(({ type }) => type === 'verdict')
  return line?.type === 'verdict' ? `cell ${line.verdict}` : 'no verdict'
}

/** Linux only. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  try {
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** How many of these are still there after they had time to notice. */
async function survivors(pids: readonly number[]): Promise<number> {
  let alive = pids
  for (let turn = 0; turn < 250 && alive.length > 0; turn++) {
    const states = await Promise.all(alive.map(isAlive))
    alive = alive.filter((_, index) => states[index])
    await pause(20)
  }
  return alive.length
}

/** One that is dead and whose parent has not asked is not alive. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
