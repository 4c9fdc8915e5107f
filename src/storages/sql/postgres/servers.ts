/**
 * Private PostgreSQL servers: found among the system's binaries, started on a unix socket in a folder of their own, and
 * gone when their owner is gone. A small shell stands between: it waits on a pipe from us, and when that closes, because
 * we asked or because we died, however suddenly, it stops the server and removes the folder. So nothing is left behind.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ShootoutError } from '../../../core/errors.ts'

const run = promisify(execFile)

/** Socket paths are limited to 107 bytes by the operating system; the file's name takes some of them. */
const socketFolderBytesMax = 85
const port = 5432
const readyTimeoutMs = 30_000
const stopTimeoutMs = 20_000

export interface PrivateServer {
  readonly socketFolder: string
  readonly port: number
  readonly user: string
  stop(): Promise<void>
}

export interface ServerWanted {
  /** Of this run; the server's files go below it where the server's user can reach it. */
  readonly folder: string
  /** Survives loss of power, or only the death of processes. */
  readonly durability: 'full' | 'os'
  /** Resolves when the server answers. */
  probe(server: {
    readonly socketFolder: string
    readonly port: number
    readonly user: string
  }): Promise<void>
  log(message: string): void
}

/** Folder with `postgres` and `initdb` of the newest version installed, or undefined. */
export function findBinaries(): string | undefined {
  const candidates: string[] = []
  for (const root of ['/usr/lib/postgresql', '/usr/local/pgsql', '/opt/homebrew/opt', '/usr/local/opt']) {
    for (const name of entriesOf(root)) candidates.push(join(root, name, 'bin'))
    candidates.push(join(root, 'bin'))
  }
  candidates.sort((a, b) => versionIn(b) - versionIn(a))
  // What the user put on the path wins over what lies about.
  candidates.unshift(...(process.env['PATH'] ?? '').split(':').filter((folder) => folder !== ''))
  return candidates.find((folder) => isFile(join(folder, 'postgres')) && isFile(join(folder, 'initdb')))
}

function versionIn(path: string): number {
  return Number(/(\d+)\D*\/bin$/.exec(path)?.[1] ?? 0)
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** @throws ShootoutError `server-failed` */
export async function startServer(binaries: string, wanted: ServerWanted): Promise<PrivateServer> {
  const identity = await unprivileged()
  const folder = makeFolder(wanted.folder, identity)
  const data = join(folder, 'data')
  const user = 'shootout'
  try {
    wanted.log('postgres: making a database cluster')
    const initdb = [
      '--pgdata',
      data,
      '--username',
      user,
      '--auth',
      'trust',
      '--encoding',
      'UTF8',
      '--locale',
      'C',
    ]
    await run(join(binaries, 'initdb'), [...initdb, '--no-sync', '--no-instructions'], {
      ...identity,
      cwd: folder,
    })
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true })
    throw serverError('initdb failed', cause)
  }
  const child = spawnGuarded(join(binaries, 'postgres'), serverArguments(data, folder, wanted.durability), {
    folder,
    identity,
  })
  const server = { socketFolder: folder, port, user }
  try {
    await untilReady(child, () => wanted.probe(server))
  } catch (cause) {
    await stopGuarded(child)
    throw cause
  }
  return { ...server, stop: () => stopGuarded(child) }
}

function serverArguments(data: string, socketFolder: string, durability: 'full' | 'os'): string[] {
  const settings: Record<string, string> = {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    port: String(port),
    max_connections: '300',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    // Other work of the server would disturb what is measured, and tells nothing about a storage.
    log_min_messages: 'fatal',
    ...(durability === 'full' ? {} : { fsync: 'off', full_page_writes: 'off' }),
  }
  return ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
}

interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** The server refuses to run as root; then another user does it. */
async function unprivileged(): Promise<Identity> {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    try {
      const uid = Number((await run('id', ['-u', name])).stdout)
      const gid = Number((await run('id', ['-g', name])).stdout)
      return { uid, gid }
    } catch {
      // There is no such user; the next will do.
    }
  }
  throw new ShootoutError(
    'server-failed',
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it; start as another user',
  )
}

/** Below the folder of the run where the server can reach it and the socket's path is short enough, else elsewhere. */
function makeFolder(wanted: string, identity: Identity): string {
  const isShort = Buffer.byteLength(wanted) <= socketFolderBytesMax - 3
  const isReachable = identity.uid === undefined || isTraversable(dirname(wanted))
  let folder: string
  if (isShort && isReachable) {
    folder = join(wanted, 'pg')
    mkdirSync(folder)
    // The folder of the run is ours alone; the server's user must get through it.
    if (identity.uid !== undefined) chmodSync(wanted, 0o711)
  } else {
    folder = mkdtempSync(join(tmpdir(), 'shootout-pg-'))
  }
  chmodSync(folder, 0o700)
  if (identity.uid !== undefined && identity.gid !== undefined) chownSync(folder, identity.uid, identity.gid)
  return folder
}

function isTraversable(folder: string): boolean {
  for (let current = folder; ; current = dirname(current)) {
    if ((statSync(current).mode & 0o001) === 0) return false
    if (current === dirname(current)) return true
  }
}

const guard = `
  folder=$1; shift
  "$@" </dev/null & server=$!
  ( while kill -0 $server 2>/dev/null; do sleep 1; done; kill $$ 2>/dev/null ) </dev/null >/dev/null 2>&1 & watch=$!
  trap : TERM
  read -r _
  kill $watch 2>/dev/null
  kill -INT $server 2>/dev/null
  wait $server
  cd /; rm -rf "$folder"`

interface Guarded {
  readonly folder: string
  readonly identity: Identity
}

/** Detached: a Ctrl-C at the terminal is for us; the server ends when we have finished with it. */
function spawnGuarded(binary: string, args: readonly string[], { folder, identity }: Guarded): ChildProcess {
  return spawn('/bin/sh', ['-c', guard, 'shootout-server', folder, binary, ...args], {
    ...identity,
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
}

async function untilReady(child: ChildProcess, probe: () => Promise<void>): Promise<void> {
  let said = ''
  child.stderr!.on('data', (data: Buffer) => {
    if (said.length < 4000) said += data.toString()
  })
  const deadline = Date.now() + readyTimeoutMs
  for (;;) {
    try {
      await probe()
      return
    } catch (cause) {
      if (child.exitCode !== null) throw serverError(`the server ended at once: ${said.trim()}`, cause)
      if (Date.now() > deadline) throw serverError(`the server did not answer in time: ${said.trim()}`, cause)
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
  }
}

async function stopGuarded(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
  })
  child.stdin!.end()
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

function serverError(what: string, cause: unknown): ShootoutError {
  const reason = cause instanceof Error ? cause.message.trim() : String(cause)
  return new ShootoutError(
    'server-failed',
    `a private PostgreSQL server could not be started: ${what} (${reason})`,
    { cause },
  )
}
