/** The statements of PostgreSQL. Tables are found through the search path, which holds the schema of the store alone. */

import type { HistoryStatements, Statements } from '../statements.ts'
import type { PgStatement } from './driver.ts'
import { lockGroupsOf } from './functions.ts'

type Prepared<S> = { readonly [K in keyof S]: PgStatement }

/** A name for each statement, so that each session plans it once. */
function prepared<const S extends Readonly<Record<string, string>>>(prefix: string, texts: S): Prepared<S> {
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, { name: `${prefix}_${key}`, text }]),
  ) as Prepared<S>
}

const state = 'SELECT tid, horizon, life FROM store_state'

/** A number for the life of a store. */
export const newLife = '(random() * 9007199254740991)::bigint'

/** Together with the state, so that a poll is one statement: tid, horizon, life, and of each change oid, tid (or nulls). */
const poll = (changes: string): string =>
  `SELECT s.tid, s.horizon, s.life, c.oid, c.tid FROM store_state AS s LEFT JOIN LATERAL (${changes}) AS c ON true`

const changedFree = 'SELECT oid, tid FROM object_state WHERE tid > $1 LIMIT $2'
const changedHistory = 'SELECT oid, tid FROM revision WHERE tid > $1 LIMIT $2'

export const historyFree = prepared('free', {
  state,
  changedSince: changedFree,
  poll: poll(changedFree),
  load: `SELECT tid, data FROM object_state WHERE oid = $1`,
  loadMany: `SELECT oid, tid, data FROM object_state WHERE oid = ANY ($1::bigint[])`,
  loadBefore: `
    SELECT CASE WHEN tid < $2 THEN tid END, CASE WHEN tid < $2 THEN data END, CASE WHEN tid >= $2 THEN tid END
    FROM object_state WHERE oid = $1`,
} satisfies Record<keyof Statements | 'poll', string>)

export const historyPreserving = prepared('history', {
  state,
  changedSince: changedHistory,
  poll: poll(changedHistory),
  load: `SELECT tid, data FROM revision WHERE oid = $1 ORDER BY tid DESC LIMIT 1`,
  loadMany: `
    SELECT r.oid, r.tid, r.data FROM unnest($1::bigint[]) AS wanted (oid) CROSS JOIN LATERAL
      (SELECT oid, tid, data FROM revision WHERE oid = wanted.oid ORDER BY tid DESC LIMIT 1) AS r`,
  loadBefore: `
    SELECT past.tid, past.data, (SELECT min(tid) FROM revision WHERE oid = $1 AND tid >= $2)
    FROM (SELECT 1) AS one LEFT JOIN
      (SELECT tid, data FROM revision WHERE oid = $1 AND tid < $2 ORDER BY tid DESC LIMIT 1) AS past ON true`,
  history: `
    SELECT r.tid, t.user_name, t.description, t.extension, coalesce(length(r.data), 0)::bigint
    FROM revision AS r JOIN transaction_log AS t ON t.tid = r.tid
    WHERE r.oid = $1 ORDER BY r.tid DESC LIMIT $2`,
  packed: 'SELECT packed FROM store_state',
  changedBy:
    'SELECT oid FROM revision WHERE tid = $1 AND tid > (SELECT packed FROM store_state) ORDER BY oid',
  isThere: 'SELECT 1 FROM transaction_log WHERE tid = $1 AND tid > (SELECT packed FROM store_state)',
  transactions: `
    SELECT tid, user_name, description, extension FROM transaction_log
    WHERE tid > $1 AND tid <= $2 ORDER BY tid LIMIT $3`,
  records: 'SELECT tid, oid, data FROM revision WHERE tid >= $1 AND tid <= $2 ORDER BY tid, oid',
} satisfies Record<keyof (Statements & HistoryStatements) | 'poll' | 'isThere', string>)

export const transaction = {
  begin: { name: 'begin', text: 'BEGIN' },
  commit: { name: 'commit', text: 'COMMIT' },
  rollback: { name: 'rollback', text: 'ROLLBACK' },
} as const

const setPacked = 'UPDATE store_state SET packed = greatest(packed, $1)'

export const write = prepared('write', {
  /**
   * oids that are changed, their bases, oids that are new, oids that are read, their serials; all ascend → oid, tid, data,
   * is locked by another, has a blob
   */
  vote: 'SELECT oid, tid, data, is_locked, has_blob FROM vote($1, $2, $3, $4, $5)',
  /**
   * oids (ascending), first bytes (from 1), lengths (−1: deleted), all data, oid from which on none has a row, clock,
   * largest oid not leased or null → tid, previous
   */
  finish: 'SELECT tid, previous FROM finish($1, $2, $3, $4, $5, $6, $7)',
  /** As `finish`, and user, description, extension. */
  finishHistory: 'SELECT tid, previous FROM finish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
  /**
   * oids (ascending), their bases (0: new), how many are not new, groups of those that are, oids that are read, their
   * serials, first bytes, lengths, all data, clock, largest oid not leased or null → tid, previous; nulls when nothing was
   * done because somebody is in the way
   */
  commit: 'SELECT tid, previous FROM commit_in_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)',
  /** As `commit`, and user, description, extension. */
  commitHistory:
    'SELECT tid, previous FROM commit_in_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)',
  /** tid, then as `finishHistory` without the clock → previous */
  restore: 'SELECT restore($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
  setPacked,
  lease: 'UPDATE oid_state SET next_oid = next_oid + $1 RETURNING next_oid - $1',
})

/** Lists of oids are arrays; `drop…` take a list and `before`, and return oid, tid. */
const pack = {
  lockGroups: lockGroupsOf,
  raiseHorizon: 'UPDATE store_state SET horizon = greatest(horizon, $1)',
  setPacked,
}

export const packFree = prepared('pack_free', {
  ...pack,
  survey: `SELECT tid, (SELECT count(*) FROM object_state),
    pg_total_relation_size('object_state') FROM store_state`,
  changedAfter: 'SELECT oid FROM object_state WHERE tid > $1',
  states:
    'SELECT data FROM object_state WHERE oid = ANY ($1::bigint[]) AND data IS NOT NULL AND $2::bigint IS NOT NULL',
  objectsAfter: 'SELECT oid FROM object_state WHERE oid > $1 ORDER BY oid LIMIT $2',
  lock: 'SELECT 1 FROM object_state WHERE oid = ANY ($1::bigint[]) ORDER BY oid FOR UPDATE',
  dropReplaced: 'SELECT 0::bigint, 0::bigint WHERE $1::bigint[] IS NULL AND $2::bigint IS NULL',
  dropDeleted: `
    DELETE FROM object_state WHERE oid = ANY ($1::bigint[]) AND tid <= $2 AND data IS NULL RETURNING oid, tid`,
  dropObjects: 'DELETE FROM object_state WHERE oid = ANY ($1::bigint[]) AND tid <= $2 RETURNING oid, tid',
  left: 'SELECT oid FROM object_state WHERE oid = ANY ($1::bigint[])',
})

export const packHistory = prepared('pack_history', {
  ...pack,
  survey: `SELECT tid, (SELECT count(*) FROM current_object),
    pg_total_relation_size('revision') FROM store_state`,
  changedAfter: 'SELECT DISTINCT oid FROM revision WHERE tid > $1',
  states: `
    SELECT r.data FROM unnest($1::bigint[]) AS wanted (oid) JOIN revision AS r ON r.oid = wanted.oid
    WHERE r.data IS NOT NULL
      AND r.tid >= coalesce((SELECT max(tid) FROM revision WHERE oid = wanted.oid AND tid <= $2), 0)`,
  objectsAfter: 'SELECT oid FROM current_object WHERE oid > $1 ORDER BY oid LIMIT $2',
  lock: 'SELECT 1 FROM current_object WHERE oid = ANY ($1::bigint[]) ORDER BY oid FOR UPDATE',
  dropReplaced: `
    DELETE FROM revision WHERE oid = ANY ($1::bigint[])
      AND tid < (SELECT max(newer.tid) FROM revision AS newer WHERE newer.oid = revision.oid AND newer.tid <= $2)
    RETURNING oid, tid`,
  // Of what had happened by then, only the newest revision is left.
  dropDeleted: `
    DELETE FROM revision WHERE oid = ANY ($1::bigint[]) AND tid <= $2 AND data IS NULL RETURNING oid, tid`,
  dropObjects: `
    DELETE FROM revision WHERE oid = ANY ($1::bigint[])
      AND NOT EXISTS (SELECT 1 FROM revision AS newer WHERE newer.oid = revision.oid AND newer.tid > $2)
    RETURNING oid, tid`,
  left: 'SELECT DISTINCT oid FROM revision WHERE oid = ANY ($1::bigint[])',
  dropCurrent: `
    DELETE FROM current_object WHERE oid = ANY ($1::bigint[])
      AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.oid = current_object.oid)`,
  dropTransactions: `
    DELETE FROM transaction_log WHERE tid <= $1
      AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.tid = transaction_log.tid)`,
})

/** Links are kept per revision; a revision that is gone leaves its link until the sweep. Lists are arrays. */
export const blobSql = prepared('blob', {
  find: 'SELECT blob, bytes, chunk_bytes FROM object_blob WHERE oid = $1 AND tid = $2',
  between: 'SELECT oid, tid, blob, bytes, chunk_bytes FROM object_blob WHERE tid >= $1 AND tid <= $2',
  chunk: 'SELECT data FROM blob_chunk WHERE blob = $1 AND number = $2',
  create: 'INSERT INTO pending_blob DEFAULT VALUES RETURNING id',
  put: 'INSERT INTO blob_chunk (blob, number, data) VALUES ($1, $2, $3)',
  drop: `
    WITH gone AS (DELETE FROM pending_blob WHERE id = ANY ($1::bigint[]) RETURNING id)
    DELETE FROM blob_chunk USING gone WHERE blob_chunk.blob = gone.id`,
  claim: 'DELETE FROM pending_blob WHERE id = ANY ($1::bigint[]) RETURNING id',
  keep: 'SELECT blob FROM object_blob WHERE blob = ANY ($1::bigint[]) FOR SHARE',
  link: `
    INSERT INTO object_blob (oid, tid, blob, bytes, chunk_bytes)
    SELECT w.oid, s.tid, w.blob, w.bytes, w.chunk_bytes FROM store_state AS s,
      unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS w (oid, blob, bytes, chunk_bytes)`,
  unlinkFree: `
    DELETE FROM object_blob WHERE NOT EXISTS
      (SELECT 1 FROM object_state AS o WHERE o.oid = object_blob.oid AND o.tid = object_blob.tid)`,
  unlinkHistory: `
    DELETE FROM object_blob WHERE NOT EXISTS
      (SELECT 1 FROM revision AS r WHERE r.oid = object_blob.oid AND r.tid = object_blob.tid)`,
  expire: "DELETE FROM pending_blob WHERE created < now() - interval '1 day'",
  garbage: `
    SELECT blob FROM blob_chunk AS c
    WHERE c.blob > $1 AND NOT EXISTS (SELECT 1 FROM object_blob AS o WHERE o.blob = c.blob)
      AND NOT EXISTS (SELECT 1 FROM pending_blob AS p WHERE p.id = c.blob) ORDER BY c.blob LIMIT 1`,
  dropGarbage: 'DELETE FROM blob_chunk WHERE blob = $1',
})
