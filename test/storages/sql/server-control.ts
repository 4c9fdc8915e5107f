/** A session of somebody who sees, and ends, the sessions of all others: what a lost connection looks like. */

import type { ShootoutError } from '../../../src/core/errors.ts'
import { loadDriver as loadMySql, type MySession } from '../../../src/storages/sql/mysql/driver.ts'
import { openControl as openMySql } from '../../../src/storages/sql/mysql/provision.ts'
import { loadDriver as loadPostgres, type PgSession } from '../../../src/storages/sql/postgres/driver.ts'
import { openControl as openPostgres } from '../../../src/storages/sql/postgres/provision.ts'

export interface ServerControl<Session = unknown> {
  readonly session: Session
  /** Sessions whose vote waits for a lock. */
  waitingVotes(): Promise<readonly number[]>
  /** Sessions that commit, now or as what they did last. */
  committing(): Promise<readonly number[]>
  /** Holds the lock that a commit takes last, until the function that it gives is called. */
  holdCommits(store: string): Promise<() => Promise<unknown>>
  /** Sessions that wait for it. */
  waitingCommits(): Promise<readonly number[]>
  /** Sessions of storages that have nothing to do. */
  idle(): Promise<readonly number[]>
  /** Names of schemas or databases. */
  stores(): Promise<readonly unknown[]>
  /** Ends what they are doing. */
  interrupt(sessions: readonly number[]): Promise<void>
  /** Sessions that have gone meanwhile have ended, too. */
  end(sessions: readonly number[]): Promise<void>
  close(): Promise<void>
}

export async function postgresControl(url: string): Promise<ServerControl<PgSession>> {
  const session = await openPostgres(await loadPostgres(), url, 'test')
  const find = async (condition: string) => {
    const text = `SELECT pid::bigint FROM pg_stat_activity
      WHERE application_name = 'shootout' AND pid <> pg_backend_pid() AND ${condition}`
    // Within a transaction, what was seen once is shown again.
    await session.rows({ text: 'SELECT pg_stat_clear_snapshot()' })
    return (await session.rows({ text })).map(([pid]) => pid as number)
  }
  return {
    session,
    waitingVotes: () => find("wait_event_type = 'Lock' AND query LIKE '%FROM vote%'"),
    committing: () => find("query ~ 'FROM (commit_in_one|finish|vote)'"),
    async holdCommits(store) {
      await session.rows({ text: `BEGIN; UPDATE ${store}.store_state SET tid = tid` })
      return () => session.rows({ text: 'ROLLBACK' })
    },
    waitingCommits: () => find("wait_event_type = 'Lock' AND query LIKE '%FROM commit_in_one%'"),
    idle: () => find("state = 'idle' AND query LIKE '%COMMIT%'"),
    stores: async () =>
      (await session.rows({ text: 'SELECT nspname::text FROM pg_namespace' })).map(([name]) => name),
    async interrupt(sessions) {
      for (const pid of sessions) await session.rows({ text: `SELECT pg_cancel_backend(${pid})` })
    },
    async end(sessions) {
      for (const pid of sessions) await session.rows({ text: `SELECT pg_terminate_backend(${pid})` })
    },
    close: () => session.close(),
  }
}

export async function mysqlControl(url: string): Promise<ServerControl<MySession>> {
  const session = await openMySql(await loadMySql(), url, 'test')
  const find = async (condition: string) => {
    const text = `SELECT id AS id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND ${condition}`
    return (await session.query(text)).map(({ id }) => Number(id))
  }
  return {
    session,
    waitingVotes: () => find("info LIKE '%FOR UPDATE%'"),
    committing: () => find("command <> 'Sleep' AND db LIKE 'shootout_test%'"),
    async holdCommits(store) {
      await session.query('START TRANSACTION')
      await session.query(`UPDATE ${store}.store_state SET tid = tid + 1`)
      return () => session.query('ROLLBACK')
    },
    waitingCommits: () => find("info LIKE '%store_state%FOR UPDATE%'"),
    idle: () => find("command = 'Sleep' AND db LIKE 'shootout_test%'"),
    stores: async () => (await session.query('SHOW DATABASES')).map(({ Database }) => Database),
    async interrupt(sessions) {
      for (const id of sessions) await session.query(`KILL QUERY ${id}`)
    },
    async end(sessions) {
      for (const id of sessions) {
        await session.query(`KILL ${id}`).catch((error: ShootoutError) => {
          if (error.details['mysqlCode'] !== 'ER_NO_SUCH_THREAD') throw error
        })
      }
    },
    close: () => session.close(),
  }
}
