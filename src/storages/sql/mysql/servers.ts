/** Private MariaDB or MySQL servers, from the binaries of the system. */

import { join } from 'node:path'
import { isFile, type PrivateServer, run, type ServerWanted, startPrivateServer } from '../private-server.ts'

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
export function startServer(binaries: Binaries, wanted: ServerWanted): Promise<PrivateServer> {
  const socketOf = (folder: string): string => join(folder, 'sock')
  return startPrivateServer(
    {
      title: 'MariaDB or MySQL',
      users: ['mysql', 'nobody'],
      signal: 'TERM',
      async prepare(folder, identity) {
        const data = join(folder, 'data')
        const [command, ...args] = installCommand(binaries, data)
        await run(command!, args, { ...identity, cwd: folder })
        const socket = socketOf(folder)
        return [binaries.server, ...serverArguments({ data, socket, folder, durability: wanted.durability })]
      },
      urlOf: (folder) => `mysql://root@localhost/?socketPath=${encodeURIComponent(socketOf(folder))}`,
    },
    wanted,
  )
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
