/** The statements of SQLite. Lists of oids come as one JSON array, so that one statement serves every length. */

import type { HistoryStatements, Statements } from '../statements.ts'

const state = 'SELECT tid, horizon, life FROM store_state'

/** A number for the life of a store. */
export const newLife = 'abs(random() % 9007199254740991)'

export const historyFree: Statements = {
  state,
  changedSince: 'SELECT oid, tid FROM object_state WHERE tid > ? LIMIT ?',
  load: 'SELECT tid, data FROM object_state WHERE oid = ?',
  loadMany:
    'SELECT o.oid, o.tid, o.data FROM json_each(?) AS wanted CROSS JOIN object_state AS o ON o.oid = wanted.value',
  loadBefore: `
    SELECT iif(o.tid < before, o.tid, NULL), iif(o.tid < before, o.data, NULL), iif(o.tid < before, NULL, o.tid)
    FROM (SELECT ? AS wanted, ? AS before) JOIN object_state AS o ON o.oid = wanted`,
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
    SELECT past.tid, past.data, (SELECT min(tid) FROM revision WHERE oid = wanted AND tid >= before)
    FROM (SELECT ? AS wanted, ? AS before) LEFT JOIN revision AS past ON past.oid = wanted
      AND past.tid = (SELECT max(tid) FROM revision WHERE oid = wanted AND tid < before)`,
  history: `
    SELECT r.tid, t.user_name, t.description, t.extension, coalesce(length(r.data), 0)
    FROM revision AS r JOIN transaction_log AS t ON t.tid = r.tid
    WHERE r.oid = ? ORDER BY r.tid DESC LIMIT ?`,
  packed: 'SELECT packed FROM store_state',
  changedBy: 'SELECT oid FROM revision WHERE tid = ? ORDER BY oid',
  transactions: `
    SELECT tid, user_name, description, extension FROM transaction_log
    WHERE tid > ? AND tid <= ? ORDER BY tid LIMIT ?`,
  records: 'SELECT tid, oid, data FROM revision WHERE tid >= ? AND tid <= ? ORDER BY tid, oid',
}

/** What a writer needs. */
export interface WriteStatements {
  /** tid, data, oid, base: where the object is at that revision. One row changes, or none. */
  readonly change: string
  /** tid, data, oid: where there is no such object. One row changes, or none. */
  readonly add: string
  /** tid, data, oid: whatever there is. */
  readonly put: string
  /** oid → tid of the current revision; null, or no row, where there is none */
  readonly current: string
}

export const writeHistoryFree: WriteStatements = {
  change: 'UPDATE object_state SET tid = ?, data = ? WHERE oid = ? AND tid = ?',
  add: 'INSERT INTO object_state (tid, data, oid) VALUES (?, ?, ?) ON CONFLICT (oid) DO NOTHING',
  put: `
    INSERT INTO object_state (tid, data, oid) VALUES (?, ?, ?)
    ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, data = excluded.data`,
  current: 'SELECT tid FROM object_state WHERE oid = ?',
}

export const writeHistory: WriteStatements = {
  change: `
    INSERT INTO revision (tid, data, oid) SELECT new_tid, new_data, wanted
    FROM (SELECT ? AS new_tid, ? AS new_data, ? AS wanted, ? AS base)
    WHERE (SELECT max(tid) FROM revision WHERE oid = wanted) = base`,
  add: `
    INSERT INTO revision (tid, data, oid) SELECT new_tid, new_data, wanted
    FROM (SELECT ? AS new_tid, ? AS new_data, ? AS wanted)
    WHERE NOT EXISTS (SELECT 1 FROM revision WHERE oid = wanted)`,
  put: 'INSERT INTO revision (tid, data, oid) VALUES (?, ?, ?)',
  current: 'SELECT max(tid) FROM revision WHERE oid = ?',
}

export const writeState = {
  /** → tid, horizon, next oid */
  read: 'SELECT tid, horizon, next_oid FROM store_state',
  /** tid, next oid, tid again. Who has seen the horizon cannot see older tids come, so it is raised above them. */
  advance: 'UPDATE store_state SET tid = ?, next_oid = ?, horizon = horizon + (horizon >= ?)',
  setPacked: 'UPDATE store_state SET packed = max(packed, ?)',
  log: 'INSERT INTO transaction_log (tid, user_name, description, extension) VALUES (?, ?, ?, ?)',
} as const

/** What packing needs. Lists of oids are JSON arrays; `drop…` take a list and `before`, and return oid, tid. */
export interface PackStatements {
  /** → tid, objects (roughly) */
  readonly survey: string
  readonly changedAfter: string
  readonly states: string
  readonly objectsAfter: string
  readonly dropReplaced?: string
  readonly dropDeleted: string
  readonly dropObjects: string
  readonly raiseHorizon: string
  /** oids → how many of them still have a row */
  readonly countLeft: string
  readonly begin: string
  readonly finish?: string
}

const raiseHorizon = 'UPDATE store_state SET horizon = max(horizon, ?)'
const begin = writeState.setPacked

export const packHistoryFree: PackStatements = {
  survey: 'SELECT tid, (SELECT count(*) FROM object_state) FROM store_state',
  changedAfter: 'SELECT oid FROM object_state WHERE tid > ?',
  states: `
    SELECT o.data FROM json_each(?) AS wanted CROSS JOIN object_state AS o ON o.oid = wanted.value
    WHERE o.data IS NOT NULL AND ? IS NOT NULL`,
  objectsAfter: 'SELECT oid FROM object_state WHERE oid > ? ORDER BY oid LIMIT ?',
  dropDeleted: `
    DELETE FROM object_state WHERE oid IN (SELECT value FROM json_each(?)) AND tid <= ? AND data IS NULL
    RETURNING oid, tid`,
  dropObjects: `
    DELETE FROM object_state WHERE oid IN (SELECT value FROM json_each(?)) AND tid <= ? RETURNING oid, tid`,
  raiseHorizon,
  countLeft: 'SELECT count(*) FROM object_state WHERE oid IN (SELECT value FROM json_each(?))',
  begin,
}

export const packHistory: PackStatements = {
  survey: 'SELECT tid, (SELECT count(*) FROM revision) FROM store_state',
  changedAfter: 'SELECT DISTINCT oid FROM revision WHERE tid > ?',
  states: `
    SELECT r.data FROM json_each(?) AS wanted CROSS JOIN revision AS r ON r.oid = wanted.value
    WHERE r.data IS NOT NULL
      AND r.tid >= coalesce((SELECT max(tid) FROM revision WHERE oid = wanted.value AND tid <= ?), 0)`,
  objectsAfter: 'SELECT DISTINCT oid FROM revision WHERE oid > ? ORDER BY oid LIMIT ?',
  dropReplaced: `
    DELETE FROM revision WHERE oid IN (SELECT value FROM json_each(?))
      AND tid < (SELECT max(newer.tid) FROM revision AS newer WHERE newer.oid = revision.oid AND newer.tid <= ?)
    RETURNING oid, tid`,
  // Of what had happened by then, only the newest revision is left.
  dropDeleted: `
    DELETE FROM revision WHERE oid IN (SELECT value FROM json_each(?)) AND tid <= ? AND data IS NULL
    RETURNING oid, tid`,
  dropObjects: `
    WITH given (oids, before) AS (SELECT ?, ?)
    DELETE FROM revision WHERE oid IN (SELECT value FROM given, json_each(oids))
      AND NOT EXISTS (SELECT 1 FROM revision AS newer, given WHERE newer.oid = revision.oid AND newer.tid > before)
    RETURNING oid, tid`,
  raiseHorizon,
  countLeft: 'SELECT count(DISTINCT oid) FROM revision WHERE oid IN (SELECT value FROM json_each(?))',
  begin,
  finish: `
    DELETE FROM transaction_log WHERE tid <= ?
      AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.tid = transaction_log.tid)`,
}

/** Links are kept per revision; a revision that is gone leaves its link until the sweep. Lists are JSON arrays. */
export const blobSql = {
  find: 'SELECT blob, bytes, chunk_bytes FROM object_blob WHERE oid = ? AND tid = ?',
  between: `
    SELECT oid, tid, blob, bytes, chunk_bytes FROM object_blob WHERE tid >= ? AND tid <= ?`,
  chunk: 'SELECT data FROM blob_chunk WHERE blob = ? AND number = ?',
  create: 'INSERT INTO pending_blob (created) VALUES (unixepoch()) RETURNING id',
  put: 'INSERT INTO blob_chunk (blob, number, data) VALUES (?, ?, ?)',
  dropChunks: `
    DELETE FROM blob_chunk WHERE blob IN
      (SELECT id FROM pending_blob WHERE id IN (SELECT value FROM json_each(?)))`,
  dropPending: 'DELETE FROM pending_blob WHERE id IN (SELECT value FROM json_each(?))',
  claim: 'DELETE FROM pending_blob WHERE id = ? RETURNING id',
  isLinked: 'SELECT 1 FROM object_blob WHERE blob = ?',
  link: 'INSERT INTO object_blob (oid, tid, blob, bytes, chunk_bytes) VALUES (?, ?, ?, ?, ?)',
  unlinkFree: `
    DELETE FROM object_blob WHERE NOT EXISTS
      (SELECT 1 FROM object_state AS o WHERE o.oid = object_blob.oid AND o.tid = object_blob.tid)`,
  unlinkHistory: `
    DELETE FROM object_blob WHERE NOT EXISTS
      (SELECT 1 FROM revision AS r WHERE r.oid = object_blob.oid AND r.tid = object_blob.tid)`,
  expire: 'DELETE FROM pending_blob WHERE created < unixepoch() - 86400',
  garbage: `
    SELECT blob FROM blob_chunk AS c
    WHERE c.blob > ? AND NOT EXISTS (SELECT 1 FROM object_blob AS o WHERE o.blob = c.blob)
      AND NOT EXISTS (SELECT 1 FROM pending_blob AS p WHERE p.id = c.blob) ORDER BY c.blob LIMIT 1`,
  dropGarbage: 'DELETE FROM blob_chunk WHERE blob = ?',
} as const
