/**
 * Sees to it that the servers of these tests are MySQL's: those of the `mysqld` on the path, or else of one from Debian's
 * archive. That has no release with MySQL in it, so packages of its unstable suite are unpacked, with every library they
 * need, into a folder of their own, where the loader of their own C library runs them. Nothing is installed.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findBinaries } from '../../src/storages/sql/mysql/servers.ts'

/** Where another user can reach it: as root, servers run as one. */
const folder = `/var/tmp/shootout-mysql-${process.getuid?.() ?? 0}`
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

export default function prepare(): void {
  const found = findBinaries()
  if (found !== undefined && found.install === undefined) return
  if (!existsSync(folder)) unpackInto(folder)
  if (statSync(folder).uid !== process.getuid?.()) throw new Error(`${folder} is somebody else's; remove it`)
  process.env['PATH'] = `${join(folder, 'bin')}:${process.env['PATH']}`
}

function unpackInto(target: string): void {
  if (!existsSync(keyring)) {
    throw new Error(
      'there is no mysqld of MySQL on the path, and none can be fetched; install MySQL, or on Debian and Ubuntu: apt-get install -y debian-archive-keyring',
    )
  }
  console.log(`fetching MySQL from Debian's archive into ${target}: 60 MB`)
  const made = `${target}.${process.pid}`
  const apt = join(made, 'apt')
  for (const place of ['lists/partial', 'archives/partial', 'none', '../root', '../bin']) {
    mkdirSync(join(apt, place), { recursive: true })
  }
  writeFileSync(join(apt, 'status'), '')
  writeFileSync(join(apt, 'sources'), `deb [signed-by=${keyring}] http://deb.debian.org/debian sid main\n`)
  const settings = {
    'Dir::State': apt,
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': apt,
    'Dir::Etc::sourcelist': join(apt, 'sources'),
    'Dir::Etc::sourceparts': join(apt, 'none'),
    'Dir::Etc::preferencesparts': join(apt, 'none'),
    'APT::Install-Recommends': 'false',
    // A mirror that is some weeks behind will do for tests.
    'Acquire::Check-Valid-Until': 'false',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  for (const command of [['update'], ['--yes', '--download-only', 'install', 'mysql-server-core']]) {
    execFileSync('apt-get', ['-qq', ...options, ...command], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const archives = join(apt, 'archives')
  const root = join(made, 'root')
  for (const name of readdirSync(archives).filter((one) => one.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['--extract', join(archives, name), root])
  }
  writeFileSync(join(made, 'bin/mysqld'), wrapper)
  chmodSync(join(made, 'bin/mysqld'), 0o755)
  execFileSync(join(made, 'bin/mysqld'), ['--version'])
  execFileSync('rm', ['-r', apt])
  renameSync(made, target)
}

/** Some options must come first, so ours comes last. */
const wrapper = `#!/bin/sh
root=$(dirname "$0")/../root
exec "$root"/usr/lib*/ld-linux-*.so.? --library-path "$(echo "$root"/usr/lib/*-linux-gnu)" \\
  "$root/usr/sbin/mysqld" "$@" --basedir="$root/usr"
`
