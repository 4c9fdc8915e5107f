/**
 * The schema of a SQLite store: made in an empty file, checked in any other. The file says by its application id that
 * it is ours; a file that is somebody else's is left as it is.
 */

import { ShootoutError } from '../../../core/errors.ts'
import { checkStoreVersion } from '../schema-check.ts'
import type { SqliteConnection } from './driver.ts'
import { newLife } from './statements.ts'

/** 'SHOT', in the header of every file of ours. */
const applicationId = 0x53484f54
/** Counted up when the tables change. */
const schemaVersion = 4

const storeState = (history: boolean): string => `
  CREATE TABLE store_state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    history INTEGER NOT NULL,
    tid INTEGER NOT NULL,
    horizon INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    next_oid INTEGER NOT NULL,
    life INTEGER NOT NULL
  );
  INSERT INTO store_state VALUES (0, ${history ? 1 : 0}, 0, 0, 0, 1, ${newLife});`

const historyFreeTables = `
  CREATE TABLE object_state (oid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, data BLOB);
  CREATE INDEX object_state_tid ON object_state (tid);`

// The revisions have row ids of their own, so that new ones are appended and large data stay out of the indexes.
const historyTables = `
  CREATE TABLE revision (id INTEGER PRIMARY KEY, oid INTEGER NOT NULL, tid INTEGER NOT NULL, data BLOB);
  CREATE UNIQUE INDEX revision_oid ON revision (oid, tid);
  CREATE UNIQUE INDEX revision_tid ON revision (tid, oid);
  CREATE TABLE transaction_log (
    tid INTEGER PRIMARY KEY,
    user_name TEXT NOT NULL,
    description TEXT NOT NULL,
    extension BLOB NOT NULL
  );`

// Sizes stand in the link, so that a chunk is found without looking at others. Ids are never used again.
const blobTables = `
  CREATE TABLE blob_chunk (
    blob INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (blob, number)
  );
  CREATE TABLE pending_blob (id INTEGER PRIMARY KEY AUTOINCREMENT, created INTEGER NOT NULL);
  CREATE TABLE object_blob (
    oid INTEGER NOT NULL, tid INTEGER NOT NULL,
    blob INTEGER NOT NULL, bytes INTEGER NOT NULL, chunk_bytes INTEGER NOT NULL,
    PRIMARY KEY (oid, tid)
  ) WITHOUT ROWID;
  CREATE INDEX object_blob_blob ON object_blob (blob);
  CREATE INDEX object_blob_tid ON object_blob (tid);`

export interface SchemaWanted {
  readonly path: string
  readonly history: boolean
}

/**
 * True when the file is empty and the schema is still to be made. Looks at one snapshot: somebody else may be making
 * the schema at this moment, and half of before with half of after would look like a foreign database.
 * @throws ShootoutError `foreign-database`, `schema-version`, `schema-history`
 */
export function readSchema(connection: SqliteConnection, wanted: SchemaWanted): boolean {
  connection.execute('BEGIN')
  try {
    return checkSchema(connection, wanted)
  } finally {
    if (connection.inTransaction) connection.execute('COMMIT')
  }
}

/** The caller holds a transaction. */
function checkSchema(connection: SqliteConnection, { path, history }: SchemaWanted): boolean {
  const id = connection.pragma('application_id')
  if (id !== applicationId) {
    const tables = connection.prepare('SELECT count(*) FROM sqlite_master').get()![0]
    if (id === 0 && tables === 0) return true
    throw new ShootoutError(
      'foreign-database',
      `${path} is a database of another program; nothing was changed. Name another file`,
      { details: { path } },
    )
  }
  const found = {
    version: connection.pragma('user_version'),
    history: connection.prepare('SELECT history FROM store_state').get()![0] === 1,
  }
  checkStoreVersion(path, found, { version: schemaVersion, history })
  return false
}

/** Makes the schema unless somebody else just did. The caller holds no transaction. Raises "busy" and can be repeated. */
export function createSchema(connection: SqliteConnection, wanted: SchemaWanted): void {
  connection.execute('BEGIN IMMEDIATE')
  try {
    if (checkSchema(connection, wanted)) {
      connection.execute(
        storeState(wanted.history) + (wanted.history ? historyTables : historyFreeTables) + blobTables,
      )
      connection.execute(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`)
    }
    connection.execute('COMMIT')
  } catch (error) {
    if (connection.inTransaction) connection.execute('ROLLBACK')
    throw error
  }
}
