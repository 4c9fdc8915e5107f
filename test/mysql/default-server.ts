/**
 * A MySQL server as it is when nobody has set anything: with a binary log, on TCP, with certificates of its own, and
 * passwords by caching_sha2_password. When it is killed it starts again over the same data, as a service does.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDriver } from '../../src/storages/sql/mysql/driver.ts'
import { openControl } from '../../src/storages/sql/mysql/provision.ts'
import { findBinaries } from '../../src/storages/sql/mysql/servers.ts'
import { run } from '../../src/storages/sql/private-server.ts'
import { freePorts, LocalServer } from '../cluster/local-server.ts'

const again = `
  trap 'ending=yes; kill -TERM $server' TERM
  while [ -z "$ending" ]; do "$@" & server=$!; wait $server; done
  wait $server`

export interface DefaultServer {
  readonly url: string
  /** Of a private server: by which it can be killed. */
  readonly folder: string | undefined
  stop(): Promise<void>
}

/** That of SHOOTOUT_TEST_MYSQL, or one of our own. */
export async function startDefaultServer(): Promise<DefaultServer> {
  const url = process.env['SHOOTOUT_TEST_MYSQL']
  if (url !== undefined) return { url, folder: undefined, stop: async () => {} }
  const server = findBinaries()!.server
  const [port = 0] = await freePorts(1)
  const local = await LocalServer.start(
    {
      title: 'MySQL',
      users: ['mysql', 'nobody'],
      signal: 'TERM',
      urlOf: () => `mysql://root@127.0.0.1:${port}/`,
      async prepare(folder, identity) {
        // The folder that is compiled in need not be there.
        const common = ['--no-defaults', `--datadir=${join(folder, 'data')}`, '--secure-file-priv=NULL']
        await run(server, [...common, '--initialize-insecure'], { ...identity, cwd: folder })
        const places = [`--socket=${join(folder, 'sock')}`, `--pid-file=${join(folder, 'pid')}`]
        const listening = ['--bind-address=127.0.0.1', `--port=${port}`, '--loose-mysqlx=OFF']
        return ['/bin/sh', '-c', again, 'mysqld', server, ...common, ...places, ...listening]
      },
    },
    'pid',
    async (place) => (await openControl(await loadDriver(), place, 'test')).close(),
  )
  return { url: local.url, folder: local.folder, stop: () => local.stop() }
}

/** As a crash would end it. */
export function killServer(folder: string): void {
  process.kill(Number.parseInt(readFileSync(join(folder, 'pid'), 'utf8'), 10), 'SIGKILL')
}
