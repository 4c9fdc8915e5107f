/**
 * `conflict-resolve`: all workers add to the same counters at the same time, and the storage merges what they did, so
 * that nobody has to try again.
 */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { counted } from '../core/units.ts'
import type { Connection } from '../database/connection.ts'
import { PersistentCounter } from '../database/persistent-counter.ts'
import { auditRetries, collide } from './collide.ts'
import { type DatasetPlan, fillDataset, groupOf } from './dataset.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario } from './scenario.ts'

interface State {
  readonly connection: Connection
  readonly counters: readonly PersistentCounter[]
  readonly random: Random
  committed: number
}

const plan: DatasetPlan = { scenario: 'conflict-resolve', perWorker: 0, shared: 0 }

export default defineScenario<State>({
  name: 'conflict-resolve',
  summary: 'add to N counters that all workers add to at the same time; the storage merges the changes',
  title: ({ objectsPerTransaction: n }) => `merge changes of ${counted(n, 'conflicting counter')}`,
  description:
    'Before each operation every worker begins a transaction, reads N counters that all share, and adds 1 to each; then ' +
    'all meet. Timed: commit. All but one find that the counters have changed, and the storage has to merge: base, ' +
    'committed and new state in, sum out. Should a commit fail all the same (a lock held for too long), it is repeated, ' +
    'on the clock. Not timed: the begin, read and change before. Records are as small as counters are, whatever record ' +
    'size was asked for. Proven by the storage’s count of merged objects, and by the counters, which must have counted ' +
    'every operation of every worker. Sensitive to: what it costs a storage to load three states and merge them.',
  requires: { workersMin: 2, capabilities: ['conflictResolution'] },

  async populate(context) {
    await fillDataset(context, plan)
    await context.database.transact(async (connection) => {
      const shared = await groupOf(connection, 'shared')
      for (let index = 0; index < context.parameters.objectsPerTransaction; index++) {
        shared.set(index, new PersistentCounter())
      }
    })
  },

  async prepare(context) {
    const connection = await context.database.openConnection()
    await connection.begin()
    const counters: PersistentCounter[] = []
    for (const counter of (await groupOf(connection, 'shared')).values()) {
      if (!(counter instanceof PersistentCounter)) {
        throw new VerificationError('the shared group holds something else than counters')
      }
      counters.push(counter)
    }
    await connection.commit()
    return { connection, counters, random: context.random.split('back-off'), committed: 0 }
  },

  async run(context, state) {
    const { connection, counters, random } = state
    const change = async (): Promise<void> => {
      for (const counter of counters) {
        const loaded = connection.activate(counter)
        if (isPromise(loaded)) await loaded
        counter.add(1)
      }
    }
    for (let operation = 0; operation < context.operations; operation++) {
      connection.minimizeCache()
      if (await collide(context, connection, random, change)) state.committed++
    }
  },

  async verify(context, { connection, counters, committed }) {
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    await connection.activateMany(counters)
    // All workers perform the same number of operations, so each knows what the sum must be.
    for (const [index, counter] of counters.entries()) {
      mustEqual(`counter ${index}`, counter.state, committed * context.parameters.workers)
    }
    await connection.commit()
  },

  audit(totals) {
    const { parameters, operations, counters, tallies } = totals
    auditRetries(totals)
    // All but one of each round had to be merged, or repeated.
    const late = operations - operations / parameters.workers
    const handled = counters.resolvedConflicts / parameters.objectsPerTransaction + (tallies['retried'] ?? 0)
    mustBeAtLeast('commits that were merged or repeated', handled, late)
    mustBeAtLeast('objects merged', counters.resolvedConflicts, 1)
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})
