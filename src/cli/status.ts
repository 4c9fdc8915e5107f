/** `shootout status`: what a server is doing, as JSON or as Prometheus reads it. */

import type { Command } from 'commander'
import { Option } from 'commander'
import type { ServerStatus } from '../storages/zeo/server.ts'
import { requestStatus } from '../storages/zeo/status-client.ts'
import { readToken } from './serve.ts'

export interface StatusFlags {
  readonly format: 'json' | 'prometheus'
  readonly tokenFile?: string
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
}

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('show what a server is doing')
    .argument('<address>', 'unix:/path, host:port or tls:host:port')
    .addOption(
      new Option('-f, --format <format>', 'what is printed').choices(['json', 'prometheus']).default('json'),
    )
    .option('--token-file <file>', 'the token of the server, where it wants one')
    .option('--ca-file <file>', 'certificates to trust, PEM')
    .option('--cert-file <file>', 'our own certificate, PEM, where the server wants one')
    .option('--key-file <file>', 'its key, PEM')
    .action(async (address: string, flags: StatusFlags) => {
      process.stdout.write(await status(address, flags))
    })
}

/** The text to print. @throws DisconnectedError, ShootoutError `wrong-token`, UsageError `bad-address` */
export async function status(address: string, flags: StatusFlags): Promise<string> {
  const found = await requestStatus(address, {
    token: readToken(flags.tokenFile),
    caFile: flags.caFile ?? '',
    certFile: flags.certFile ?? '',
    keyFile: flags.keyFile ?? '',
  })
  return flags.format === 'json' ? `${JSON.stringify(found, null, 2)}\n` : prometheus(found)
}

/** Name of the metric, its type, what it means. */
const metrics: readonly (readonly [keyof ServerStatus, string, 'counter' | 'gauge', string])[] = [
  ['uptimeSeconds', 'uptime_seconds', 'gauge', 'Time since the server started.'],
  ['lastTid', 'last_tid', 'gauge', 'Newest transaction, microseconds since 1970.'],
  ['clients', 'clients', 'gauge', 'Clients connected now.'],
  ['connections', 'connections', 'gauge', 'Connections open now, that of who asks for this included.'],
  ['connectionsTotal', 'connections_total', 'counter', 'Connections accepted.'],
  ['refused', 'refused_total', 'counter', 'Peers turned away.'],
  ['dropped', 'dropped_total', 'counter', 'Connections that ended with an error.'],
  ['loads', 'loads_total', 'counter', 'Revisions sent to clients.'],
  ['neighbours', 'neighbours_total', 'counter', 'Revisions sent along with what was loaded.'],
  ['neighbourBytes', 'neighbour_bytes_total', 'counter', 'Bytes of them.'],
  ['prefetched', 'prefetched_total', 'counter', 'Revisions sent because clients prefetch them.'],
  ['commits', 'commits_total', 'counter', 'Transactions committed.'],
  ['conflicts', 'conflicts_total', 'counter', 'Transactions refused for a conflict.'],
  ['errors', 'errors_total', 'counter', 'Requests that failed unexpectedly.'],
  ['slow', 'slow_total', 'counter', 'Requests that took longer than the limit.'],
  ['views', 'views', 'gauge', 'Instances of clients.'],
  ['blobsOpen', 'blobs_open', 'gauge', 'Blobs that clients have open.'],
  ['voted', 'voted', 'gauge', 'Transactions that have voted and wait for their client.'],
  ['waiting', 'waiting', 'gauge', 'Transactions whose vote waits for that of another one.'],
  ['bytesRead', 'read_bytes_total', 'counter', 'Bytes received from clients.'],
  ['bytesWritten', 'written_bytes_total', 'counter', 'Bytes sent to clients.'],
  ['queuedBytes', 'queued_bytes', 'gauge', 'Bytes that wait for slow clients.'],
  ['cpuUserSeconds', 'cpu_user_seconds_total', 'counter', 'CPU time of the server process in user mode.'],
  [
    'cpuSystemSeconds',
    'cpu_system_seconds_total',
    'counter',
    'CPU time of the server process in the system.',
  ],
  ['residentBytes', 'resident_bytes', 'gauge', 'Memory of the server process.'],
]

export function prometheus(found: ServerStatus): string {
  const labels = `{storage=${labelValue(found.storage)},durability=${labelValue(found.durability)}}`
  const lines = metrics.flatMap(([field, name, type, help]) => [
    `# HELP shootout_${name} ${help}`,
    `# TYPE shootout_${name} ${type}`,
    `shootout_${name}${labels} ${found[field]}`,
  ])
  return `${lines.join('\n')}\n`
}

/** Storages of others may be called anything. */
function labelValue(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
  return `"${escaped}"`
}
