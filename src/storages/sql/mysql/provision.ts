/**
 * Where the stores of a run come from: a private server, or the server that a url names. Either way each store is a
 * database `shootout_<name>` of its own. A session of the run keeps a lock by that name for as long as it lives; a
 * database that carries our mark and whose lock is free is left over from a run that died, and is removed.
 */

import { randomUUID } from 'node:crypto'
import { type Durability, zeroCounters } from '../../storage.ts'
import type { MyDriver, MySession } from './driver.ts'
import { checkDatabaseName, markTable } from './schema.ts'

const prefix = 'shootout_'

/** Opens a session for administration: it creates and drops databases, and keeps the locks of those in use. */
export function openControl(driver: MyDriver, url: string, title: string): Promise<MySession> {
  return driver.connect(url, { title, counters: zeroCounters(), prepare: [] })
}

/** Makes a fresh database, locked. Returns its name. The store is installed by whoever opens it first. */
export async function createStoreDatabase(control: MySession, name: string): Promise<string> {
  const database = `${prefix}${name}_${randomUUID().slice(0, 8)}`.slice(0, 63)
  checkDatabaseName(database)
  await control.query(`SELECT GET_LOCK('${database}', 0)`)
  await control.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`)
  await control.query(`CREATE TABLE ${database}.${markTable} (made_by VARCHAR(100)) ENGINE = InnoDB`)
  return database
}

export async function dropStoreDatabase(control: MySession, database: string): Promise<void> {
  await control.query(`DROP DATABASE IF EXISTS ${database}`)
  await control.query(`SELECT RELEASE_LOCK('${database}')`)
}

/** Removes what runs that died have left. */
export async function dropOrphans(control: MySession, log: (message: string) => void): Promise<void> {
  const marked = await control.rows(
    'SELECT table_schema AS name FROM information_schema.tables WHERE table_name = ?',
    markTable,
  )
  for (const { name } of marked) {
    const database = String(name)
    if (!database.startsWith(prefix)) continue
    checkDatabaseName(database)
    const [row] = await control.query(`SELECT GET_LOCK('${database}', 0) AS is_ours`)
    if (Number(row!['is_ours']) !== 1) continue
    log(`mysql: removing ${database}, left over from a run that died`)
    await dropStoreDatabase(control, database)
  }
}

export interface ServerFacts {
  readonly facts: Readonly<Record<string, string>>
  readonly durability: Durability
}

/** What the live server says about itself. */
export async function readFacts(control: MySession): Promise<ServerFacts> {
  const names = ['version', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog']
  const facts: Record<string, string> = {}
  for (const name of names) {
    const [row] = await control.query(`SELECT @@GLOBAL.${name} AS value`)
    facts[name] = String(row!['value'])
  }
  return { facts, durability: durabilityOf(facts) }
}

function durabilityOf(facts: Readonly<Record<string, string>>): Durability {
  const flush = facts['innodb_flush_log_at_trx_commit']
  // 0: the server keeps the newest commits in its own memory for a second.
  if (flush === '0') return 'memory'
  return flush === '1' && /^(1|ON)$/i.test(facts['innodb_doublewrite'] ?? '') ? 'full' : 'os'
}
