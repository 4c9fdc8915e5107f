/** Numbers and verdicts in the words that all reports share. No colours, no layout. */

import { halfWidthShare, rangeShare } from '../analysis/estimate.ts'
import type { Cell, Estimate, FailedCell, MeasuredCell, PairedRatio, Ratio } from '../analysis/model.ts'
import { equalShare } from '../analysis/ratio.ts'
import { counted, formatDuration } from '../core/units.ts'
import type { Concurrency, Setting } from '../results/schema.ts'

/** Above this, ± a share would reach below 0 and say nothing: both ends are shown instead. */
const halfWidthShown = 1

/** `1.25 ms ±3%`, or `1.25 ms (0.9–4.3)` where that is very wide; in brackets where it is the range of too few forks. */
export function timeText(time: Estimate): string {
  return `${formatDuration(time.median)} ${spreadText(time)}`.trimEnd()
}

export function isWide(time: Estimate): boolean {
  return (halfWidthShare(time) ?? 0) > halfWidthShown
}

function spreadText(time: Estimate): string {
  const halfWidth = halfWidthShare(time)
  if (halfWidth !== undefined && time.interval !== undefined) {
    const { low, high } = time.interval
    return isWide(time) ? `(${durationRange(low, high)})` : `±${percentText(halfWidth, '')}`
  }
  if (time.n < 2) return ''
  const range = rangeShare(time)
  return range > halfWidthShown ? `[${durationRange(time.min, time.max)}]` : `[±${percentText(range, '')}]`
}

/** `277 µs–2.77 ms`, `0.98–2.77 ms`. */
function durationRange(low: number, high: number): string {
  const [from, to] = [formatDuration(low), formatDuration(high)]
  const unit = to.slice(to.indexOf(' '))
  return `${from.endsWith(unit) ? from.slice(0, -unit.length) : from}–${to}`
}

/** `3 %`, `0.4 %`. */
export function percentText(share: number, space = ' '): string {
  const percent = share * 100
  return `${percent.toFixed(percent > 0 && percent < 0.95 ? 1 : 0)}${space}%`
}

/** Whether anything is said of its ratio: not where there is none, nor of a contender that is alone. */
export function hasRatio({ ratio }: MeasuredCell, contenders: number): boolean {
  return ratio.kind !== 'none' && contenders > 1
}

/** `reference`, `3.2x slower (3.0–3.4)`, `equal within 2 %`, `unclear (0.97–1.08)`; † across durability tiers. */
export function ratioText(ratio: Ratio): string {
  if (ratio.kind === 'reference') return 'reference'
  if (ratio.kind === 'none') return '–'
  return `${pairedText(ratio)}${ratio.unequalDurability ? '†' : ''}`
}

function pairedText({ estimate: { median, interval }, verdict }: PairedRatio): string {
  if (interval === undefined) {
    const times = timesText(Math.max(median, 1 / median))
    return times === '1.00x' ? `~${times}` : `~${times} ${median > 1 ? 'slower' : 'faster'}`
  }
  const { low, high } = interval
  if (verdict === 'slower') return intervalText(median, low, high, ' slower')
  if (verdict === 'faster') return intervalText(1 / median, 1 / high, 1 / low, ' faster')
  if (verdict === 'equal') return `equal within ${percentText(equalShare)}`
  return `unclear (${rangeText(low, high)})`
}

/** `3.2x slower (3.0–3.4)`, all with as many decimals as it takes to tell the ends apart. */
export function intervalText(ratio: number, low: number, high: number, word: string): string {
  const digits = decimalsFor(low, high)
  return `${ratio.toFixed(digits)}x${word} (${low.toFixed(digits)}–${high.toFixed(digits)})`
}

/** `1.25x`, `3.2x`, `32x`. */
export function timesText(ratio: number): string {
  return `${ratio.toFixed(decimals(ratio))}x`
}

/** `3.0–3.4`. */
export function rangeText(low: number, high: number): string {
  const digits = decimalsFor(low, high)
  return `${low.toFixed(digits)}–${high.toFixed(digits)}`
}

/** Near 1 a hundredth matters, far from it nobody asks for more than two digits. */
function decimals(ratio: number): number {
  return ratio < 2 ? 2 : ratio < 10 ? 1 : 0
}

function decimalsFor(low: number, high: number): number {
  const digits = decimals(high)
  return digits < 2 && low.toFixed(digits) === high.toFixed(digits) ? digits + 1 : digits
}

export function concurrencyText({ kind, workers }: Concurrency): string {
  return `${kind} ${workers}`
}

export function objectsText(objects: number): string {
  return counted(objects, 'object')
}

/** `async 5, 20 objects`. */
export function settingText({ concurrency, objects }: Pick<Setting, 'concurrency' | 'objects'>): string {
  return `${concurrencyText(concurrency)}, ${objectsText(objects)}`
}

/** Why a cell has no number. */
export function reasonText(cell: Exclude<Cell, { status: 'measured' }>): string {
  if (cell.status === 'skipped') return cell.reason
  if (cell.status === 'missing') return 'the run ended before it was measured'
  return failureText(cell)
}

function failureText({ failures, forks }: FailedCell): string {
  const first = failures[0]!
  const total = failures.length + forks.length
  const text = `${first.message} (${first.step}, ${first.code})`
  return total === 1 ? text : `${failures.length} of ${total} forks: ${text}`
}

/** What a commit survives, per durability tier. */
export function durabilityText(durability: string): string {
  const meanings: Readonly<Record<string, string>> = {
    memory: 'is lost with the process',
    os: 'survives the process',
    full: 'survives loss of power',
    replicated: 'survives loss of the machine',
  }
  return meanings[durability] ?? `is "${durability}"`
}
