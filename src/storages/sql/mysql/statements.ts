/** The statements of MySQL and MariaDB. Lists of oids come as one JSON array, so that one statement serves every length. */

import type { HistoryStatements, Statements } from '../statements.ts'
import { byKey } from './procedures.ts'

/** The oids of a JSON array, in its order. */
const wanted = "JSON_TABLE(?, '$[*]' COLUMNS (oid BIGINT PATH '$')) AS wanted"

const state = 'SELECT tid, horizon, life FROM store_state'

/** A number for the life of a store. */
export const newLife = 'FLOOR(RAND() * 9007199254740991)'

export const historyFree: Statements = {
  state,
  changedSince: 'SELECT oid, tid FROM object_state WHERE tid > ? LIMIT ?',
  load: 'SELECT tid, data FROM object_state WHERE oid = ?',
  loadMany: `SELECT o.oid, o.tid, o.data FROM ${wanted} STRAIGHT_JOIN object_state AS o ON o.oid = wanted.oid`,
  loadBefore: `
    SELECT IF(o.tid < given.before_tid, o.tid, NULL) AS tid, IF(o.tid < given.before_tid, o.data, NULL) AS data,
      IF(o.tid < given.before_tid, NULL, o.tid) AS next_tid
    FROM (SELECT CAST(? AS SIGNED) AS oid, CAST(? AS SIGNED) AS before_tid) AS given
      STRAIGHT_JOIN object_state AS o ON o.oid = given.oid`,
}

export const historyPreserving: Statements & HistoryStatements & { readonly isThere: string } = {
  state,
  changedSince: 'SELECT oid, tid FROM revision WHERE tid > ? LIMIT ?',
  load: 'SELECT tid, data FROM revision WHERE oid = ? ORDER BY tid DESC LIMIT 1',
  loadMany: `
    SELECT r.oid, r.tid, r.data FROM ${wanted} STRAIGHT_JOIN revision AS r ON r.oid = wanted.oid
      AND r.tid = (SELECT MAX(newest.tid) FROM revision AS newest WHERE newest.oid = wanted.oid)`,
  loadBefore: `
    SELECT past.tid, past.data,
      (SELECT MIN(newer.tid) FROM revision AS newer WHERE newer.oid = given.oid AND newer.tid >= given.before_tid) AS next_tid
    FROM (SELECT CAST(? AS SIGNED) AS oid, CAST(? AS SIGNED) AS before_tid) AS given
      LEFT JOIN revision AS past ON past.oid = given.oid AND past.tid =
        (SELECT MAX(older.tid) FROM revision AS older WHERE older.oid = given.oid AND older.tid < given.before_tid)`,
  history: `
    SELECT r.tid, t.user_name, t.description, t.extension, COALESCE(LENGTH(r.data), 0) AS bytes
    FROM revision AS r JOIN transaction_log AS t ON t.tid = r.tid
    WHERE r.oid = ? ORDER BY r.tid DESC LIMIT ?`,
  packed: 'SELECT packed FROM store_state',
  changedBy: 'SELECT oid FROM revision WHERE tid = ? ORDER BY oid',
  isThere: 'SELECT 1 FROM transaction_log WHERE tid = ? AND tid > (SELECT packed FROM store_state)',
  transactions: `
    SELECT tid, user_name, description, extension FROM transaction_log
    WHERE tid > ? AND tid <= ? ORDER BY tid LIMIT ?`,
  records: 'SELECT tid, oid, data FROM revision WHERE tid >= ? AND tid <= ? ORDER BY tid, oid',
}

export const calls = {
  /** Ends the snapshot, opens the next, tells its state. */
  first: 'CALL poll_first()',
  /** seen, limit → the same, and the changes */
  poll: 'CALL poll(?, ?)',
  /**
   * [[oid, base] …] of changes, [[oid, serial] …] of reads, [slot …] of what is not there; all ascend. → Nothing at all, or
   * differing changes; where there are reads also those that are share-locked, and all reads
   */
  vote: 'CALL vote(?, ?, ?)',
  /**
   * [[oid, base, start, length] …], how many are changed, how many new, slots of those, how many, [[oid, serial] …] of
   * reads, how many, contents, clock, largest oid not leased or null, user, description, extension → tid, previous; nulls
   * when nothing was done because somebody is in the way
   */
  commit: 'CALL commit_in_one(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  /** clock, [[oid, start, length] …], contents, largest oid not leased or null, user, description, extension → tid, previous */
  finish: 'CALL finish(?, ?, ?, ?, ?, ?, ?)',
  /** The same in parts, for commits that do not fit into one message: clock, user, description, extension */
  finishBegin: 'CALL finish_begin(?, ?, ?, ?)',
  /** tid, [[oid, start, length] …], contents, largest oid not leased or null */
  putRows: 'CALL put_rows(?, ?, ?, ?)',
  /** tid, oids, slots, user, description, extension → previous; locks like a vote */
  restoreBegin: 'CALL restore_begin(?, ?, ?, ?, ?, ?)',
  setPacked: 'UPDATE store_state SET packed = GREATEST(packed, ?)',
  lease: 'UPDATE oid_state SET next_oid = LAST_INSERT_ID(next_oid) + ?',
} as const

/** What packing needs. Lists of oids are JSON arrays. */
export interface PackStatements {
  readonly survey: string
  readonly changedAfter: string
  /** oids, before → data */
  readonly states: string
  readonly objectsAfter: string
  /** The clause that locks is the server's own. */
  readonly lock: (forUpdate: string) => string
  /** before, oids → oid, tid; all three `find…` alike */
  readonly findReplaced?: string
  readonly findDeleted: string
  readonly findObjects: string
  /** [[oid, tid] …] */
  readonly remove: string
  /** oids → oid */
  readonly left: string
}

const victims = "JSON_TABLE(?, '$[*]' COLUMNS (oid BIGINT PATH '$[0]', tid BIGINT PATH '$[1]')) AS victim"

export const packFree: PackStatements = {
  survey: 'SELECT tid, (SELECT COUNT(*) FROM object_state) AS objects FROM store_state',
  changedAfter: 'SELECT oid FROM object_state WHERE tid > ?',
  states: `
    SELECT o.data FROM ${wanted} STRAIGHT_JOIN object_state AS o ON o.oid = wanted.oid
    WHERE o.data IS NOT NULL AND ? IS NOT NULL`,
  objectsAfter: 'SELECT oid FROM object_state WHERE oid > ? ORDER BY oid LIMIT ?',
  lock: (forUpdate) =>
    `SELECT o.oid FROM ${wanted} STRAIGHT_JOIN object_state AS o ${byKey} ON o.oid = wanted.oid ${forUpdate}`,
  findDeleted: `
    SELECT o.oid, o.tid FROM (SELECT CAST(? AS SIGNED) AS before_tid) AS given STRAIGHT_JOIN ${wanted}
      STRAIGHT_JOIN object_state AS o ON o.oid = wanted.oid
    WHERE o.tid <= given.before_tid AND o.data IS NULL`,
  findObjects: `
    SELECT o.oid, o.tid FROM (SELECT CAST(? AS SIGNED) AS before_tid) AS given STRAIGHT_JOIN ${wanted}
      STRAIGHT_JOIN object_state AS o ON o.oid = wanted.oid
    WHERE o.tid <= given.before_tid`,
  remove: `
    DELETE o FROM ${victims} STRAIGHT_JOIN object_state AS o ON o.oid = victim.oid AND o.tid = victim.tid`,
  left: `SELECT o.oid FROM ${wanted} STRAIGHT_JOIN object_state AS o ON o.oid = wanted.oid`,
}

const revisions = `(SELECT CAST(? AS SIGNED) AS before_tid) AS given STRAIGHT_JOIN ${wanted}
      STRAIGHT_JOIN revision AS r ON r.oid = wanted.oid`

export const packHistory: PackStatements & {
  readonly dropCurrent: string
  readonly dropTransactions: string
} = {
  survey: 'SELECT tid, (SELECT COUNT(*) FROM current_object) AS objects FROM store_state',
  changedAfter: 'SELECT DISTINCT oid FROM revision WHERE tid > ?',
  states: `
    SELECT r.data FROM ${wanted} STRAIGHT_JOIN revision AS r ON r.oid = wanted.oid
    WHERE r.data IS NOT NULL AND r.tid >=
      COALESCE((SELECT MAX(older.tid) FROM revision AS older WHERE older.oid = r.oid AND older.tid <= ?), 0)`,
  objectsAfter: 'SELECT oid FROM current_object WHERE oid > ? ORDER BY oid LIMIT ?',
  lock: (forUpdate) =>
    `SELECT o.oid FROM ${wanted} STRAIGHT_JOIN current_object AS o ${byKey} ON o.oid = wanted.oid ${forUpdate}`,
  findReplaced: `
    SELECT r.oid, r.tid FROM ${revisions}
    WHERE r.tid < (SELECT MAX(newer.tid) FROM revision AS newer WHERE newer.oid = r.oid AND newer.tid <= given.before_tid)`,
  // Of what had happened by then, only the newest revision is left.
  findDeleted: `SELECT r.oid, r.tid FROM ${revisions} WHERE r.tid <= given.before_tid AND r.data IS NULL`,
  findObjects: `
    SELECT r.oid, r.tid FROM ${revisions}
    WHERE NOT EXISTS (SELECT 1 FROM revision AS newer WHERE newer.oid = r.oid AND newer.tid > given.before_tid)`,
  remove: `DELETE r FROM ${victims} STRAIGHT_JOIN revision AS r ON r.oid = victim.oid AND r.tid = victim.tid`,
  left: `SELECT DISTINCT r.oid FROM ${wanted} STRAIGHT_JOIN revision AS r ON r.oid = wanted.oid`,
  dropCurrent: `
    DELETE o FROM ${wanted} STRAIGHT_JOIN current_object AS o ON o.oid = wanted.oid
    WHERE NOT EXISTS (SELECT 1 FROM revision WHERE revision.oid = o.oid)`,
  dropTransactions: `
    DELETE t FROM transaction_log AS t
    WHERE t.tid <= ? AND NOT EXISTS (SELECT 1 FROM revision WHERE revision.tid = t.tid)`,
}

/** Links are kept per revision; a revision that is gone leaves its link until the sweep. */
export const blobSql = {
  find: 'SELECT blob_id AS id, bytes, chunk_bytes FROM object_blob WHERE oid = ? AND tid = ?',
  between: `
    SELECT oid, tid, blob_id AS id, bytes, chunk_bytes FROM object_blob WHERE tid >= ? AND tid <= ?`,
  chunk: 'SELECT data FROM blob_chunk WHERE blob_id = ? AND number = ?',
  create: 'INSERT INTO pending_blob () VALUES ()',
  put: 'INSERT INTO blob_chunk (blob_id, number, data) VALUES (?, ?, ?)',
  drop: 'DELETE p, c FROM pending_blob AS p LEFT JOIN blob_chunk AS c ON c.blob_id = p.id WHERE p.id = ?',
  lockPending: 'SELECT id FROM pending_blob WHERE id = ? FOR UPDATE',
  claim: 'DELETE FROM pending_blob WHERE id = ?',
  lockLink: 'SELECT blob_id FROM object_blob WHERE blob_id = ? FOR UPDATE',
  keep: 'UPDATE object_blob SET kept = kept + 1 WHERE blob_id = ?',
  link: 'INSERT INTO object_blob (oid, tid, blob_id, bytes, chunk_bytes) VALUES (?, ?, ?, ?, ?)',
  unlinkFree: `
    DELETE b FROM object_blob AS b LEFT JOIN object_state AS o ON o.oid = b.oid AND o.tid = b.tid
    WHERE o.oid IS NULL`,
  unlinkHistory: `
    DELETE b FROM object_blob AS b LEFT JOIN revision AS r ON r.oid = b.oid AND r.tid = b.tid
    WHERE r.oid IS NULL`,
  expire: 'DELETE FROM pending_blob WHERE created < NOW() - INTERVAL 1 DAY',
  garbage: `
    SELECT c.blob_id FROM blob_chunk AS c
    WHERE c.blob_id > ? AND NOT EXISTS (SELECT 1 FROM object_blob AS o WHERE o.blob_id = c.blob_id)
      AND NOT EXISTS (SELECT 1 FROM pending_blob AS p WHERE p.id = c.blob_id) ORDER BY c.blob_id LIMIT 1`,
  dropGarbage: 'DELETE FROM blob_chunk WHERE blob_id = ?',
} as const
