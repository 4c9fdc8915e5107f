/**
 * What a vote does about objects that are not as its transaction expects: it refuses, or merges the changes where that is
 * possible. Called with the locks held, so what is found current stays so.
 */

import { type Awaitable, chain } from '../../core/awaitable.ts'
import { ObjectNotFoundError, ReadConflictError } from '../../core/errors.ts'
import { after, noTid, type Oid } from '../../core/ids.ts'
import { resolveOrThrow } from '../conflict-resolution.ts'
import type { Change, Expectation, Reader, Row } from './adapter.ts'
import type { SqlInstance } from './instance.ts'
import type { SqlStore } from './sql-storage.ts'
import type { Wanted } from './wanted.ts'

export class VoteConflicts {
  readonly #store: SqlStore
  readonly #instance: SqlInstance
  /** Shows the snapshot in which the transaction began, while that is open. */
  readonly #reader: Reader
  readonly #wanted: Wanted

  constructor(store: SqlStore, instance: SqlInstance, reader: Reader, wanted: Wanted) {
    this.#store = store
    this.#instance = instance
    this.#reader = reader
    this.#wanted = wanted
  }

  /**
   * Puts merged changes in the place of those that conflict.
   * @param rows what is current where it is not what the transaction started from
   * @throws ConflictError, ReadConflictError, ObjectNotFoundError
   */
  settle(rows: readonly Row[]): Awaitable<void> {
    const { changes, expectations } = this.#wanted
    const current = new Map(rows.map((row) => [row.oid, row]))
    for (const expectation of expectations.values()) this.#checkRead(expectation, current)
    for (const change of changes.values()) this.#checkDeletion(change, current.get(change.oid))
    const conflicting = rows.filter(({ oid, data }) => {
      const change = changes.get(oid)
      // Who found no object has no serial to name: making a deleted object anew is no conflict.
      return change !== undefined && !(change.base === noTid && data === null)
    })
    if (conflicting.length === 0) return
    for (const { oid, serial, data } of conflicting) {
      // Whoever repeats this transaction will ask for it.
      if (data !== null) this.#store.index?.passedBy(oid, serial, data)
    }
    return chain(this.#bases(conflicting), (bases) => {
      for (const row of conflicting) this.#resolve(row, bases.get(row.oid))
    })
  }

  #checkRead({ oid, serial }: Expectation, current: ReadonlyMap<Oid, Row>): void {
    const row = current.get(oid)
    // An object that is stored too was compared with the base of the change.
    const currentSerial = row?.serial ?? this.#wanted.changes.get(oid)?.base ?? serial
    const isStillMissing = serial === noTid && row !== undefined && row.data === null
    if (currentSerial !== serial && !isStillMissing) throw new ReadConflictError(oid, currentSerial, serial)
  }

  #checkDeletion({ oid, base, data }: Change, row: Row | undefined): void {
    const isMissing = base === noTid && (row === undefined || row.data === null)
    if (data === null && isMissing && !this.#wanted.resolved.has(oid)) throw new ObjectNotFoundError(oid)
  }

  /** The states that the conflicting changes started from. */
  #bases(rows: readonly Row[]): Awaitable<ReadonlyMap<Oid, Uint8Array>> {
    const bases = new Map<Oid, Uint8Array>()
    if (this.#store.context.resolveConflict === undefined) return bases
    const { changes } = this.#wanted
    const { index } = this.#store
    for (const { oid } of rows) {
      const base = index?.cache.get(oid, changes.get(oid)!.base)
      if (base !== undefined) bases.set(oid, base.data)
    }
    const isMissing = ({ oid }: Row): boolean => !bases.has(oid) && changes.get(oid)!.base !== noTid
    const wanted = rows.filter(isMissing)
    // Almost always the snapshot still shows them, in one request.
    const canAsk = wanted.length > 0 && this.#instance.isReading(this.#reader)
    return chain(canAsk ? this.#reader.loadMany(wanted.map((row) => row.oid)) : [], (found) => {
      for (const { oid, serial, data } of found) {
        if (data !== null && serial === changes.get(oid)!.base) bases.set(oid, data)
      }
      const missing = wanted.filter(isMissing)
      if (missing.length === 0 || !this.#store.adapter.keepsHistory) return bases
      return this.#store.withReader((past) => this.#pastBases(past, missing, bases))
    })
  }

  async #pastBases(reader: Reader, rows: readonly Row[], bases: Map<Oid, Uint8Array>): Promise<typeof bases> {
    for (const { oid } of rows) {
      const { base } = this.#wanted.changes.get(oid)!
      const past = await reader.loadBefore(oid, after(base))
      if (past?.serial === base && past.data !== null) bases.set(oid, past.data)
    }
    return bases
  }

  #resolve(row: Row, base: Uint8Array | undefined): void {
    const change = this.#wanted.changes.get(row.oid)!
    const hasBlob = change.blob !== undefined || row.hasBlob === true
    const merged = resolveOrThrow(hasBlob ? undefined : this.#store.context.resolveConflict, {
      oid: row.oid,
      baseSerial: change.base,
      base,
      committed: { serial: row.serial, data: row.data },
      mine: change.data,
    })
    this.#wanted.putResolved({ oid: row.oid, base: row.serial, data: merged })
    this.#store.counters.resolvedConflicts++
  }
}
