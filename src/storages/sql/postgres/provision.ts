/** The schemas of a run on a PostgreSQL server. The mark of a schema is its comment, its lock an advisory one. */

import { type Durability, zeroCounters } from '../../storage.ts'
import { checkIdentifier } from '../schema-check.ts'
import { type ServerControl, type ServerFacts, storePrefix } from '../server-module.ts'
import type { PgDriver, PgSession } from './driver.ts'

const mark = 'made by a run of shootout; removed when it ends'

export function openControl(driver: PgDriver, url: string, title: string): Promise<PgSession> {
  return driver.connect(url, { title, counters: zeroCounters(), parameters: {} })
}

export class PostgresControl implements ServerControl {
  readonly #session: PgSession

  constructor(session: PgSession) {
    this.#session = session
  }

  async createPlace(schema: string): Promise<void> {
    checkIdentifier('schema', schema)
    await this.#session.rows({ text: `SELECT pg_advisory_lock(hashtext('${schema}')::bigint)` })
    await this.#session.rows({ text: `CREATE SCHEMA ${schema}; COMMENT ON SCHEMA ${schema} IS '${mark}'` })
  }

  async dropPlace(schema: string): Promise<void> {
    await this.#session.rows({ text: `DROP SCHEMA IF EXISTS ${schema} CASCADE` })
    await this.#session.rows({ text: `SELECT pg_advisory_unlock(hashtext('${schema}')::bigint)` })
  }

  async markedPlaces(): Promise<readonly string[]> {
    const marked = await this.#session.rows(
      {
        text: `SELECT nspname::text FROM pg_namespace
          WHERE starts_with(nspname, $1) AND obj_description(oid, 'pg_namespace') = $2
            AND pg_has_role(nspowner, 'USAGE')`,
      },
      storePrefix,
      mark,
    )
    return marked.map(([name]) => String(name))
  }

  async tryLock(schema: string): Promise<boolean> {
    checkIdentifier('schema', schema)
    const [row] = await this.#session.rows({
      text: `SELECT pg_try_advisory_lock(hashtext('${schema}')::bigint)::text`,
    })
    return row![0] === 'true'
  }

  async readFacts(): Promise<ServerFacts> {
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
      const [row] = await this.#session.rows({ text: `SELECT current_setting('${name}')` })
      facts[name] = String(row![0])
    }
    return { facts, durability: durabilityOf(facts) }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function durabilityOf(facts: Readonly<Record<string, string>>): Durability {
  // The server keeps the newest commits in its own memory for a while.
  if (facts['synchronous_commit'] === 'off') return 'memory'
  return facts['fsync'] === 'on' && facts['full_page_writes'] === 'on' ? 'full' : 'os'
}
