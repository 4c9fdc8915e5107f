/** `shootout serve`: a storage for other processes, until Ctrl-C. */

import { once } from 'node:events'
import { createWriteStream, existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { UsageError } from '../core/errors.ts'
import { siblingModule } from '../core/load-module.ts'
import { loadStorageModule, storageUrl } from '../storages/registry.ts'
import { formatAddress, parseAddress } from '../storages/zeo/address.ts'
import { type ServedStore, serveStore } from '../storages/zeo/serve-store.ts'
import { jsonLines, type LogLevel, logLevels, type ServerLog } from '../storages/zeo/server-log.ts'
import { assertPlace, parseStore } from './contenders.ts'
import { durationOf } from './flag-values.ts'

export interface ServeFlags {
  /** `unix:/path`, `host:port` or `tls:host:port`. */
  readonly listen: string
  readonly tokenFile?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly readOnly?: boolean
  /** File for the log; standard error without it. */
  readonly log?: string
  readonly logLevel?: LogLevel
  /** Requests that take longer than this are logged: `500ms`, `2s`. */
  readonly slow?: string
}

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('serve a storage to other processes and machines')
    .argument('<storage>', 'NAME:path, NAME or ./module.js, with ?option=value&…')
    .requiredOption('--listen <address>', 'unix:/path, host:port or tls:host:port')
    .option('--token-file <file>', 'what clients must know; the first line of this file')
    .option(
      '--tls-cert <file>',
      'certificate, PEM; a new one is used within a minute, or at once after SIGHUP',
    )
    .option('--tls-key <file>', 'its key, PEM')
    .option('--tls-client-ca <file>', 'clients must show a certificate that one of these has signed, PEM')
    .option('--read-only', 'refuse all writing')
    .option('--log <file>', 'append the log to this file (default: standard error); JSON lines')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'))
    .option('--slow <duration>', 'log requests that take longer', '1s')
    .action(async (storage: string, flags: ServeFlags) => {
      const log = await openLog(flags)
      const served = await serve(storage, flags, log.write).catch(async (error: unknown) => {
        await log.discard()
        throw error
      })
      const { listener } = served
      if (listener.renewCertificates !== undefined) {
        process.on('SIGHUP', () => listener.renewCertificates?.())
      }
      process.stdout.write(`serving ${storage} at ${formatAddress(listener.address)}\n`)
      await untilToldToStop()
      await served.close()
      await log.close()
    })
}

/**
 * Opens the storage and listens.
 * @param storage as on the command line: `file:./data.log`, `sqlite?path=./data.sqlite&history=true`
 * @throws UsageError `bad-contender`, `unknown-storage`, `bad-options`, `bad-address`, `insecure-address`, `address-in-use`
 */
export async function serve(storage: string, flags: ServeFlags, log: ServerLog): Promise<ServedStore> {
  const address = parseAddress(flags.listen)
  const { storage: name, options = {} } = parseStore(storage)
  const moduleUrl = storageUrl(name)
  assertPlace(await loadStorageModule(moduleUrl), options)
  return await serveStore(
    {
      moduleUrl,
      options,
      address,
      token: readToken(flags.tokenFile),
      readOnly: flags.readOnly ?? false,
      slowMs: durationOf('--slow', flags.slow ?? '1s') / 1e6,
      resolverUrl: siblingModule(import.meta.url, '../database/resolve-conflict'),
      referencesUrl: siblingModule(import.meta.url, '../database/record-decoder'),
      ...tlsOf(flags),
    },
    log,
  )
}

/** @throws UsageError `log-file` */
async function openLog({ log: path, logLevel = 'info' }: ServeFlags) {
  const nothing = async () => {}
  if (path === undefined) {
    return { write: jsonLines(process.stderr, logLevel), close: nothing, discard: nothing }
  }
  const isNew = !existsSync(path)
  const file = createWriteStream(path, { flags: 'a' })
  try {
    await once(file, 'open')
  } catch (cause) {
    throw new UsageError(
      'log-file',
      `the log ${path} cannot be written (${(cause as Error).message}); name a file in a folder you may write to with --log`,
      { cause },
    )
  }
  // A full disk must not end the server; without its log it still serves.
  file.on('error', (error) => process.stderr.write(`the log ${path} cannot be written: ${error.message}\n`))
  const close = () => new Promise<void>((resolve) => file.end(() => resolve()))
  /** When nothing came of it: a log that was made for it and is empty goes, too. */
  const discard = async () => {
    await close()
    if (isNew && statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path)
  }
  return { write: jsonLines(file, logLevel), close, discard }
}

/** The first line of the file; empty without a file. @throws UsageError `token-file` */
export function readToken(file: string | undefined): string {
  if (file === undefined) return ''
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError(
      'token-file',
      `the token file ${file} cannot be read (${(cause as Error).message}); check the path and the rights of the file`,
      { cause },
    )
  }
  const token = text.split('\n')[0]!.trim()
  if (token === '')
    throw new UsageError('token-file', `the token file ${file} is empty; its first line is the token`)
  return token
}

function tlsOf({ tlsCert, tlsKey, tlsClientCa }: ServeFlags) {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return {}
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new UsageError('tls-files', 'TLS needs both --tls-cert and --tls-key')
  }
  const clientCa = tlsClientCa === undefined ? {} : { clientCa: tlsClientCa }
  return { tls: { certificate: tlsCert, key: tlsKey, ...clientCa } }
}

function untilToldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
