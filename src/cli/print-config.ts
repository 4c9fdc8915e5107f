/** What `--print-config` prints: each setting as it is written on the command line, and where its value came from. */

import type { RecordSizes } from '../core/record-sizes.ts'
import { writeBytes, writeDuration } from '../core/units.ts'
import type { LoadedConfig, RunConfig } from './config.ts'
import type { ContenderRequest } from './contenders.ts'

/** Settings whose values are not their own text. */
const writers: { readonly [K in keyof RunConfig]?: (value: NonNullable<RunConfig[K]>) => string } = {
  storages: (requests) => requests.map(writeContender).join(','),
  concurrency: (list) => list.map(({ kind, workers }) => `${kind}:${workers}`).join(','),
  budget: writeDuration,
  timeout: writeDuration,
  recordBytes: writeRecordSizes,
  gateLimits: (limits) => JSON.stringify(limits),
}

/** One setting per line. */
export function describeConfig({ config, origins }: LoadedConfig): string {
  const rows = Object.entries(config).map(([key, value]) => {
    const write = writers[key as keyof RunConfig] as ((value: unknown) => string) | undefined
    const text = value === undefined ? '–' : (write?.(value) ?? String(value))
    return [key, text, origins[key as keyof RunConfig]] as const
  })
  const width = Math.max(...rows.map(([key]) => key.length))
  return rows.map(([key, text, origin]) => `${key.padEnd(width)}  ${text}  (${origin})`).join('\n')
}

function writeContender({ label, storage, options }: ContenderRequest): string {
  const pairs = Object.entries(options ?? {}).map(([name, value]) => `${name}=${String(value)}`)
  return `${label === undefined ? '' : `${label}=`}${storage}${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`
}

function writeRecordSizes(sizes: RecordSizes): string {
  if (typeof sizes === 'number') return writeBytes(sizes)
  if ('mix' in sizes) return sizes.mix.map(({ bytes, weight }) => `${writeBytes(bytes)}:${weight}`).join(',')
  return `${writeBytes(sizes.min)}-${writeBytes(sizes.max)}`
}
