/** `shootout copy`: one store into another, of any two storages. */

import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { UsageError } from '../core/errors.ts'
import { noTid } from '../core/ids.ts'
import { counted, formatBytes, formatDuration, formatRate, formatWait } from '../core/units.ts'
import { references } from '../database/record-decoder.ts'
import {
  type BlobPolicy,
  type CopyProgress,
  type CopyResult,
  type CopyWay,
  copyStore,
  copyWay,
} from '../storages/copy/copy.ts'
import { openStorage } from '../storages/open.ts'
import type { Storage } from '../storages/storage.ts'
import { isTerminal } from './console.ts'
import { assertPlace, parseStore, type ResolvedContender, resolveContender } from './contenders.ts'
import { CopyDisplay } from './copy-display.ts'
import { exitCodes } from './exit-codes.ts'

export interface CopyFlags {
  readonly clear?: boolean
  readonly verify?: boolean
  /** False with `--no-blobs`. */
  readonly blobs?: boolean
  readonly json?: boolean
}

/** Where a copy speaks. */
export interface CopyOutput {
  /** The result. */
  result(text: string): void
  /** What a person should know meanwhile, one line each. */
  note(line: string): void
  progress(progress: CopyProgress): void
}

export function registerCopy(program: Command): void {
  program
    .command('copy')
    .description('copy a store into another, of any two storages')
    .argument('<source>', 'NAME:path, NAME or ./module.js, with ?option=value&…')
    .argument('<destination>', 'likewise; empty, or an earlier copy of the source, which is continued')
    .option('--clear', 'first destroy everything that the destination holds')
    .option('--verify', 'afterwards compare everything, byte for byte; exit code 1 on a difference')
    .option('--no-blobs', 'leave blobs out')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Where both storages keep history, all transactions are copied as they are; else
the current state of each object. A copy that was interrupted, even by a kill,
goes on when the same command is given again.

Examples:
  shootout copy file:./data.log sqlite:./data.sqlite --verify
  shootout copy file:./data.log 'sqlite:./data.sqlite?history=true'
  shootout copy sqlite:./data.sqlite 'postgres?url=postgresql://me@host/name'`,
    )
    .action(async (source: string, destination: string, flags: CopyFlags) => {
      const stop = new AbortController()
      const display = new CopyDisplay(process.stderr, { tty: isTerminal(process.stderr) })
      const interrupt = (): void => {
        // Who asks twice means it.
        if (stop.signal.aborted) process.exit(exitCodes.interrupted)
        display.note('stopping after the batch at hand; Ctrl-C again stops at once')
        stop.abort()
      }
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt)
      const output: CopyOutput = {
        result: (text) => void process.stdout.write(text),
        note: (line) => display.note(line),
        progress: (progress) => display.show(progress),
      }
      try {
        process.exitCode = await copy(source, destination, flags, output, stop.signal)
      } finally {
        display.end()
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
      }
    })
}

/**
 * Copies.
 * @returns the exit code: 0 done, 1 a difference was found, 130 stopped by `signal`
 * @throws UsageError for names and options; ShootoutError `copy-not-a-prefix`, `copy-same-store`, `copy-not-kept`,
 *   `copy-cannot-walk`, `blobs-not-kept`, and what the storages raise
 */
export async function copy(
  sourceText: string,
  destinationText: string,
  flags: CopyFlags,
  output: CopyOutput,
  signal?: AbortSignal,
): Promise<number> {
  const from = await resolveStore(sourceText)
  const to = await resolveStore(destinationText)
  assertDifferent(from, to)
  const started = performance.now()
  const source = await openStorage(from.module, from.options, {
    readOnly: true,
    log: (message) => output.note(`${from.label}: ${message}`),
  })
  try {
    const destination = await openDestination(to, destinationText, flags, output)
    try {
      const way = copyWay(source, destination)
      const isListed = from.capabilities.iteration
      output.note(`copying ${describeWay(way, isListed)} of ${sourceText} into ${destinationText}`)
      if (way === 'states' && isListed) output.note(historyHint(to))
      const result = await copyStore(source, destination, {
        references,
        blobs: blobPolicy(to, flags),
        verify: flags.verify === true,
        ...(signal && { signal }),
        onProgress: (progress) => output.progress(progress),
      })
      const ms = performance.now() - started
      if (!isListed && result.finished && result.records + result.recordsThere === 0) {
        output.note(
          `${from.label} cannot list its objects, and has no root (object 0) from which others could be reached`,
        )
      }
      output.result(
        flags.json === true
          ? `${JSON.stringify({ source: sourceText, destination: destinationText, ms, ...result }, undefined, 2)}\n`
          : resultText(result, ms),
      )
      if (!result.finished) return exitCodes.interrupted
      return (result.verification?.differenceCount ?? 0) === 0 ? exitCodes.pass : exitCodes.regression
    } finally {
      await destination.close()
    }
  } finally {
    await source.close()
  }
}

/** @param isListed whether the source can name all its objects; else they are found by references */
function describeWay(way: CopyWay, isListed: boolean): string {
  if (way === 'transactions') return 'all transactions'
  return `the current states of all objects${isListed ? '' : ' that can be reached from the root'}`
}

function historyHint({ label, module }: ResolvedContender): string {
  const remedy = 'history' in module.options ? `; it would with ${label}:…?history=true` : ''
  return `${label} keeps no history${remedy}. Earlier revisions, tids and metadata stay behind`
}

async function resolveStore(text: string): Promise<ResolvedContender> {
  const request = parseStore(text)
  const store = await resolveContender(request)
  assertPlace(store.module, request.options ?? {})
  if (store.capabilities.persistent) return store
  throw new UsageError(
    'copy-not-kept',
    `${text}: what this storage holds ends with the process, so there is nothing to copy from or into; name one that is kept`,
  )
}

/** Options that say where a store is. */
const places = ['path', 'url', 'address', 'schema', 'database'] as const

/** Clearing the destination must never clear the source. @throws UsageError `copy-same-store` */
function assertDifferent(from: ResolvedContender, to: ResolvedContender): void {
  const placeOf = ({ url, options }: ResolvedContender): string =>
    JSON.stringify([url, ...places.map((name) => (name === 'path' ? fileAt(options[name]) : options[name]))])
  if (placeOf(from) !== placeOf(to)) return
  throw new UsageError('copy-same-store', 'source and destination are the same store; name two')
}

/** The same for every name of a file: links of both kinds, and other spellings. */
function fileAt(path: unknown): unknown {
  if (typeof path !== 'string' || path === '') return path
  // As bigint, because numbers of files may be beyond what a double tells apart.
  const found = statSync(path, { throwIfNoEntry: false, bigint: true })
  // Nothing is there yet, so it is not the source.
  return found === undefined ? path : `${found.dev} ${found.ino}`
}

async function openDestination(
  to: ResolvedContender,
  text: string,
  { clear }: CopyFlags,
  output: CopyOutput,
): Promise<Storage> {
  const open = (): Promise<Storage> =>
    openStorage(to.module, to.options, { log: (message) => output.note(`${to.label}: ${message}`) })
  const destination = await open()
  if (clear !== true || destination.lastTid === noTid) return destination
  output.note(`destroying what ${text} holds`)
  try {
    await destination.zap()
  } finally {
    await destination.close()
  }
  // A storage may remember for its instances what there was; opened anew it is as new.
  return open()
}

function blobPolicy({ capabilities }: ResolvedContender, flags: CopyFlags): BlobPolicy {
  if (flags.blobs === false) return 'leave-out'
  return capabilities.blobs ? 'copy' : 'refuse'
}

function resultText(result: CopyResult, ms: number): string {
  const { way, finished, recordsThere, transactions, records, bytes, blobs, blobBytes, dangling } = result
  const what =
    way === 'transactions'
      ? `${counted(transactions, 'transaction')}, ${counted(records, 'record')}`
      : counted(records, 'object')
  const withBlobs = blobs === 0 ? '' : `, ${counted(blobs, 'blob')} of ${formatBytes(blobBytes)}`
  const rate = `${formatBytes((bytes + blobBytes) / (ms / 1e3))}/s, ${formatRate(records / (ms / 1e3)).replace('/s', ' records/s')}`
  const time = ms < 1000 ? formatDuration(ms * 1e6) : formatWait(ms * 1e6)
  const lines = [`copied ${what}, ${formatBytes(bytes)}${withBlobs} in ${time} (${rate})`]
  if (recordsThere > 0) lines.push(`${counted(recordsThere, 'record')} already there, and the same`)
  if (dangling > 0) lines.push(`${counted(dangling, 'reference')} to objects that the source does not have`)
  if (!finished) lines.push('stopped before the end; the same command goes on from here')
  const { verification } = result
  if (verification !== undefined) {
    const { differenceCount, differences } = verification
    lines.push(
      `compared ${counted(verification.records, 'record')}, ${formatBytes(verification.bytes)}: ` +
        (differenceCount === 0 ? 'all the same' : counted(differenceCount, 'difference')),
      ...differences.map((difference) => `  ${difference}`),
    )
  }
  return `${lines.join('\n')}\n`
}
