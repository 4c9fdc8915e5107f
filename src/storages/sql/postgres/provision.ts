/**
 * Where the stores of a run come from: a private server, or the server that a url names. Either way each store is a
 * schema `shootout_<name>` of its own. On a server of others, schemas are marked as ours and kept locked by a session
 * for as long as the run lives; a marked schema that nobody has locked is left over from a run that died, and is removed.
 */

import { randomUUID } from 'node:crypto'
import type { Durability } from '../../storage.ts'
import { zeroCounters } from '../../storage.ts'
import type { PgAddress, PgDriver, PgSession } from './driver.ts'
import { checkSchemaName } from './schema.ts'

const prefix = 'shootout_'
const mark = 'made by a run of shootout; removed when it ends'

/** Opens a session for administration: it creates and drops schemas, and keeps the locks of those in use. */
export function openControl(driver: PgDriver, address: PgAddress, title: string): Promise<PgSession> {
  return driver.connect(address, { title, counters: zeroCounters(), parameters: {} })
}

/** Makes a fresh schema, marked and locked. Returns its name. */
export async function createStoreSchema(control: PgSession, name: string): Promise<string> {
  const schema = `${prefix}${name}_${randomUUID().slice(0, 8)}`.slice(0, 63)
  checkSchemaName(schema)
  await control.rows({ text: `SELECT pg_advisory_lock(hashtext('${schema}')::bigint)` })
  await control.rows({ text: `CREATE SCHEMA ${schema}; COMMENT ON SCHEMA ${schema} IS '${mark}'` })
  return schema
}

export async function dropStoreSchema(control: PgSession, schema: string): Promise<void> {
  await control.rows({ text: `DROP SCHEMA IF EXISTS ${schema} CASCADE` })
  await control.rows({ text: `SELECT pg_advisory_unlock(hashtext('${schema}')::bigint)` })
}

/** Removes what runs that died have left. */
export async function dropOrphans(control: PgSession, log: (message: string) => void): Promise<void> {
  const marked = await control.rows(
    {
      text: `SELECT nspname::text FROM pg_namespace
        WHERE nspname LIKE 'shootout\\_%' AND obj_description(oid, 'pg_namespace') = $1
          AND pg_has_role(nspowner, 'USAGE')`,
    },
    mark,
  )
  for (const [name] of marked) {
    const schema = String(name)
    checkSchemaName(schema)
    const [row] = await control.rows({
      text: `SELECT pg_try_advisory_lock(hashtext('${schema}')::bigint)::text`,
    })
    if (row![0] !== 'true') continue
    log(`postgres: removing ${schema}, left over from a run that died`)
    await dropStoreSchema(control, schema)
  }
}

export interface ServerFacts {
  readonly facts: Readonly<Record<string, string>>
  readonly durability: Durability
}

/** What the live server says about itself. */
export async function readFacts(control: PgSession): Promise<ServerFacts> {
  const names = [
    'server_version',
    'fsync',
    'synchronous_commit',
    'full_page_writes',
    'wal_sync_method',
    'shared_buffers',
  ]
  const facts: Record<string, string> = {}
  for (const name of names) {
    const [row] = await control.rows({ text: `SELECT current_setting('${name}')` })
    facts[name] = String(row![0])
  }
  return { facts, durability: durabilityOf(facts) }
}

function durabilityOf(facts: Readonly<Record<string, string>>): Durability {
  // The server keeps the newest commits in its own memory for a while.
  if (facts['synchronous_commit'] === 'off') return 'memory'
  return facts['fsync'] === 'on' && facts['full_page_writes'] === 'on' ? 'full' : 'os'
}
