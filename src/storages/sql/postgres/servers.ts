/** Private PostgreSQL servers, from the binaries of the system, or from an npm package where there are none. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isFile, type PrivateServer, run, type ServerWanted, startPrivateServer } from '../private-server.ts'
import { findPackaged, isPackaged, unpack } from './packaged.ts'

const port = 5432
const user = 'shootout'

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
export function startServer(binaries: string, wanted: ServerWanted): Promise<PrivateServer> {
  return startPrivateServer(
    {
      title: 'PostgreSQL',
      users: ['postgres', 'nobody'],
      signal: 'INT',
      async prepare(folder, identity) {
        const data = join(folder, 'data')
        const bin = isPackaged(binaries) ? await unpack(binaries, folder, identity) : binaries
        const account = ['--username', user, '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C']
        const initdb = ['--pgdata', data, ...account, '--no-sync', '--no-instructions']
        await run(join(bin, 'initdb'), initdb, { ...identity, cwd: folder })
        return [join(bin, 'postgres'), ...serverArguments(data, folder, wanted.durability)]
      },
      // The folder of the socket.
      urlOf: (folder) => `postgresql://${user}@/postgres?host=${encodeURIComponent(folder)}&port=${port}`,
    },
    wanted,
  )
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
