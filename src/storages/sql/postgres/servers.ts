/** Private PostgreSQL servers, from the binaries of the system, or from an npm package where there are none. */

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { GuardedServer, isFile, makeServerFolder, run, serverError, unprivileged } from '../private-server.ts'
import { findPackaged, isPackaged, unpack } from './packaged.ts'

const port = 5432

export interface PrivateServer {
  readonly socketFolder: string
  readonly port: number
  readonly user: string
  readonly pid: number
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
  const system = candidates.find(
    (folder) => isFile(join(folder, 'postgres')) && isFile(join(folder, 'initdb')),
  )
  return system ?? findPackaged()
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

/** @throws ShootoutError `server-failed` */
export async function startServer(binaries: string, wanted: ServerWanted): Promise<PrivateServer> {
  const identity = await unprivileged(['postgres', 'nobody'])
  const folder = makeServerFolder(wanted.folder, identity)
  const data = join(folder, 'data')
  const user = 'shootout'
  let bin = binaries
  try {
    if (isPackaged(binaries)) bin = await unpack(binaries, folder, identity)
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
    await run(join(bin, 'initdb'), [...initdb, '--no-sync', '--no-instructions'], {
      ...identity,
      cwd: folder,
    })
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true })
    throw serverError('PostgreSQL', 'initdb failed', cause)
  }
  const command = [join(bin, 'postgres'), ...serverArguments(data, folder, wanted.durability)]
  const server = new GuardedServer('PostgreSQL', command, { folder, identity, signal: 'INT' })
  const found = { socketFolder: folder, port, user }
  await server.untilReady(() => wanted.probe(found))
  return { ...found, pid: server.pid, stop: () => server.stop() }
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
