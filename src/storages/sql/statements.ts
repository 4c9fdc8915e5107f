/**
 * The statements that every dialect has, for both schemas, so that the dialects' files read side by side. What else a
 * dialect needs (stored functions, locks) stands in its own file under names of its own.
 *
 * Both schemas keep one row of `store_state`: `tid` (newest transaction, 0 when empty), `horizon` (a poll that has seen
 * less cannot be told what changed), `packed` (something of the transactions up to here may be gone), `life` (a random
 * number, another one after a zap) and, where the database has no sequences, `next_oid`.
 *
 * History-free: `object_state` has one row per object: oid, tid, data. A deleted object keeps its row, without data,
 * until it is packed, so that polls see the deletion.
 *
 * History-preserving: `revision` has one row per revision: oid, tid, data (null: deleted), and `transaction_log` one
 * per transaction: tid, user_name, description, extension. The current revision is the newest; no second table says so.
 */
export interface Statements {
  /** → tid, horizon, life */
  readonly state: string
  /** seen, limit → oid, tid of changes after `seen`. */
  readonly changedSince: string
  /** oid → tid, data */
  readonly load: string
  /** oids → oid, tid, data */
  readonly loadMany: string
  /** oid, before → serial, data, next serial; all null where there is none. No row, or all null: no such object. */
  readonly loadBefore: string
}

/** Further statements of the history-preserving schema. */
export interface HistoryStatements {
  /** oid, count → tid, user, description, extension, bytes; newest first. */
  readonly history: string
  /** → tid up to which transactions may have been packed */
  readonly packed: string
  /** tid → oid */
  readonly changedBy: string
  /** from (exclusive), to, count → tid, user, description, extension; in order. */
  readonly transactions: string
  /** first, last → tid, oid, data; by tid and oid. */
  readonly records: string
}
