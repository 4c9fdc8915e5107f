/**
 * What the reading scenarios have in common: passes over a set, each within one snapshot. Between passes, untimed, the
 * scenario puts the caches into the state it is about, and every byte that was read is checked.
 */

import type { Awaitable } from '../storages/storage.ts'
import type { ItemSet } from './item-set.ts'
import { mustEqual } from './prove.ts'
import type { ForkTotals, ScenarioContext } from './scenario.ts'

/** How one reading scenario differs from another. */
export interface Reading {
  /** Puts the caches into the state that the scenario is about. A transaction is open. */
  arrange(context: ScenarioContext, set: ItemSet): Awaitable<void>
  /** One operation: reads one group. */
  read(set: ItemSet, group: number): Awaitable<void>
}

/** A whole `run` of a reading scenario. */
export async function readInPasses(context: ScenarioContext, set: ItemSet, reading: Reading): Promise<void> {
  const { connection } = set
  for (let done = 0; done < context.operations; done += set.groups) {
    const operations = Math.min(set.groups, context.operations - done)
    await connection.begin()
    await reading.arrange(context, set)
    await context.time(operations, (operation) => reading.read(set, operation))
    set.check(operations, () => 0)
    await connection.commit()
  }
}

/** Every object came from the backend, once per reading, and nothing was written. */
export function auditColdReads({ parameters, operations, transfers, counters }: ForkTotals): void {
  const expected = operations * parameters.objectsPerTransaction
  mustEqual('objects that connections loaded', transfers.loads, expected)
  mustEqual('objects that the storage handed out', counters.loads, expected)
  mustEqual('objects that came from the backend', counters.backendLoads, expected)
  mustEqual('objects stored', transfers.stores, 0)
}
