/**
 * The schema of a PostgreSQL store: one SQL schema holds everything, so removing it removes the store and nothing else.
 * Made when the schema is missing or empty; a schema that holds something else is left as it is.
 */

import { ShootoutError } from '../../../core/errors.ts'
import { checkStoreVersion, noStoreError } from '../schema-check.ts'
import type { PgSession } from './driver.ts'
import { functionsFree, functionsHistory } from './functions.ts'
import { replicaError } from './replicas.ts'
import { newLife } from './statements.ts'

/** Counted up when tables or functions change. */
const schemaVersion = 6

const commonTables = (history: boolean): string => `
  -- One row, updated by every commit: room on its page lets updates stay there.
  CREATE TABLE store_state (
    version int NOT NULL, history boolean NOT NULL,
    tid bigint NOT NULL, horizon bigint NOT NULL, packed bigint NOT NULL, life bigint NOT NULL,
    -- The newest of tid and horizon before the last commit.
    previous bigint NOT NULL DEFAULT 0
  ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
  INSERT INTO store_state VALUES (${schemaVersion}, ${history}, 0, 0, 0, ${newLife});
  CREATE TABLE oid_state (next_oid bigint NOT NULL) WITH (fillfactor = 10);
  INSERT INTO oid_state VALUES (16);`

// Data are opaque and often compressed already; the server need not try.
const freeTables = `
  CREATE TABLE object_state (oid bigint PRIMARY KEY, tid bigint NOT NULL, data bytea);
  ALTER TABLE object_state ALTER COLUMN data SET STORAGE EXTERNAL;
  CREATE INDEX object_state_tid ON object_state (tid);`

const historyTables = `
  CREATE TABLE revision (oid bigint NOT NULL, tid bigint NOT NULL, data bytea, PRIMARY KEY (oid, tid));
  ALTER TABLE revision ALTER COLUMN data SET STORAGE EXTERNAL;
  CREATE UNIQUE INDEX revision_tid ON revision (tid, oid);
  -- The rows that votes lock.
  CREATE TABLE current_object (oid bigint PRIMARY KEY, tid bigint NOT NULL) WITH (fillfactor = 70);
  CREATE TABLE transaction_log (
    tid bigint PRIMARY KEY, user_name text NOT NULL, description text NOT NULL, extension bytea NOT NULL
  );`

// Sizes stand in the link, so that a chunk is found without looking at others. Ids are never used again.
const blobTables = `
  CREATE TABLE blob_chunk (
    blob bigint NOT NULL, number int NOT NULL, data bytea NOT NULL, PRIMARY KEY (blob, number)
  );
  ALTER TABLE blob_chunk ALTER COLUMN data SET STORAGE EXTERNAL;
  CREATE TABLE pending_blob (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE object_blob (
    oid bigint NOT NULL, tid bigint NOT NULL,
    blob bigint NOT NULL, bytes bigint NOT NULL, chunk_bytes bigint NOT NULL,
    PRIMARY KEY (oid, tid)
  );
  CREATE INDEX object_blob_blob ON object_blob (blob);
  CREATE INDEX object_blob_tid ON object_blob (tid);`

export interface SchemaWanted {
  readonly title: string
  readonly schema: string
  readonly history: boolean
  readonly readOnly: boolean
}

/** @throws ShootoutError `foreign-database`, `schema-version`, `schema-history`, `no-store`, `server-is-replica` */
export async function installSchema(session: PgSession, wanted: SchemaWanted): Promise<void> {
  if (await isInstalled(session, wanted)) return
  if (wanted.readOnly) throw noStoreError(wanted.title)
  await session.rows({ text: 'BEGIN' })
  try {
    // Whoever opens a fresh store at the same moment waits here, and then finds it made.
    await session.rows({
      text: `SELECT pg_advisory_xact_lock(hashtext('shootout install ${wanted.schema}'))`,
    })
    if (!(await isInstalled(session, wanted))) {
      const tables = wanted.history ? historyTables : freeTables
      const functions = wanted.history ? functionsHistory : functionsFree
      const create = `CREATE SCHEMA IF NOT EXISTS ${wanted.schema};`
      await session.rows({ text: create + commonTables(wanted.history) + tables + blobTables + functions })
    }
    await session.rows({ text: 'COMMIT' })
  } catch (error) {
    if (!session.isBroken) await session.rows({ text: 'ROLLBACK' })
    throw error
  }
}

async function isInstalled(
  session: PgSession,
  { title, schema, history, readOnly }: SchemaWanted,
): Promise<boolean> {
  const tables = await session.rows(
    { text: 'SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1)' },
    schema,
  )
  if (tables.length === 0) return false
  if (!tables.some(([name]) => name === 'store_state')) {
    throw new ShootoutError(
      'foreign-database',
      `${title}: the schema ${schema} holds something else; nothing was changed. Name another schema`,
    )
  }
  const [row] = await session.rows({
    text: 'SELECT version::bigint, history::text, pg_is_in_recovery()::text FROM store_state',
  })
  const [version, isHistory, isReplica] = row!
  checkStoreVersion(title, { version, history: isHistory === 'true' }, { version: schemaVersion, history })
  if (isReplica === 'true' && !readOnly) throw replicaError(title)
  return true
}
