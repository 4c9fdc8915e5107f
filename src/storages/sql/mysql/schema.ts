/**
 * The schema of a MySQL or MariaDB store: one database holds everything, so dropping it removes the store and nothing
 * else. Made when the database is missing or empty; a database that holds something else is left as it is.
 */

import { ShootoutError } from '../../../core/errors.ts'
import { checkStoreVersion, noStoreError } from '../schema-check.ts'
import type { MySession } from './driver.ts'
import { isClusterNode } from './galera.ts'
import { type Dialect, fillSlots, groupBits, mariadb, mysql, procedures } from './procedures.ts'
import { newLife } from './statements.ts'

/** Counted up when tables or procedures change. */
const schemaVersion = 7

/** Making a store takes a second or so; many may be made one after the other. */
const installSeconds = 60

/** A table by which databases that a run made are known. */
export const markTable = 'shootout_run'

const tableOptions = 'ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'

const freeTables = [
  `CREATE TABLE object_state (
    oid BIGINT NOT NULL PRIMARY KEY, tid BIGINT NOT NULL, data LONGBLOB, KEY object_state_tid (tid)) ${tableOptions}`,
]

const historyTables = [
  `CREATE TABLE revision (
    oid BIGINT NOT NULL, tid BIGINT NOT NULL, data LONGBLOB,
    PRIMARY KEY (oid, tid), KEY revision_tid (tid, oid)) ${tableOptions}`,
  // The rows that votes lock.
  `CREATE TABLE current_object (oid BIGINT NOT NULL PRIMARY KEY, tid BIGINT NOT NULL) ${tableOptions}`,
  `CREATE TABLE transaction_log (
    tid BIGINT NOT NULL PRIMARY KEY, user_name MEDIUMTEXT NOT NULL, description MEDIUMTEXT NOT NULL,
    extension MEDIUMBLOB NOT NULL) ${tableOptions}`,
]

// Sizes stand in the link, so that a chunk is found without looking at others. Ids are never used again.
const blobTables = [
  `CREATE TABLE blob_chunk (
    blob_id BIGINT NOT NULL, number INT NOT NULL, data LONGBLOB NOT NULL, PRIMARY KEY (blob_id, number)) ${tableOptions}`,
  `CREATE TABLE pending_blob (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP) ${tableOptions}`,
  `CREATE TABLE object_blob (
    oid BIGINT NOT NULL, tid BIGINT NOT NULL,
    blob_id BIGINT NOT NULL, bytes BIGINT NOT NULL, chunk_bytes BIGINT NOT NULL,
    -- Counted up by whoever takes the blob over into another revision.
    kept BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (oid, tid), KEY object_blob_blob (blob_id), KEY object_blob_tid (tid)) ${tableOptions}`,
]

/** First: whoever makes it makes the store, on whichever node of a cluster. Under its name only when all is there. */
const newState = `CREATE TABLE new_state (
    id INT NOT NULL PRIMARY KEY, version INT NOT NULL, history INT NOT NULL,
    tid BIGINT NOT NULL, horizon BIGINT NOT NULL, packed BIGINT NOT NULL, life BIGINT NOT NULL) ${tableOptions}`

const fillState = (history: boolean): readonly string[] => [
  `CREATE TABLE oid_state (id INT NOT NULL PRIMARY KEY, next_oid BIGINT NOT NULL) ${tableOptions}`,
  `INSERT INTO oid_state VALUES (1, ${1 << groupBits})`,
  // Its rows are locked by who makes new objects; in a cluster they are changed, too.
  `CREATE TABLE lock_slot (id INT NOT NULL PRIMARY KEY, turn BIGINT NOT NULL) ${tableOptions}`,
  fillSlots,
  `INSERT INTO new_state VALUES (1, ${schemaVersion}, ${history ? 1 : 0}, 0, 0, 0, ${newLife})`,
  'RENAME TABLE new_state TO store_state',
]

export interface SchemaWanted {
  readonly title: string
  readonly database: string
  readonly history: boolean
  readonly readOnly: boolean
}

/** Which of the two servers this is. @throws ShootoutError `server-too-old` */
export async function dialectOf(session: MySession, title: string): Promise<Dialect> {
  const [row] = await session.query('SELECT VERSION() AS version')
  const version = String(row!['version'])
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const isMariadb = version.includes('MariaDB')
  const isRecent = isMariadb ? major > 10 || (major === 10 && minor >= 6) : major >= 8
  if (isRecent) return isMariadb ? mariadb : mysql
  throw new ShootoutError(
    'server-too-old',
    `${title}: the server is ${version}; MariaDB 10.6 or MySQL 8.0 is needed for SKIP LOCKED and JSON_TABLE. Update it, or name another server with url`,
    { details: { version } },
  )
}

/**
 * @returns which of the two servers it is
 * @throws ShootoutError `foreign-database`, `schema-version`, `schema-history`, `no-store`, `server-too-old`
 */
export async function installSchema(session: MySession, wanted: SchemaWanted): Promise<Dialect> {
  const { title, database } = wanted
  const dialect = await dialectOf(session, title)
  if ((await stateOf(session, wanted)) !== 'whole') {
    if (wanted.readOnly) throw noStoreError(title)
    // Whoever opens a fresh store at the same moment waits here, and then finds it made. Tables without a state are
    // somebody else's only if nobody is making them now, so that is judged here too. Names of locks may have 64 letters.
    const lock = `CONCAT('shootout install ', LEFT(SHA2('${database}', 256), 32))`
    await session.query(`SELECT GET_LOCK(${lock}, ${installSeconds})`)
    try {
      await install(session, wanted, dialect)
    } finally {
      await session.query(`SELECT RELEASE_LOCK(${lock})`)
    }
  }
  await session.query(`USE ${database}`)
  return dialect
}

async function install(session: MySession, wanted: SchemaWanted, dialect: Dialect): Promise<void> {
  const { title, database, history } = wanted
  const state = await stateOf(session, wanted)
  if (state === 'whole') return
  await session.query(`CREATE DATABASE IF NOT EXISTS ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`)
  await session.query(`USE ${database}`)
  if (state === 'partial' || !(await isMade(session, newState))) {
    if (await isMadeElsewhere(session, wanted)) return
    throw new ShootoutError(
      'foreign-database',
      `${title}: the database ${database} holds something else, or a store whose making was interrupted; nothing was changed. Name another database`,
    )
  }
  const tables = history ? historyTables : freeTables
  const statements = [...tables, ...blobTables, ...procedures(history, dialect), ...fillState(history)]
  for (const statement of statements) await session.query(statement)
}

/** False when the table is there already. */
async function isMade(session: MySession, statement: string): Promise<boolean> {
  try {
    await session.query(statement)
    return true
  } catch (error) {
    const isThere = error instanceof ShootoutError && error.details['mysqlCode'] === 'ER_TABLE_EXISTS_ERROR'
    if (isThere) return false
    throw error
  }
}

/** The lock is one node's own: a client of another node may be making the store. Then this waits until it is there. */
async function isMadeElsewhere(session: MySession, wanted: SchemaWanted): Promise<boolean> {
  if (!(await isClusterNode(session))) return false
  for (let second = 0; second < installSeconds; second++) {
    if ((await stateOf(session, wanted)) === 'whole') return true
    const [making] = await session.query(`SHOW TABLES LIKE 'new_state'`)
    if (making === undefined && (await stateOf(session, wanted)) !== 'whole') return false
    await session.query('SELECT SLEEP(1)')
  }
  return false
}

/** @throws ShootoutError `schema-version`, `schema-history` */
async function stateOf(
  session: MySession,
  { title, database, history }: SchemaWanted,
): Promise<'missing' | 'partial' | 'whole'> {
  const tables = await session.rows(
    'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ? AND table_name <> ?',
    database,
    markTable,
  )
  if (tables.length === 0) return 'missing'
  if (!tables.some(({ name }) => name === 'store_state')) return 'partial'
  const [row] = await session.query(`SELECT version, history FROM ${database}.store_state`)
  const found = { version: Number(row!['version']), history: Number(row!['history']) === 1 }
  checkStoreVersion(title, found, { version: schemaVersion, history })
  return 'whole'
}
