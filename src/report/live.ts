/**
 * Shows a run as it goes. On a terminal, two status lines redrawn in place; elsewhere, one line per finished step. It
 * writes only when it is called, which is between measurements, and never sets a timer: a display that woke up while
 * something is measured would be measured with it.
 */

import { summariseFork } from '../analysis/fork-summary.ts'
import { median } from '../analysis/stats/quantiles.ts'
import { counted, formatDuration, formatWait } from '../core/units.ts'
import type { Progress, Reporter } from '../results/reporter.ts'
import type { ForkLine, SuiteLine } from '../results/schema.ts'
import { settingText } from './phrases.ts'
import { painter } from './terminal.ts'

/** What is asked of a stream: `process.stderr` has it. */
export interface LiveStream {
  write(text: string): unknown
  /** Width of the terminal, which may change. */
  readonly columns?: number | undefined
}

export interface LiveOptions {
  /** Redraw in place. */
  readonly tty: boolean
  readonly color: boolean
}

export function liveReporter(stream: LiveStream, { tty, color }: LiveOptions): Reporter {
  const paint = painter(color)
  const steadiness = new Steadiness()
  let drawn = 0
  let skips = 0
  let current: Progress | undefined
  /** Of the step that is under way, or has just ended: contender and result. */
  let outcomes: string[] = []

  function erase(): void {
    if (drawn > 0) stream.write(`\r${drawn > 1 ? `\u001b[${drawn - 1}A` : ''}\u001b[J`)
    drawn = 0
  }

  function say(text: string): void {
    erase()
    stream.write(`${text}\n`)
    if (current !== undefined) draw(current)
  }

  function draw(progress: Progress): void {
    if (!tty) return
    erase()
    const width = (stream.columns ?? 80) - 1
    const lines = [
      paint('bold', clip(`${barText(progress, width)}  ${stepText(progress)}`, width)),
      paint('dim', clip(`${outcomes.join('  ')}  ${steadiness.spark()}`.trim(), width)),
    ]
    stream.write(lines.join('\n'))
    drawn = lines.length
  }

  /** The line of a finished step, where nothing is redrawn. */
  function tellStep(next: Progress | undefined): void {
    if (tty || current === undefined || outcomes.length === 0) return
    const rest = next?.remainingNs === undefined ? '' : `; ${formatWait(next.remainingNs)} left`
    stream.write(
      `[${current.done + 1}/${current.total}] ${stepText(current)}: ${outcomes.join(', ')}${rest}\n`,
    )
  }

  return {
    onSuite: (suite) => say(suiteText(suite)),
    onSkip: () => {
      skips++
    },
    onProgress: (progress) => {
      if (skips > 0) say(`${counted(skips, 'cell')} cannot exist and will be skipped; the table says why`)
      skips = 0
      tellStep(progress)
      current = progress
      draw(progress)
      // What has been shown stays on the screen until the step has results of its own.
      outcomes = []
    },
    onFork: (line) => {
      outcomes.push(outcomeText(line))
      if (line.status === 'completed') steadiness.add(line)
      else {
        const { contender, step, error } = line
        say(
          paint(
            'red',
            `failed: ${contender}, ${line.scenario}, ${settingText(line)}, fork ${line.fork + 1}, ${step}: ${error.message} (${error.code})`,
          ),
        )
      }
    },
    onLog: (message) => say(message),
    onEnd: (line) => {
      tellStep(undefined)
      current = undefined
      // What comes next on the terminal is the report, which says how long it took.
      if (line.outcome === 'completed') erase()
      else say(`Interrupted after ${formatWait(line.elapsedNs)}`)
    },
    close: erase,
  }
}

function suiteText({ contenders, settings, forks, seed }: SuiteLine): string {
  const labels = contenders.map(({ label }) => label).join(', ')
  return `${labels} in ${counted(settings.length, 'setting')}, up to ${counted(forks, 'fork')} each, seed ${seed}`
}

/** `measuring ━━━━━━──── 12/96, 2m 05s left`. */
function barText({ stage, done, total, remainingNs }: Progress, width: number): string {
  // On a narrow terminal, what is measured is worth more than a long bar.
  const length = width < 100 ? 10 : 20
  const full = total === 0 ? 0 : Math.round((length * done) / total)
  const rest = remainingNs === undefined ? '' : `, ${formatWait(remainingNs)} left`
  return `${stage} ${'━'.repeat(full)}${'─'.repeat(length - full)} ${done}/${total}${rest}`
}

function stepText({ stage, setting, fork }: Progress): string {
  const block = stage === 'measuring' ? `, fork ${fork + 1}` : ''
  return `${setting.scenario}, ${settingText(setting)}${block}`
}

function outcomeText(line: ForkLine): string {
  if (line.status === 'failed') return `${line.contender} failed`
  const summary = summariseFork(line)
  return `${line.contender} ${summary === undefined ? 'measured nothing' : formatDuration(summary.timePerOperationNs)}`
}

function clip(text: string, width: number): string {
  const letters = [...text]
  return letters.length <= width ? text : `${letters.slice(0, Math.max(0, width - 1)).join('')}…`
}

/**
 * A line of the last forks, each against the median of its own cell so far: level when the machine is steady, uneven
 * when it is not. The lowest mark is 20 % below the median, the highest 20 % above.
 */
class Steadiness {
  readonly #times = new Map<string, number[]>()
  #marks: string[] = []

  add(line: Extract<ForkLine, { status: 'completed' }>): void {
    const time = summariseFork(line)?.timePerOperationNs
    if (time === undefined) return
    const key = `${line.contender}/${line.scenario}/${settingText(line)}`
    const times = this.#times.get(key) ?? []
    this.#times.set(key, [...times, time])
    if (times.length === 0) return
    const marks = '▁▂▃▄▅▆▇█'
    const level = Math.round(3.5 + (3.5 / 0.2) * (time / median(times) - 1))
    this.#marks = [...this.#marks.slice(-23), marks[Math.min(7, Math.max(0, level))]!]
  }

  spark(): string {
    return this.#marks.join('')
  }
}
