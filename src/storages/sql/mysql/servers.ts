/** Private MariaDB or MySQL servers, from the binaries of the system. */

import { realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isFile, type PrivateServer, run, type ServerWanted, startPrivateServer } from '../private-server.ts'

export interface Binaries {
  readonly server: string
  /** MariaDB makes its data folder with a script, MySQL with the server itself. */
  readonly install: string | undefined
}

const usualFolders = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/bin',
  '/usr/local/mysql/bin',
  '/opt/homebrew/bin',
] as const

/** Of several servers the first: what the user put on the path wins over what lies about. */
export function findBinaries(path: string = process.env['PATH'] ?? ''): Binaries | undefined {
  const folders = [...path.split(':').filter((folder) => folder !== ''), ...usualFolders]
  const install = folders.map((folder) => join(folder, 'mariadb-install-db')).find(isFile)
  for (const folder of folders) {
    const mariadbd = join(folder, 'mariadbd')
    if (install !== undefined && isFile(mariadbd)) return { server: mariadbd, install }
    const mysqld = join(folder, 'mysqld')
    // MariaDB calls its server that, too.
    if (isFile(mysqld) && basename(realpathSync(mysqld)) !== 'mariadbd') {
      return { server: mysqld, install: undefined }
    }
  }
  return undefined
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
        const { durability } = wanted
        return [binaries.server, ...serverArguments(binaries, { data, socket, folder, durability })]
      },
      urlOf: (folder) => `mysql://root@localhost/?socketPath=${encodeURIComponent(socketOf(folder))}`,
    },
    wanted,
  )
}

function installCommand({ server, install }: Binaries, data: string): readonly string[] {
  return install === undefined
    ? [server, '--no-defaults', '--initialize-insecure', `--datadir=${data}`, ...mysqlArguments]
    : [
        install,
        '--no-defaults',
        `--datadir=${data}`,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
      ]
}

/** What was given up between versions of MySQL is `loose`: who does not know it goes on. */
const mysqlArguments = [
  // The folder that is compiled in need not be there, and without it the server ends.
  '--secure-file-priv=NULL',
  // It would listen at a socket that all servers of the machine share.
  '--loose-mysqlx=OFF',
  '--loose-innodb-redo-log-capacity=256M',
] as const

interface Places {
  readonly data: string
  readonly socket: string
  readonly folder: string
  readonly durability: 'full' | 'os'
}

function serverArguments(
  { install }: Binaries,
  { data, socket, folder, durability }: Places,
): readonly string[] {
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
    ...(install === undefined ? mysqlArguments : ['--innodb-log-file-size=256M']),
    `--innodb-flush-log-at-trx-commit=${durability === 'full' ? 1 : 2}`,
  ]
}
