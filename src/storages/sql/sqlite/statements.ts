/** The statements of SQLite. Lists of oids come as one JSON array, so that one statement serves every length. */

import type { HistoryStatements, Statements } from '../statements.ts'

const state = 'SELECT tid, horizon FROM store_state'

export const historyFree: Statements = {
  state,
  changedSince: 'SELECT oid, tid FROM object_state WHERE tid > ? LIMIT ?',
  load: 'SELECT tid, data FROM object_state WHERE oid = ?',
  loadMany:
    'SELECT o.oid, o.tid, o.data FROM json_each(?) AS wanted CROSS JOIN object_state AS o ON o.oid = wanted.value',
  loadBefore: `
    SELECT iif(tid < ?2, tid, NULL), iif(tid < ?2, data, NULL), iif(tid < ?2, NULL, tid)
    FROM object_state WHERE oid = ?1`,
}

export const historyPreserving: Statements & HistoryStatements = {
  state,
  changedSince: 'SELECT oid, tid FROM revision WHERE tid > ? LIMIT ?',
  load: 'SELECT tid, data FROM revision WHERE oid = ? ORDER BY tid DESC LIMIT 1',
  // SQLite takes the other columns from the row that has the maximum.
  loadMany: `
    SELECT r.oid, r.tid, r.data FROM json_each(?) AS wanted CROSS JOIN revision AS r
    ON r.oid = wanted.value AND r.tid = (SELECT max(tid) FROM revision WHERE oid = wanted.value)`,
  loadBefore: `
    SELECT past.tid, past.data, (SELECT min(tid) FROM revision WHERE oid = ?1 AND tid >= ?2)
    FROM (SELECT 1) LEFT JOIN
      (SELECT tid, data FROM revision WHERE oid = ?1 AND tid < ?2 ORDER BY tid DESC LIMIT 1) AS past`,
  history: `
    SELECT r.tid, t.user_name, t.description, t.extension, coalesce(length(r.data), 0)
    FROM revision AS r JOIN transaction_log AS t ON t.tid = r.tid
    WHERE r.oid = ? ORDER BY r.tid DESC LIMIT ?`,
  changedBy: 'SELECT oid FROM revision WHERE tid = ? ORDER BY oid',
  transactions: `
    SELECT tid, user_name, description, extension FROM transaction_log
    WHERE tid > ? AND tid <= ? ORDER BY tid LIMIT ?`,
  records: 'SELECT tid, oid, data FROM revision WHERE tid >= ? AND tid <= ? ORDER BY tid, oid',
}

/** What a writer needs. Parameters of `put`: oid, tid, data. */
export interface WriteStatements {
  readonly put: string
  /** oids → oid, tid of the current revisions. */
  readonly current: string
}

export const writeHistoryFree: WriteStatements = {
  put: `
    INSERT INTO object_state (oid, tid, data) VALUES (?, ?, ?)
    ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, data = excluded.data`,
  current:
    'SELECT o.oid, o.tid FROM json_each(?) AS wanted CROSS JOIN object_state AS o ON o.oid = wanted.value',
}

export const writeHistory: WriteStatements = {
  put: 'INSERT INTO revision (oid, tid, data) VALUES (?, ?, ?)',
  current: `
    SELECT wanted.value, (SELECT max(tid) FROM revision WHERE oid = wanted.value) AS tid
    FROM json_each(?) AS wanted WHERE tid IS NOT NULL`,
}

export const writeState = {
  /** → tid, horizon, next oid */
  read: 'SELECT tid, horizon, next_oid FROM store_state',
  /** tid, next oid */
  advance: 'UPDATE store_state SET tid = ?, next_oid = ?',
  log: 'INSERT INTO transaction_log (tid, user_name, description, extension) VALUES (?, ?, ?, ?)',
} as const
