/**
 * `shootout check`: the conformance suite on one storage, with no test framework.
 *
 * Prints a line per behaviour as it is checked, grouped by topic, then every failure in full with the command that
 * repeats it, and at the end what was left out and why. With `json`, one document instead. A behaviour that hangs fails
 * after a while; when several have, the rest is given up.
 */

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Check,
  type CheckPlan,
  givenUpCode,
  planChecks,
  type SkippedCheck,
} from '../conformance/index.ts'
import { type PlainError, toPlainError } from '../core/errors.ts'
import { shellWord } from '../core/shell-word.ts'
import { counted } from '../core/units.ts'
import { type Paint, painter } from '../report/terminal.ts'
import { loadStorageModule, storageNames, storageUrl } from '../storages/registry.ts'
import { Strays } from './check-strays.ts'

export interface CheckOptions {
  /** One JSON document at the end instead of lines. */
  readonly json: boolean
  /** Topics, or texts that the names of the wanted behaviours contain. */
  readonly only?: readonly string[]
  /** Repeats the random choices of an earlier check. */
  readonly seed?: string
  /** How long a behaviour may take. Default: a minute. */
  readonly timeoutMs?: number
  /** Is told of each behaviour before it begins. */
  begins?(check: Check): void
  readonly color: boolean
  /** The storage as the user named it, for the command that repeats a failure. */
  readonly storageName?: string
  write(text: string): void
}

/** What became of one behaviour. */
interface Outcome {
  readonly topic: string
  readonly claim: string
  readonly ms: number
  readonly error?: PlainError
}

function statusOf({ error }: Outcome): 'held' | 'failed' | 'given-up' {
  if (error === undefined) return 'held'
  return error.code === givenUpCode ? 'given-up' : 'failed'
}

/**
 * Checks a storage.
 * @returns the exit code: 0 when every behaviour that applies holds, 1 when one does not
 * @throws UsageError when the storage, its options or `only` are wrong
 * @throws ShootoutError `storage-unavailable`
 */
export async function runCheck(
  moduleUrl: string,
  givenOptions: Readonly<Record<string, unknown>>,
  options: CheckOptions,
): Promise<0 | 1> {
  const module = await loadStorageModule(moduleUrl)
  const plan = await planChecks({
    module,
    options: givenOptions,
    ...(options.only === undefined ? {} : { only: options.only }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  })
  const report = new Report(
    plan,
    options,
    repeatCommand(options.storageName ?? nameOf(moduleUrl), givenOptions, plan.seed),
  )
  const strays = new Strays()
  try {
    for (const check of plan.checks) {
      options.begins?.(check)
      const startMs = performance.now()
      let error: PlainError | undefined
      try {
        await check.run()
        const reasons = await strays.reasons()
        // Where nothing has failed so far, nobody else can be to blame.
        if (reasons.length > 0 && report.failureCount === 0) throw reasons[0]
      } catch (thrown) {
        error = toPlainError(thrown)
      }
      const ms = performance.now() - startMs
      const { topic, claim } = check
      report.add(error === undefined ? { topic, claim, ms } : { topic, claim, ms, error })
    }
  } finally {
    await plan.dispose()
    await strays.end()
  }
  report.end()
  return report.failureCount === 0 ? 0 : 1
}

/** The command up to `--only`, which names the behaviour. */
function repeatCommand(name: string, given: Readonly<Record<string, unknown>>, seed: string): string {
  const query = Object.entries(given).map(([option, value]) => `${option}=${String(value)}`)
  const storage = query.length === 0 ? name : `${name}?${query.join('&')}`
  return `shootout check ${shellWord(storage)} --seed ${shellWord(seed)}`
}

/** What a user would write to name this storage. */
function nameOf(moduleUrl: string): string {
  const name = storageNames.find((one) => storageUrl(one) === moduleUrl)
  return name ?? `./${relative(process.cwd(), fileURLToPath(moduleUrl))}`
}

class Report {
  readonly #plan: CheckPlan
  readonly #options: CheckOptions
  readonly #repeat: string
  readonly #paint: Paint
  readonly #outcomes: Outcome[] = []
  #topic: string | undefined

  constructor(plan: CheckPlan, options: CheckOptions, repeat: string) {
    this.#plan = plan
    this.#options = options
    this.#repeat = repeat
    this.#paint = painter(options.color)
    this.#line(`${plan.storage}: ${counted(plan.checks.length, 'behaviour')}, seed ${plan.seed}`)
  }

  get #failures(): Outcome[] {
    return this.#outcomes.filter((outcome) => statusOf(outcome) === 'failed')
  }

  get #givenUp(): Outcome[] {
    return this.#outcomes.filter((outcome) => statusOf(outcome) === 'given-up')
  }

  get failureCount(): number {
    return this.#failures.length
  }

  get #heldCount(): number {
    return this.#outcomes.filter((outcome) => statusOf(outcome) === 'held').length
  }

  add(outcome: Outcome): void {
    this.#outcomes.push(outcome)
    if (statusOf(outcome) === 'given-up') return
    if (outcome.topic !== this.#topic) {
      this.#topic = outcome.topic
      this.#line('')
      this.#line(this.#paint('bold', outcome.topic))
    }
    const mark = outcome.error === undefined ? this.#paint('green', '✓') : this.#paint('red', '✗')
    this.#line(`  ${mark} ${outcome.claim} ${this.#paint('dim', `${outcome.ms.toFixed(0)} ms`)}`)
  }

  end(): void {
    if (this.#options.json) {
      this.#options.write(`${JSON.stringify(this.#document(), undefined, 2)}\n`)
      return
    }
    for (const failure of this.#failures) this.#printFailure(failure)
    this.#printSkipped()
    const { checks, skipped } = this.#plan
    const [givenUp] = this.#givenUp
    this.#line('')
    if (givenUp !== undefined) {
      this.#line(this.#paint('yellow', `${this.#givenUp.length} behaviours: ${givenUp.error?.message}`))
    }
    const sentence =
      `${this.#heldCount} of ${checks.length} behaviours hold, ${this.failureCount} do not, ` +
      `${givenUp === undefined ? '' : `${this.#givenUp.length} were not checked, `}${skipped.length} do not apply`
    this.#line(this.#paint(this.failureCount === 0 ? 'green' : 'red', sentence))
  }

  #printFailure({ topic, claim, error }: Outcome): void {
    if (error === undefined) return
    this.#line('')
    this.#line(this.#paint('red', `✗ ${topic}: ${claim}`))
    for (const line of error.message.split('\n')) this.#line(`    ${line}`)
    const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
    for (const frame of frames.slice(0, 8)) this.#line(this.#paint('dim', `    ${frame.trim()}`))
    if (error.cause !== undefined) this.#line(`    caused by ${error.cause.name}: ${error.cause.message}`)
    this.#line(`    repeat: ${this.#repeat} --only ${shellWord(claim)}`)
  }

  /** By reason, with whole topics as one line. */
  #printSkipped(): void {
    const { skipped } = this.#plan
    if (skipped.length === 0) return
    this.#line('')
    this.#line(this.#paint('bold', 'left out'))
    const groups = new Map<string, SkippedCheck[]>()
    for (const one of skipped) {
      const key = `${one.topic}: ${one.reason}`
      groups.set(key, [...(groups.get(key) ?? []), one])
    }
    for (const [key, group] of groups) {
      const count = counted(group.length, 'behaviour')
      this.#line(`  ${this.#paint('yellow', '–')} ${key} ${this.#paint('dim', `(${count})`)}`)
    }
  }

  #document(): object {
    const { storage, seed, skipped } = this.#plan
    return {
      storage,
      seed,
      held: this.#heldCount,
      failed: this.failureCount,
      givenUp: this.#givenUp.length,
      skipped: skipped.length,
      behaviours: this.#outcomes.map((outcome) => {
        const { topic, claim, ms, error } = outcome
        const failed =
          error === undefined ? {} : { error, repeat: `${this.#repeat} --only ${shellWord(claim)}` }
        return { topic, claim, status: statusOf(outcome), ms, ...failed }
      }),
      leftOut: skipped,
    }
  }

  #line(text: string): void {
    if (!this.#options.json) this.#options.write(`${text}\n`)
  }
}
