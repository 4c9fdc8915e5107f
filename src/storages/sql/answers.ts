/** What readers make of the rows that a database answered with, the same in every dialect. */

import type { Oid, Tid } from '../../core/ids.ts'
import type { TransactionMetadata, TransactionRecord } from '../storage.ts'
import type { PastRow, Poll } from './adapter.ts'

/** Changes that a poll reports one by one. Beyond it, dropping every cached object is cheaper than a list. */
const changesMax = 100_000

/** Changes that a poll asks for: one more than it reports, so that it knows when there are too many. */
export const changesLimit = changesMax + 1

/** The row of `store_state`. */
export interface StateRow {
  readonly tid: Tid
  readonly horizon: Tid
  readonly life: number
}

interface Change {
  readonly oid: Oid
  readonly tid: Tid
}

/** The newest that a snapshot with this state has seen. */
export function newestOf({ tid, horizon }: StateRow): Tid {
  return Math.max(tid, horizon) as Tid
}

/** @param seen undefined: nothing was asked about changes. @param changes up to `changesLimit` of them */
export function pollOf(state: StateRow, seen: Tid | undefined, changes: readonly Change[]): Poll {
  const isUnknown = seen === undefined || seen < state.horizon || changes.length > changesMax
  return { tid: state.tid, seen: newestOf(state), life: state.life, changed: isUnknown ? 'all' : changes }
}

/** Undefined: there is no such object. */
export function pastRowOf(
  serial: Tid | null,
  data: Uint8Array | null,
  nextSerial: Tid | null,
): PastRow | undefined {
  if (serial === null && nextSerial === null) return undefined
  return { serial: serial ?? undefined, data, nextSerial: nextSerial ?? undefined }
}

/** One row of `transaction_log`. */
export interface LogRow {
  readonly tid: Tid
  readonly metadata: TransactionMetadata
}

interface RevisionRow extends Change {
  readonly data: Uint8Array | null
}

/** @param revisions of these transactions, in any order of transactions */
export function recordsOf(
  log: readonly LogRow[],
  revisions: readonly RevisionRow[],
): readonly TransactionRecord[] {
  const transactions = log.map((row) => ({ ...row, records: [] as Omit<RevisionRow, 'tid'>[] }))
  const byTid = new Map(transactions.map((one) => [one.tid, one]))
  for (const { tid, oid, data } of revisions) byTid.get(tid)!.records.push({ oid, data })
  return transactions
}
