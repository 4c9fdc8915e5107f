/** Sizes, durations and counts as people write them: `64mb`, `300ms`, `4m`. */

import { UsageError } from './errors.ts'

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1024 ** 3,
  gib: 1024 ** 3,
}

const durationUnits: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}

/** @throws UsageError `bad-size` */
export function parseBytes(text: string): number {
  return parse(text, byteUnits, 'bad-size', 'a size', 'such as 300, 64kb or 1gb (1kb = 1024 bytes)')
}

/** @returns nanoseconds. @throws UsageError `bad-duration` */
export function parseDuration(text: string): number {
  return parse(text, durationUnits, 'bad-duration', 'a duration', 'such as 500ms, 30s, 4m or 1h')
}

/**
 * `5%` or `0.05`; above 100 % only as a percentage, and below 1000 %.
 * @throws UsageError `bad-value`
 */
export function parseShare(text: string): number {
  const isPercent = text.endsWith('%')
  const value = isPercent ? Number(text.slice(0, -1)) / 100 : Number(text)
  // A bare 5 is five percent to whoever writes it, and five hundred to whoever reads it.
  if (text.replace('%', '').trim() === '' || !(value >= 0 && value < (isPercent ? 10 : 1))) {
    throw new UsageError('bad-value', `"${text}" is not a share; write it 5% or 0.05`)
  }
  return value
}

function parse(
  text: string,
  units: Readonly<Record<string, number>>,
  code: string,
  what: string,
  examples: string,
): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zµ]*)$/i.exec(text.trim())
  const unit = (match?.[2] ?? '').toLowerCase()
  if (match === null || !Object.hasOwn(units, unit)) {
    throw new UsageError(code, `"${text}" is not ${what}; write it ${examples}`)
  }
  return Math.round(Number(match[1]) * units[unit]!)
}

/** What `parseBytes` reads as exactly this: `64mb`. */
export function writeBytes(bytes: number): string {
  return write(bytes, { gb: 1024 ** 3, mb: 1024 ** 2, kb: 1024 }, '')
}

/** What `parseDuration` reads as exactly this: `30s`. */
export function writeDuration(durationNs: number): string {
  return write(durationNs, { h: 3600e9, m: 60e9, s: 1e9, ms: 1e6, us: 1e3 }, durationNs === 0 ? 's' : 'ns')
}

/** In the largest unit of which it is a whole number. */
function write(value: number, units: Readonly<Record<string, number>>, smallest: string): string {
  const unit = Object.entries(units).find(([, factor]) => value !== 0 && value % factor === 0)
  return unit === undefined ? `${value}${smallest}` : `${value / unit[1]}${unit[0]}`
}

/** `300 B`, `1.50 GB`: three significant digits, or the whole number where bytes are few. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024 && Number.isInteger(bytes)) return `${bytes} B`
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${significant(value)} ${units[unit]}`
}

/** `1.25 ms`: three significant digits in the unit that suits the size. */
export function formatDuration(durationNs: number): string {
  const size = Math.abs(durationNs)
  if (size < 1e3) return `${significant(durationNs)} ns`
  if (size < 1e6) return `${significant(durationNs / 1e3)} µs`
  if (size < 1e9) return `${significant(durationNs / 1e6)} ms`
  return `${significant(durationNs / 1e9)} s`
}

/** `2m 05s`, `14s`: for waiting times. */
export function formatWait(durationNs: number): string {
  const seconds = Math.max(0, Math.round(durationNs / 1e9))
  const minutes = Math.floor(seconds / 60)
  if (minutes === 0) return `${seconds}s`
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`
  return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, '0')}m`
}

/** `12 300/s`, `1.23 M/s`. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 1e6) return `${significant(perSecond / 1e6)} M/s`
  if (perSecond >= 1e4) return `${significant(perSecond / 1e3)} k/s`
  return `${significant(perSecond)}/s`
}

/** `1 object`, `20 objects`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Three significant digits, without exponent. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 3))
}
