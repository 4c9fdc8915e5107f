/** The databases of a run on a MySQL or MariaDB server. The mark of a database is a table, its lock one by its name. */

import { type Durability, zeroCounters } from '../../storage.ts'
import { checkIdentifier } from '../schema-check.ts'
import { type ServerControl, type ServerFacts, storePrefix } from '../server-module.ts'
import type { MyDriver, MySession } from './driver.ts'
import { dialectOf, markTable } from './schema.ts'

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
    await this.#session.query(`CREATE TABLE ${database}.${markTable} (made_by VARCHAR(100)) ENGINE = InnoDB`)
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
    const [row] = await this.#session.query(`SELECT GET_LOCK('${database}', 0) AS is_ours`)
    return Number(row!['is_ours']) === 1
  }

  async readFacts(): Promise<ServerFacts> {
    await dialectOf(this.#session, this.#title)
    const names = [
      'version',
      'innodb_flush_log_at_trx_commit',
      'innodb_doublewrite',
      'log_bin',
      'sync_binlog',
    ]
    const facts: Record<string, string> = {}
    for (const name of names) {
      const [row] = await this.#session.query(`SELECT @@GLOBAL.${name} AS value`)
      facts[name] = String(row!['value'])
    }
    return { facts, durability: durabilityOf(facts) }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function durabilityOf(facts: Readonly<Record<string, string>>): Durability {
  const flush = facts['innodb_flush_log_at_trx_commit']
  // 0: the server keeps the newest commits in its own memory for a second.
  if (flush === '0') return 'memory'
  return flush === '1' && /^(1|ON)$/i.test(facts['innodb_doublewrite'] ?? '') ? 'full' : 'os'
}
