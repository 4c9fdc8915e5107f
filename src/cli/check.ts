/**
 * `shootout check`: the conformance suite on one storage, with no test framework.
 *
 * Prints a line per behaviour as it is checked, grouped by topic, then every failure in full with the command that
 * repeats it, and at the end what was left out and why. With `json`, one document instead.
 */

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { type CheckPlan, planChecks, type SkippedCheck } from '../conformance/index.ts'
import { type PlainError, toPlainError } from '../core/errors.ts'
import { loadStorageModule, storageNames, storageUrl } from '../storages/registry.ts'

export interface CheckOptions {
  /** One JSON document at the end instead of lines. */
  readonly json: boolean
  /** Topics, or texts that the names of the wanted behaviours contain. */
  readonly only?: readonly string[]
  /** Repeats the random choices of an earlier check. */
  readonly seed?: string
  /** Colours and ticks for a person. Default: as the terminal and NO_COLOR say. */
  readonly color?: boolean
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
  })
  const report = new Report(
    plan,
    options,
    repeatCommand(options.storageName ?? nameOf(moduleUrl), givenOptions, plan.seed),
  )
  // A behaviour that fails may leave calls under way, and what becomes of them must not end the check.
  const strays: unknown[] = []
  const stray = (reason: unknown) => void strays.push(reason)
  process.on('unhandledRejection', stray)
  try {
    for (const check of plan.checks) {
      const startMs = performance.now()
      let error: PlainError | undefined
      try {
        await check.run()
        // Where nothing has failed so far, nobody else can be to blame.
        if (strays.length > 0 && report.failureCount === 0) throw strays[0]
      } catch (thrown) {
        error = toPlainError(thrown)
      }
      const ms = performance.now() - startMs
      const { topic, claim } = check
      report.add(error === undefined ? { topic, claim, ms } : { topic, claim, ms, error })
    }
  } finally {
    await plan.dispose()
    process.off('unhandledRejection', stray)
  }
  report.end()
  return report.failureCount === 0 ? 0 : 1
}

/** The command up to `--only`, which names the behaviour. */
function repeatCommand(name: string, given: Readonly<Record<string, unknown>>, seed: string): string {
  const query = Object.entries(given).map(([option, value]) => `${option}=${String(value)}`)
  const storage = query.length === 0 ? name : `${name}?${query.join('&')}`
  return `shootout check ${quote(storage)} --seed ${quote(seed)}`
}

/** What a user would write to name this storage. */
function nameOf(moduleUrl: string): string {
  const name = storageNames.find((one) => storageUrl(one) === moduleUrl)
  return name ?? `./${relative(process.cwd(), fileURLToPath(moduleUrl))}`
}

/** For a POSIX shell; plain words stay as they are. */
function quote(word: string): string {
  return /^[\w./:=,@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

class Report {
  readonly #plan: CheckPlan
  readonly #options: CheckOptions
  readonly #repeat: string
  readonly #outcomes: Outcome[] = []
  #topic: string | undefined

  constructor(plan: CheckPlan, options: CheckOptions, repeat: string) {
    this.#plan = plan
    this.#options = options
    this.#repeat = repeat
    this.#line(`${plan.storage}: ${plan.checks.length} behaviours, seed ${plan.seed}`)
  }

  get #failures(): Outcome[] {
    return this.#outcomes.filter((outcome) => outcome.error !== undefined)
  }

  get failureCount(): number {
    return this.#failures.length
  }

  add(outcome: Outcome): void {
    this.#outcomes.push(outcome)
    if (outcome.topic !== this.#topic) {
      this.#topic = outcome.topic
      this.#line('')
      this.#line(this.#style('bold', outcome.topic))
    }
    const mark = outcome.error === undefined ? this.#style('green', '✓') : this.#style('red', '✗')
    this.#line(`  ${mark} ${outcome.claim} ${this.#style('dim', `${outcome.ms.toFixed(0)} ms`)}`)
  }

  end(): void {
    if (this.#options.json) {
      this.#options.write(`${JSON.stringify(this.#document(), undefined, 2)}\n`)
      return
    }
    for (const failure of this.#failures) this.#printFailure(failure)
    this.#printSkipped()
    const { checks, skipped } = this.#plan
    const held = checks.length - this.failureCount
    const sentence = `${held} of ${checks.length} behaviours hold, ${this.failureCount} do not, ${skipped.length} do not apply`
    this.#line('')
    this.#line(this.#style(this.failureCount === 0 ? 'green' : 'red', sentence))
  }

  #printFailure({ topic, claim, error }: Outcome): void {
    if (error === undefined) return
    this.#line('')
    this.#line(this.#style('red', `✗ ${topic}: ${claim}`))
    for (const line of error.message.split('\n')) this.#line(`    ${line}`)
    const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
    for (const frame of frames.slice(0, 8)) this.#line(this.#style('dim', `    ${frame.trim()}`))
    if (error.cause !== undefined) this.#line(`    caused by ${error.cause.name}: ${error.cause.message}`)
    this.#line(`    repeat: ${this.#repeat} --only ${quote(claim)}`)
  }

  /** By reason, with whole topics as one line. */
  #printSkipped(): void {
    const { skipped } = this.#plan
    if (skipped.length === 0) return
    this.#line('')
    this.#line(this.#style('bold', 'left out'))
    const groups = new Map<string, SkippedCheck[]>()
    for (const one of skipped) {
      const key = `${one.topic}: ${one.reason}`
      groups.set(key, [...(groups.get(key) ?? []), one])
    }
    for (const [key, group] of groups) {
      const count = group.length === 1 ? '1 behaviour' : `${group.length} behaviours`
      this.#line(`  ${this.#style('yellow', '–')} ${key} ${this.#style('dim', `(${count})`)}`)
    }
  }

  #document(): object {
    const { storage, seed, skipped } = this.#plan
    return {
      storage,
      seed,
      held: this.#outcomes.length - this.failureCount,
      failed: this.failureCount,
      skipped: skipped.length,
      behaviours: this.#outcomes.map(({ topic, claim, ms, error }) => ({
        topic,
        claim,
        status: error === undefined ? 'held' : 'failed',
        ms,
        ...(error === undefined ? {} : { error, repeat: `${this.#repeat} --only ${quote(claim)}` }),
      })),
      leftOut: skipped,
    }
  }

  #line(text: string): void {
    if (!this.#options.json) this.#options.write(`${text}\n`)
  }

  #style(format: 'bold' | 'dim' | 'green' | 'red' | 'yellow', text: string): string {
    const { color } = this.#options
    if (color === false) return text
    // Without a choice of the caller, NO_COLOR, FORCE_COLOR and the terminal decide.
    return color === true
      ? styleText(format, text, { validateStream: false })
      : styleText(format, text, { validateStream: true, stream: process.stdout })
  }
}
