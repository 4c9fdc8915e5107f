/**
 * How large the records of a data set are: all of one size, or drawn from a distribution. Plain data, as it stands in
 * results files. Written `300`, `100-4kb` (uniform) or `200:70,2kb:25,64kb:5` (sizes with weights).
 */

import { UsageError } from './errors.ts'
import { formatBytes, parseBytes } from './units.ts'

/** Exact bytes of every record, or a distribution of exact bytes. */
export type RecordSizes = number | UniformSizes | MixedSizes

/** Each size from `min` to `max` bytes, both included, is equally likely. */
export interface UniformSizes {
  readonly min: number
  readonly max: number
}

/** A few sizes; weights are relative to their sum. */
export interface MixedSizes {
  readonly mix: readonly { readonly bytes: number; readonly weight: number }[]
}

/** Below this there is no room for what every record must hold. */
const bytesMin = 64
const bytesMax = 256 * 1024 ** 2

/** @throws UsageError `bad-value` or `bad-size` */
export function parseRecordSizes(text: string): RecordSizes {
  if (text.includes(':')) {
    const mix = text.split(',').map((part) => {
      const [size, share, ...rest] = part.split(':')
      const weight = Number(share)
      if (share?.trim() === '' || !(weight > 0) || !Number.isFinite(weight) || rest.length > 0) {
        throw bad(text, `"${part}" is not SIZE:WEIGHT`)
      }
      return { bytes: parseBytes(size!), weight }
    })
    return checkedRecordSizes({ mix })
  }
  const bounds = text.split('-').map(parseBytes)
  if (bounds.length > 2) throw bad(text, 'a range has two bounds')
  return checkedRecordSizes(bounds.length === 1 ? bounds[0]! : { min: bounds[0]!, max: bounds[1]! })
}

/** What a config file holds: the notation, a number of bytes, or the object form. @throws UsageError `bad-value` */
export function checkedRecordSizes(value: unknown): RecordSizes {
  if (typeof value === 'string') return parseRecordSizes(value)
  if (!isRecordSizes(value))
    throw bad(JSON.stringify(value), 'it is neither a size nor a distribution of sizes')
  const [least, most] = [recordBytesMin(value), recordBytesMax(value)]
  if (least > most) throw bad(describeRecordSizes(value), 'the lower bound is above the upper one')
  if (least < bytesMin || most > bytesMax) {
    throw bad(describeRecordSizes(value), 'records have from 64 bytes to 256mb')
  }
  return value
}

function bad(what: string, why: string): UsageError {
  return new UsageError(
    'bad-value',
    `record size ${what}: ${why}; write 300, 100-4kb for a range, or 200:70,64kb:30 for sizes with weights`,
  )
}

/** Whether `value` has one of the three forms; not whether its numbers make sense. */
export function isRecordSizes(value: unknown): value is RecordSizes {
  if (isWhole(value)) return true
  if (typeof value !== 'object' || value === null) return false
  if ('mix' in value) {
    const { mix } = value
    return (
      Array.isArray(mix) &&
      mix.length > 0 &&
      mix.every(
        (part: Partial<MixedSizes['mix'][number]> | null) => isWhole(part?.bytes) && isWeight(part?.weight),
      )
    )
  }
  const { min, max } = value as Partial<Record<keyof UniformSizes, unknown>>
  return isWhole(min) && isWhole(max)
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isWeight(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value)
}

export function recordBytesMin(sizes: RecordSizes): number {
  if (typeof sizes === 'number') return sizes
  return 'mix' in sizes ? Math.min(...sizes.mix.map(({ bytes }) => bytes)) : sizes.min
}

export function recordBytesMax(sizes: RecordSizes): number {
  if (typeof sizes === 'number') return sizes
  return 'mix' in sizes ? Math.max(...sizes.mix.map(({ bytes }) => bytes)) : sizes.max
}

/** Expected bytes of one record. */
export function recordBytesMean(sizes: RecordSizes): number {
  if (typeof sizes === 'number') return sizes
  if (!('mix' in sizes)) return (sizes.min + sizes.max) / 2
  return sizes.mix.reduce((sum, { bytes, weight }) => sum + bytes * weight, 0) / totalWeight(sizes)
}

/** The size at `fraction` of the distribution, which lies in [0, 1): uniform fractions give sizes as distributed. */
export function recordBytesAt(sizes: RecordSizes, fraction: number): number {
  if (typeof sizes === 'number') return sizes
  if (!('mix' in sizes)) return sizes.min + Math.floor(fraction * (sizes.max - sizes.min + 1))
  let left = fraction * totalWeight(sizes)
  for (const { bytes, weight } of sizes.mix) {
    left -= weight
    if (left < 0) return bytes
  }
  return sizes.mix.at(-1)!.bytes
}

/** Every size times `factor`, rounded. */
export function scaledRecordSizes(sizes: RecordSizes, factor: number): RecordSizes {
  const scaled = (bytes: number) => Math.round(bytes * factor)
  if (typeof sizes === 'number') return scaled(sizes)
  if (!('mix' in sizes)) return { min: scaled(sizes.min), max: scaled(sizes.max) }
  return { mix: sizes.mix.map(({ bytes, weight }) => ({ bytes: scaled(bytes), weight })) }
}

/** `300 B`, `100 B to 4 KB`, `200 B (70 %), 64 KB (30 %)`. */
export function describeRecordSizes(sizes: RecordSizes): string {
  if (typeof sizes === 'number') return formatBytes(sizes)
  if (!('mix' in sizes)) return `${formatBytes(sizes.min)} to ${formatBytes(sizes.max)}`
  const share = (weight: number) => Number(((100 * weight) / totalWeight(sizes)).toPrecision(3))
  return sizes.mix.map(({ bytes, weight }) => `${formatBytes(bytes)} (${share(weight)} %)`).join(', ')
}

function totalWeight({ mix }: MixedSizes): number {
  return mix.reduce((sum, { weight }) => sum + weight, 0)
}
