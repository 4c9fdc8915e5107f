/**
 * The databases of a run on a MySQL or MariaDB server. The mark of a database is a table, its lock one by its name. In a
 * cluster such a lock is known to one node alone, so the mark names that node, and no other node removes anything.
 */

import { type Durability, zeroCounters } from '../../storage.ts'
import { checkIdentifier } from '../schema-check.ts'
import { type ServerControl, type ServerFacts, storePrefix } from '../server-module.ts'
import type { MyDriver, MySession } from './driver.ts'
import { isClusterNode } from './galera.ts'
import { dialectOf, markTable } from './schema.ts'

/** Names a server among the nodes of its cluster. */
const thisServer = "CONCAT(@@hostname, ':', @@datadir)"

export function openControl(driver: MyDriver, url: string, title: string): Promise<MySession> {
  return driver.connect(url, { title, counters: zeroCounters(), prepare: [] })
}

export class MysqlControl implements ServerControl {
  readonly #session: MySession
  /** For messages. */
  readonly #title: string

  constructor(session: MySession, title: string) {
    this.#session = session
    this.#title = title
  }

  async createPlace(database: string): Promise<void> {
    checkIdentifier('database', database)
    await this.#session.query(`SELECT GET_LOCK('${database}', 0)`)
    await this.#session.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`)
    await this.#session.query(
      `CREATE TABLE ${database}.${markTable} (made_by VARCHAR(600) CHARACTER SET latin1 PRIMARY KEY) ENGINE = InnoDB`,
    )
    await this.#session.query(`INSERT INTO ${database}.${markTable} VALUES (${thisServer})`)
  }

  async dropPlace(database: string): Promise<void> {
    await this.#session.query(`DROP DATABASE IF EXISTS ${database}`)
    await this.#session.query(`SELECT RELEASE_LOCK('${database}')`)
  }

  async markedPlaces(): Promise<readonly string[]> {
    const marked = await this.#session.rows(
      'SELECT table_schema AS name FROM information_schema.tables WHERE table_name = ?',
      markTable,
    )
    return marked.map(({ name }) => String(name)).filter((name) => name.startsWith(storePrefix))
  }

  async tryLock(database: string): Promise<boolean> {
    checkIdentifier('database', database)
    if (!(await this.#isKnownHere(database))) return false
    const [row] = await this.#session.query(`SELECT GET_LOCK('${database}', 0) AS is_ours`)
    return Number(row!['is_ours']) === 1
  }

  /** Whoever has the lock has it on this server. */
  async #isKnownHere(database: string): Promise<boolean> {
    if (!(await isClusterNode(this.#session))) return true
    const [row] = await this.#session.query(
      `SELECT made_by, ${thisServer} AS here FROM ${database}.${markTable}`,
    )
    return row !== undefined && row['made_by'] === row['here']
  }

  async readFacts(): Promise<ServerFacts> {
    await dialectOf(this.#session, this.#title)
    const names = [
      'version',
      'innodb_flush_log_at_trx_commit',
      'innodb_doublewrite',
      'innodb_flush_method',
      'log_bin',
      'sync_binlog',
    ]
    const facts: Record<string, string> = {}
    for (const name of names) {
      const [row] = await this.#session.query(`SELECT @@GLOBAL.${name} AS value`)
      facts[name] = String(row!['value'])
    }
    const isCluster = await isClusterNode(this.#session)
    const told = isCluster ? ['wsrep_cluster_size', 'wsrep_provider_version'] : ['Innodb_redo_log_enabled']
    const statuses = await this.#session.query(
      `SHOW GLOBAL STATUS WHERE Variable_name IN ('${told.join("', '")}')`,
    )
    for (const row of statuses) facts[String(row['Variable_name'])] = String(row['Value'])
    return { facts, durability: durabilityOf(facts) }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** What a server promises of commits, by its settings. */
export function durabilityOf(facts: Readonly<Record<string, string>>): Durability {
  const { innodb_flush_log_at_trx_commit: flush, sync_binlog: binlogSync } = facts
  // 0: the server keeps the newest commits in its own memory for a second. Without redo log, it keeps all of them there.
  if (flush === '0' || facts['Innodb_redo_log_enabled'] === 'OFF') return 'memory'
  // A commit that the binary log has lost is undone when the server recovers, whatever InnoDB has.
  const canBeUndone = /^(1|ON)$/i.test(facts['log_bin'] ?? '') && binlogSync !== '1'
  const isSynced = /^[13]$/.test(flush ?? '') && facts['innodb_flush_method'] !== 'nosync'
  const isWhole = /^(1|ON|DETECT_AND_RECOVER)$/i.test(facts['innodb_doublewrite'] ?? '')
  return isSynced && isWhole && !canBeUndone ? 'full' : 'os'
}
