/**
 * Judges a commit: checks it out, builds it, and lets a gate compare it with the good end. Each gate is a process of its
 * own, because a module that was loaded once cannot be loaded anew, and a commit may do anything to its process.
 */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GateReport, ReportedCell } from '../../analysis/gate/report-model.ts'
import { ShootoutError, UsageError } from '../../core/errors.ts'
import { looksLikePath } from '../../core/load-module.ts'
import { parseDuration } from '../../core/units.ts'
import { reasonOf } from '../../report/gate-phrases.ts'
import { scenarioNames } from '../../scenarios/registry.ts'
import { exitCodes } from '../exit-codes.ts'
import { type Finished, runGuarded } from './guarded.ts'
import { cleanEnvironment, type Repository } from './repository.ts'
import type { Answer } from './search.ts'

export interface Judgement {
  readonly answer: Answer
  readonly reason: string
}

export interface JudgeParts {
  readonly repository: Repository
  /** Where the good end and the commit in question are checked out. */
  readonly checkouts: { readonly base: string; readonly head: string }
  readonly storage: string
  /** A shell command, run in a fresh checkout. */
  readonly build: string
  readonly gateFlags: Readonly<Record<string, string>>
  /** URL of the command line. */
  readonly main: string
  /** Folder for the gates' journals. */
  readonly journals: string
  readonly budget: string
  readonly seed: string
  readonly signal: AbortSignal
  log(message: string): void
}

/** So little time that a gate counts the work of its one cell and measures nothing. */
const countingBudget = '1ms'

export class Judge {
  readonly #parts: JudgeParts
  /** What the gate of each commit is asked; at first everything that the user asked for. */
  #gateFlags: Readonly<Record<string, string>>
  /** The counters that give a bad commit away, where counting is enough. */
  #counters: ReadonlySet<string> | undefined
  #scenario: string | undefined
  #gates = 0

  constructor(parts: JudgeParts) {
    this.#parts = parts
    this.#gateFlags = parts.gateFlags
  }

  /** @throws ShootoutError `end-unusable` */
  async setBaseline(commit: string): Promise<void> {
    const { repository, checkouts } = this.#parts
    await repository.clone(checkouts.base)
    await repository.clone(checkouts.head)
    const problem = await this.#build(checkouts.base, commit)
    if (problem !== undefined) throw unusable(commit, problem)
  }

  /** The whole gate, good end against bad end. @throws ShootoutError `end-unusable` */
  async compareEnds(bad: string): Promise<GateReport> {
    const problem = await this.#build(this.#parts.checkouts.head, bad)
    if (problem !== undefined) throw unusable(bad, problem)
    const ran = await this.#gate(this.#parts.budget)
    if (ran.code === exitCodes.usage) throw new UsageError('gate-usage', said(ran))
    if (ran.report === undefined || ran.report.verdict === 'failed') throw unusable(bad, this.#why(ran))
    return ran.report
  }

  /** From now on commits are judged by this cell alone, and by no more than tells the two ends apart. */
  searchWith({ setting, ground, counters, evidence }: ReportedCell): void {
    const { scenario, objects, concurrency } = setting
    this.#scenario = scenario
    this.#gateFlags = {
      ...this.#parts.gateFlags,
      scenario: this.#scenarioFlag(scenario),
      objects: String(objects),
      concurrency: `${concurrency.kind}:${concurrency.workers}`,
    }
    if (ground === 'counters') {
      this.#counters = new Set(counters!.changes.filter(({ gates }) => gates).map(({ name }) => name))
      return
    }
    // A commit has all of the slowdown or nothing of it, as a rule: half of it is to be told from nothing, and that
    // takes fewer pairs than the last percent.
    const half = ((evidence?.ratio ?? 1) - 1) / 2
    if (ground === 'time' && this.#gateFlags['delta'] === undefined && half > 0.05) {
      this.#gateFlags = { ...this.#gateFlags, ...limitsBelow(half) }
    }
  }

  /** One of the user's own is known by its path, and which of the paths it was is not known. */
  #scenarioFlag(scenario: string): string {
    if (scenarioNames.includes(scenario)) return scenario
    const given = this.#parts.gateFlags['scenario']?.split(',') ?? []
    return given.filter((name) => looksLikePath(name)).join(',')
  }

  async judge(commit: string): Promise<Judgement> {
    const problem = await this.#build(this.#parts.checkouts.head, commit)
    if (problem !== undefined) return { answer: 'skip', reason: problem }
    const { budget, log } = this.#parts
    if (this.#counters !== undefined) return this.#byCounters(await this.#gate(countingBudget))
    const first = this.#judgementOf(await this.#gate(budget))
    if (first.answer !== 'skip' || this.#parts.signal.aborted) return first
    log(`  ${first.reason}; once more, with twice the time`)
    return this.#judgementOf(await this.#gate(`${(2 * parseDuration(budget)) / 1e6}ms`))
  }

  #byCounters(ran: Ran): Judgement {
    const cell = this.#cellOf(ran)
    const counted = cell?.counters
    if (counted === undefined) return { answer: 'skip', reason: this.#why(ran) }
    const grown = counted.changes.filter(({ name, gates }) => gates && this.#counters!.has(name))
    if (grown.length === 0) return { answer: 'good', reason: 'no more work than at the good end' }
    return {
      answer: 'bad',
      reason: reasonOf({ ...cell!, ground: 'counters' }, ran.report!.policy),
    }
  }

  /** @returns what went wrong */
  async #build(folder: string, commit: string): Promise<string | undefined> {
    const { repository, build, signal } = this.#parts
    await repository.checkOut(folder, commit)
    if (build === '') return undefined
    const { code, stdout, stderr } = await runGuarded(['/bin/sh', '-c', build], {
      cwd: folder,
      env: cleanEnvironment(),
      signal,
    })
    signal.throwIfAborted()
    if (code === 0) return undefined
    const last = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join(' ')
    return `"${build}" ends with code ${code}: ${last}`
  }

  async #gate(budget: string): Promise<Ran> {
    const { checkouts, storage, main, journals, seed, signal } = this.#parts
    const number = this.#gates++
    const flags: Readonly<Record<string, string>> = {
      baseline: storage,
      'baseline-from': checkouts.base,
      candidate: storage,
      'candidate-from': checkouts.head,
      ...this.#gateFlags,
      budget,
      seed: `${seed}-${number}`,
      format: 'json',
      out: join(journals, `gate-${number}.jsonl`),
    }
    const command = [
      ...[process.execPath, ...process.execArgv, fileURLToPath(main), 'gate'],
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ]
    const ran = await runGuarded(command, { cwd: process.cwd(), env: cleanEnvironment(), signal })
    signal.throwIfAborted()
    return { ...ran, report: ran.stdout === '' ? undefined : (JSON.parse(ran.stdout) as GateReport) }
  }

  #judgementOf(ran: Ran): Judgement {
    const cell = this.#cellOf(ran)
    if (cell?.verdict === 'fail') return { answer: 'bad', reason: reasonOf(cell, ran.report!.policy) }
    if (cell?.verdict === 'pass') return { answer: 'good', reason: reasonOf(cell, ran.report!.policy) }
    return { answer: 'skip', reason: this.#why(ran) }
  }

  /** Why there is neither a good nor a bad. */
  #why(ran: Ran): string {
    const cell = this.#cellOf(ran)
    return cell === undefined ? said(ran) : reasonOf(cell, ran.report!.policy)
  }

  #cellOf({ report }: Ran): ReportedCell | undefined {
    return report?.cells.find(
      ({ setting }) => this.#scenario === undefined || setting.scenario === this.#scenario,
    )
  }
}

/**
 * Limits of a gate that is to find a slowdown of `share`, as its flags. Nobody needs more than twice the time to be sure
 * of it.
 */
export function limitsBelow(share: number): { readonly delta: string; readonly tau: string } {
  const percent = 100 * Math.min(share, 1)
  return { delta: `${percent}%`, tau: `${percent * 0.4}%` }
}

interface Ran extends Finished {
  readonly report: GateReport | undefined
}

function said({ code, stderr }: Ran): string {
  const last = stderr
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^shootout: /, '')
  return last || `the gate ended with code ${code}`
}

function unusable(commit: string, reason: string): ShootoutError {
  return new ShootoutError(
    'end-unusable',
    `${commit.slice(0, 12)} cannot be measured: ${reason}; mend that, or name another commit with --good or --bad`,
  )
}
