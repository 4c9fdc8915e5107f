/** A local PostgreSQL primary and a streaming replica of it. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { loadDriver, type PgSession } from '../../src/storages/sql/postgres/driver.ts'
import { openControl } from '../../src/storages/sql/postgres/provision.ts'
import { type Identity, run, type ServerRecipe } from '../../src/storages/sql/private-server.ts'
import { findFile, LocalServer, missing } from './local-server.ts'

const packages = 'postgresql'
const user = 'shootout'

export interface PgNode {
  readonly url: string
  readonly control: PgSession
  readonly server: LocalServer
}

export class PostgresCluster {
  readonly primary: PgNode
  readonly #bin: string
  readonly #nodes: PgNode[] = []

  /** A primary alone. @throws Error that names the packages, where they are missing */
  static async start(): Promise<PostgresCluster> {
    const bin = findBinaries()
    const primary = await startNode(bin, 'PostgreSQL', async (data, options) => {
      const how = ['--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C', '--no-sync', '--no-instructions']
      await run(join(bin, 'initdb'), ['--pgdata', data, '--username', user, ...how], options)
    })
    return new PostgresCluster(bin, primary)
  }

  private constructor(bin: string, primary: PgNode) {
    this.#bin = bin
    this.primary = primary
    this.#nodes.push(primary)
  }

  /** A replica that follows the primary. */
  async addReplica(): Promise<PgNode> {
    const replica = await startNode(this.#bin, 'PostgreSQL replica', async (data, options) => {
      const from = ['--host', this.primary.server.folder, '--port', '5432', '--username', user]
      const how = ['--wal-method', 'stream', '--write-recovery-conf', '--checkpoint', 'fast', '--no-sync']
      await run(join(this.#bin, 'pg_basebackup'), ['--pgdata', data, ...from, ...how], options)
    })
    this.#nodes.push(replica)
    return replica
  }

  /** A server of its own, with nothing to do with the others. */
  async addStranger(): Promise<PgNode> {
    const other = await PostgresCluster.start()
    this.#nodes.push(other.primary)
    return other.primary
  }

  /** Resolves when the replica has all that the primary has by now. */
  async untilCaughtUp(replica: PgNode): Promise<void> {
    const [row] = await this.primary.control.rows({ text: 'SELECT pg_current_wal_lsn()::text' })
    const end = Date.now() + 30_000
    for (;;) {
      const [caughtUp] = await replica.control.rows(
        { text: 'SELECT (pg_last_wal_replay_lsn() >= $1::pg_lsn)::text' },
        row![0]!,
      )
      if (caughtUp![0] === 'true') return
      if (Date.now() > end) throw new Error('the replica does not catch up')
      await new Promise((resolve) => {
        setTimeout(resolve, 20)
      })
    }
  }

  /** Sets what a server reads anew while it runs; undefined: back to what it was. */
  async configure(node: PgNode, setting: string, value: string | undefined): Promise<void> {
    const change = value === undefined ? `RESET ${setting}` : `SET ${setting} = '${value}'`
    await node.control.rows({ text: `ALTER SYSTEM ${change}` })
    await node.control.rows({ text: 'SELECT pg_reload_conf()' })
  }

  /** Its machine goes down. */
  async kill(node: PgNode): Promise<void> {
    this.#nodes.splice(this.#nodes.indexOf(node), 1)
    await node.server.kill()
    await node.control.close()
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes.splice(0).reverse()) {
      await node.control.close()
      await node.server.stop()
    }
  }
}

/** Folder with all that is needed, of the newest version. */
function findBinaries(): string {
  const root = '/usr/lib/postgresql'
  const versions = findFile([root]) === undefined ? [] : readdirSync(root)
  const newest = versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, 'bin'))
  const folder = newest.find((bin) => findFile([join(bin, 'pg_basebackup')]) !== undefined)
  if (folder === undefined) throw missing('PostgreSQL, with pg_basebackup,', packages)
  return folder
}

type RunOptions = Identity & { readonly cwd: string }

async function startNode(
  bin: string,
  title: string,
  makeData: (data: string, options: RunOptions) => Promise<void>,
): Promise<PgNode> {
  const driver = await loadDriver()
  const recipe: ServerRecipe = {
    title,
    users: ['postgres', 'nobody'],
    signal: 'INT',
    urlOf: (folder) => `postgresql://${user}@/postgres?host=${encodeURIComponent(folder)}&port=5432`,
    async prepare(folder, identity) {
      const data = join(folder, 'data')
      await makeData(data, { ...identity, cwd: folder })
      return [join(bin, 'postgres'), '-D', data, ...settings(folder)]
    },
  }
  const probe = async (url: string) => (await openControl(driver, url, 'postgres')).close()
  const server = await LocalServer.start(recipe, 'data/postmaster.pid', probe)
  return { url: server.url, control: await openControl(driver, server.url, 'postgres'), server }
}

function settings(socketFolder: string): readonly string[] {
  const values = {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    port: '5432',
    max_connections: '100',
    shared_buffers: '64MB',
    fsync: 'off',
    full_page_writes: 'off',
    log_min_messages: 'fatal',
    // What a replica asks for after its primary is back, or itself: at once.
    wal_retrieve_retry_interval: '200ms',
  }
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}
