/** `shootout cache simulate`: what eviction policies would have made of a recorded trace. */

import { readFileSync } from 'node:fs'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import type { Command } from 'commander'
import { ShootoutError, UsageError } from '../core/errors.ts'
import { formatBytes, parseBytes } from '../core/units.ts'
import {
  type ForeignTraceFormat,
  foreignTraceFormats,
  readForeignTrace,
} from '../storages/cache/foreign-traces.ts'
import { policyNamed, policyNames } from '../storages/cache/policies/index.ts'
import { type SimulationResult, simulate } from '../storages/cache/simulate.ts'
import type { Trace } from '../storages/cache/trace.ts'
import { isRecordedTrace, readRecordedTrace } from '../storages/cache/trace-recorder.ts'
import { splitList } from './lists.ts'

interface SimulateFlags {
  readonly policy: string
  readonly bytes?: string
  readonly entries?: string
  readonly format?: string
  readonly overhead: string
  readonly json?: boolean
}

export function registerCache(program: Command): void {
  program
    .command('cache')
    .description('study the state cache')
    .command('simulate')
    .description('what eviction policies would have made of a trace')
    .argument('<trace>', 'a recorded trace, or a published one with --format; may end in .gz or .br')
    .option('-p, --policy <names>', `of ${policyNames.join(', ')}; or all`, 'all')
    .option('-b, --bytes <sizes>', 'sizes of the cache: 8mb,64mb')
    .option('-e, --entries <counts>', 'sizes of the cache in objects of whatever size: 1000,10000')
    .option('-f, --format <format>', `of a published trace: ${foreignTraceFormats.join(', ')}`)
    .option('--overhead <bytes>', 'what each object takes beside its own bytes', '0')
    .option('--json', 'print JSON')
    .action((path: string, flags: SimulateFlags) => {
      const results = simulateAll(readTrace(path, flags.format), flags)
      process.stdout.write(
        flags.json ? `${JSON.stringify(results, null, 2)}\n` : simulationTable(results, flags),
      )
    })
}

/**
 * Reads a trace from a file, decompressed where its name says so.
 * @throws UsageError `unknown-trace-format`, `bad-trace`. @throws ShootoutError `trace-file` when it cannot be read
 */
function readTrace(path: string, format?: string): Trace {
  let content: Uint8Array
  try {
    const stored = readFileSync(path)
    content = path.endsWith('.gz')
      ? gunzipSync(stored)
      : path.endsWith('.br')
        ? brotliDecompressSync(stored)
        : stored
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ShootoutError('trace-file', `the trace ${path} cannot be read (${reason}); check the path`, {
      cause,
    })
  }
  if (format === undefined) {
    if (isRecordedTrace(content)) return readRecordedTrace(content)
    throw new UsageError(
      'unknown-trace-format',
      `${path} was not recorded by shootout; say what it is with --format ${foreignTraceFormats.join('|')}`,
    )
  }
  if (!(foreignTraceFormats as readonly string[]).includes(format)) {
    throw new UsageError(
      'unknown-trace-format',
      `there is no trace format "${format}"; there are: ${foreignTraceFormats.join(', ')}`,
    )
  }
  return readForeignTrace(content, format as ForeignTraceFormat)
}

/** Every policy with every size, sizes outside. */
function simulateAll(trace: Trace, flags: Omit<SimulateFlags, 'json' | 'format'>): SimulationResult[] {
  if ((flags.bytes === undefined) === (flags.entries === undefined)) {
    throw new UsageError(
      'cache-size',
      'say how large the cache is: either --bytes 8mb,64mb or --entries 1000',
    )
  }
  const unit = flags.bytes === undefined ? 'entries' : 'bytes'
  const sizes = splitList(flags.bytes ?? flags.entries!).map((text) =>
    unit === 'bytes' ? parseBytes(text) : Number(text),
  )
  const policies = (flags.policy === 'all' ? policyNames : splitList(flags.policy)).map(policyNamed)
  const overheadBytes = parseBytes(flags.overhead)
  return sizes.flatMap((size) =>
    policies.map((policy) => simulate(trace, policy, size, { unit, overheadBytes })),
  )
}

/** One line per result. Lower is better in both ratios. */
function simulationTable(results: readonly SimulationResult[], flags: { readonly bytes?: string }): string {
  const size = (capacity: number) => (flags.bytes === undefined ? String(capacity) : formatBytes(capacity))
  const rows = [
    ['cache', 'policy', 'requests', 'misses', 'miss ratio', 'byte miss ratio', 'evictions'],
    ...results.map((result) => [
      size(result.capacity),
      result.policy,
      String(result.requests),
      String(result.misses),
      result.missRatio.toFixed(4),
      result.byteMissRatio.toFixed(4),
      String(result.evictions),
    ]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 1 ? cell.padEnd(widths[1]!) : cell.padStart(widths[column]!)))
      .join('  ')
  return `${rows.map((row) => line(row).trimEnd()).join('\n')}\n`
}
