/** A local Galera cluster of MariaDB nodes. */

import { join } from 'node:path'
import { loadDriver, type MySession } from '../../src/storages/sql/mysql/driver.ts'
import { openControl } from '../../src/storages/sql/mysql/provision.ts'
import { findBinaries } from '../../src/storages/sql/mysql/servers.ts'
import { type Identity, run, type ServerRecipe } from '../../src/storages/sql/private-server.ts'
import { findFile, freePorts, LocalServer, missing } from './local-server.ts'

const packages = 'mariadb-server galera-4 rsync'
const clusterName = `shootout_${process.pid}`

interface Ports {
  /** Where nodes talk to each other. */
  readonly group: number
  /** Where a node that joins takes what it has missed. */
  readonly state: number
  readonly increments: number
}

export interface GaleraNode {
  readonly url: string
  readonly control: MySession
  readonly server: LocalServer
  readonly ports: Ports
}

export class GaleraCluster {
  readonly nodes: GaleraNode[] = []
  readonly #server: string
  readonly #install: string
  readonly #provider: string

  /** @throws Error that names the packages, where they are missing */
  static async start(size: number): Promise<GaleraCluster> {
    const binaries = findBinaries()
    const provider = findFile(['/usr/lib/galera/libgalera_smm.so', '/usr/lib64/galera-4/libgalera_smm.so'])
    if (binaries?.install === undefined) throw missing('MariaDB', packages)
    if (provider === undefined) throw missing('the Galera library', packages)
    if (findFile(['/usr/bin/rsync', '/usr/local/bin/rsync']) === undefined) throw missing('rsync', packages)
    const cluster = new GaleraCluster(binaries.server, binaries.install, provider)
    try {
      for (let node = 0; node < size; node++) await cluster.add()
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  private constructor(server: string, install: string, provider: string) {
    this.#server = server
    this.#install = install
    this.#provider = provider
  }

  /** Starts one more node, which joins those that are there. Resolves when it takes part. */
  async add(): Promise<GaleraNode> {
    const [group = 0, state = 0, increments = 0] = await freePorts(3)
    const ports = { group, state, increments }
    const isFirst = this.nodes.length === 0
    const driver = await loadDriver()
    const recipe: ServerRecipe = {
      title: 'Galera',
      users: ['mysql', 'nobody'],
      signal: 'TERM',
      urlOf,
      prepare: async (folder, identity) => {
        await this.#makeData(folder, identity, isFirst)
        return this.#command(folder, ports, isFirst)
      },
    }
    const server = await LocalServer.start(recipe, 'pid', async (url) => {
      const session = await openControl(driver, url, 'galera')
      try {
        const [row] = await session.query("SHOW GLOBAL STATUS LIKE 'wsrep_ready'")
        if (row?.['Value'] !== 'ON') throw new Error('it has not joined yet')
      } finally {
        await session.close()
      }
    })
    const { url } = server
    const node = { url, control: await openControl(driver, url, 'galera'), server, ports }
    this.nodes.push(node)
    return node
  }

  /** All but the first get their data from another node. */
  async #makeData(folder: string, identity: Identity, isFirst: boolean): Promise<void> {
    const data = join(folder, 'data')
    const options = { ...identity, cwd: folder }
    if (!isFirst) await run('mkdir', [data], options)
    else {
      const how = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db']
      await run(this.#install, [...how, `--datadir=${data}`], options)
    }
  }

  #command(folder: string, ports: Ports, isFirst: boolean): readonly string[] {
    const others = this.nodes.map((node) => `127.0.0.1:${node.ports.group}`)
    const provider = {
      'gmcast.listen_addr': `tcp://127.0.0.1:${ports.group}`,
      'ist.recv_addr': `127.0.0.1:${ports.increments}`,
      'gcache.size': '32M',
      // A node that is killed is given up after some seconds instead of many.
      'evs.keepalive_period': 'PT0.5S',
      'evs.suspect_timeout': 'PT2S',
      'evs.inactive_timeout': 'PT6S',
    }
    return [
      this.#server,
      '--no-defaults',
      `--datadir=${join(folder, 'data')}`,
      `--socket=${join(folder, 'sock')}`,
      `--pid-file=${join(folder, 'pid')}`,
      `--tmpdir=${folder}`,
      '--skip-networking',
      '--max-connections=200',
      '--max-allowed-packet=1G',
      '--innodb-buffer-pool-size=64M',
      '--innodb-log-file-size=48M',
      '--innodb-flush-log-at-trx-commit=2',
      '--innodb-autoinc-lock-mode=2',
      '--binlog-format=ROW',
      '--wsrep-on=ON',
      `--wsrep-provider=${this.#provider}`,
      `--wsrep-provider-options=${Object.entries(provider)
        .map((pair) => pair.join('='))
        .join(';')}`,
      `--wsrep-cluster-name=${clusterName}`,
      `--wsrep-cluster-address=gcomm://${others.join()}`,
      `--wsrep-node-address=127.0.0.1:${ports.group}`,
      `--wsrep-sst-receive-address=127.0.0.1:${ports.state}`,
      '--wsrep-sst-method=rsync',
      // Several, so that transactions of other nodes are applied side by side.
      '--wsrep-slave-threads=4',
      ...(isFirst ? ['--wsrep-new-cluster'] : []),
    ]
  }

  /** Resolves when the nodes that are left agree that they are so many. */
  async untilSize(size: number): Promise<void> {
    const end = Date.now() + 60_000
    for (;;) {
      const sizes = await Promise.all(this.nodes.map(({ control }) => sizeOf(control)))
      if (sizes.every((one) => one === `Primary ${size}`)) return
      if (Date.now() > end) throw new Error(`the cluster did not come to ${size} nodes: ${sizes.join(', ')}`)
      await new Promise((resolve) => {
        setTimeout(resolve, 200)
      })
    }
  }

  /** A node's machine goes down. */
  async kill(node: GaleraNode): Promise<void> {
    this.nodes.splice(this.nodes.indexOf(node), 1)
    await node.server.kill()
    await node.control.close()
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.splice(0).reverse()) {
      await node.control.close()
      await node.server.stop()
    }
  }
}

function urlOf(folder: string): string {
  return `mysql://root@localhost/?socketPath=${encodeURIComponent(join(folder, 'sock'))}`
}

async function sizeOf(control: MySession): Promise<string> {
  const rows = await control.query(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_cluster_status')",
  )
  const values = new Map(rows.map((row) => [String(row['Variable_name']), String(row['Value'])]))
  return `${values.get('wsrep_cluster_status')} ${values.get('wsrep_cluster_size')}`
}
