/**
 * Loads that are asked for in one tick go out as one request. A single load pays one microtask for it; code that loads
 * many objects at once, each by itself, gets the speed of a bulk request without asking for it.
 */

import type { Oid } from '../../core/ids.ts'
import type { Row } from './adapter.ts'

interface Waiting {
  readonly oid: Oid
  readonly resolve: (row: Row | undefined) => void
  readonly reject: (error: unknown) => void
}

export class LoadBatch {
  readonly #loadOne: (oid: Oid) => Promise<Row | undefined>
  readonly #loadMany: (oids: readonly Oid[]) => Promise<readonly Row[]>
  #waiting: Waiting[] = []

  constructor(
    loadOne: (oid: Oid) => Promise<Row | undefined>,
    loadMany: (oids: readonly Oid[]) => Promise<readonly Row[]>,
  ) {
    this.#loadOne = loadOne
    this.#loadMany = loadMany
  }

  load(oid: Oid): Promise<Row | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ oid, resolve, reject })
      if (this.#waiting.length === 1) queueMicrotask(() => this.#send())
    })
  }

  #send(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const [only] = waiting
    if (waiting.length === 1) {
      this.#loadOne(only!.oid).then(only!.resolve, only!.reject)
      return
    }
    this.#loadMany([...new Set(waiting.map(({ oid }) => oid))]).then(
      (found) => {
        const byOid = new Map(found.map((row) => [row.oid, row]))
        for (const { oid, resolve } of waiting) resolve(byOid.get(oid))
      },
      (error) => {
        for (const { reject } of waiting) reject(error)
      },
    )
  }
}
