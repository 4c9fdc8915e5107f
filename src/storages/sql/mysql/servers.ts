/** Private MariaDB or MySQL servers, from the binaries of the system. */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { GuardedServer, isFile, makeServerFolder, run, serverError, unprivileged } from '../private-server.ts'

export interface PrivateServer {
  readonly socket: string
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
  probe(server: { readonly socket: string; readonly user: string }): Promise<void>
  log(message: string): void
}

export interface Binaries {
  readonly server: string
  /** MariaDB makes its data folder with a script, MySQL with the server itself. */
  readonly install: string | undefined
}

export function findBinaries(): Binaries | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(':').filter((folder) => folder !== ''),
    ...['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/mysql/bin', '/opt/homebrew/bin'],
  ]
  const find = (name: string): string | undefined =>
    folders.map((folder) => join(folder, name)).find((path) => isFile(path))
  const mariadbd = find('mariadbd')
  const install = find('mariadb-install-db')
  if (mariadbd !== undefined && install !== undefined) return { server: mariadbd, install }
  const mysqld = find('mysqld')
  return mysqld === undefined ? undefined : { server: mysqld, install: undefined }
}

/** @throws ShootoutError `server-failed` */
export async function startServer(binaries: Binaries, wanted: ServerWanted): Promise<PrivateServer> {
  const identity = await unprivileged(['mysql', 'nobody'])
  const folder = makeServerFolder(wanted.folder, identity)
  const data = join(folder, 'data')
  const socket = join(folder, 'sock')
  try {
    wanted.log('mysql: making a data folder')
    const [command, ...args] = installCommand(binaries, data)
    await run(command!, args, { ...identity, cwd: folder })
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true })
    throw serverError('MariaDB or MySQL', 'making its data folder failed', cause)
  }
  const command = [
    binaries.server,
    ...serverArguments({ data, socket, folder, durability: wanted.durability }),
  ]
  const server = new GuardedServer('MariaDB or MySQL', command, { folder, identity, signal: 'TERM' })
  const found = { socket, user: 'root' }
  await server.untilReady(() => wanted.probe(found))
  return { ...found, pid: server.pid, stop: () => server.stop() }
}

function installCommand({ server, install }: Binaries, data: string): readonly string[] {
  return install === undefined
    ? [server, '--no-defaults', '--initialize-insecure', `--datadir=${data}`]
    : [
        install,
        '--no-defaults',
        `--datadir=${data}`,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
      ]
}

interface Places {
  readonly data: string
  readonly socket: string
  readonly folder: string
  readonly durability: 'full' | 'os'
}

function serverArguments({ data, socket, folder, durability }: Places): readonly string[] {
  return [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${socket}`,
    `--pid-file=${join(folder, 'pid')}`,
    `--tmpdir=${folder}`,
    '--skip-networking',
    '--skip-log-bin',
    '--max-connections=300',
    '--max-allowed-packet=1G',
    '--innodb-buffer-pool-size=256M',
    '--innodb-log-file-size=256M',
    `--innodb-flush-log-at-trx-commit=${durability === 'full' ? 1 : 2}`,
  ]
}
