/**
 * `conflict`: all workers change the same objects at the same time, and whoever loses tries again.
 *
 * That they collide is not left to chance. Before each operation every worker begins, reads and changes the objects;
 * then all meet at the barrier; then all commit. So each of them has read what all but one of them will find changed.
 */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import { counted } from '../core/units.ts'
import { auditRetries, type Contested, collide, openContested } from './collide.ts'
import { changesOf, checkFiller, checkSum, countBytes, countChange } from './counted-content.ts'
import { type DatasetPlan, fillDataset } from './dataset.ts'
import type { Item } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext, type ScenarioParameters } from './scenario.ts'

export default defineScenario<Contested>({
  name: 'conflict',
  summary: 'change N objects that all workers change at the same time; losers try again until they succeed',
  title: ({ objectsPerTransaction: n }) => `update ${counted(n, 'conflicting object')}`,
  description:
    'Before each operation every worker begins a transaction, reads N objects that all share, and changes them; then all ' +
    'meet. Timed: commit, and after a conflict abort, wait a little (random, doubling from 0.5 ms to at most 50 ms), ' +
    'begin, read, change and commit again until it succeeds. So with W workers at least W - 1 attempts of each round ' +
    'fail, on every storage. Not timed: the first begin, read and change. Proven by attempts = operations + retried, by ' +
    'the least number of conflicts, and by the objects: each counts the changes of every worker, and none may be lost. ' +
    'Sensitive to: how soon a storage notices a conflict, and what an attempt in vain costs.',
  requires: { workersMin: 2 },

  populate: (context) => fillDataset(context, planFor(context.parameters)),

  prepare: (context) => openContested(context, planFor(context.parameters)),

  async run(context, state) {
    for (let operation = 0; operation < context.operations; operation++) await changeTogether(context, state)
  },

  async verify(context, state) {
    const { connection, items } = state
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    await connection.activateMany(items)
    for (const [index, item] of items.entries()) checkCounts(context, state, item, index)
    await connection.commit()
  },

  audit(totals) {
    const { parameters, operations, transfers, tallies } = totals
    auditRetries(totals)
    // One of each round can win at its first attempt, and no more than one.
    mustBeAtLeast(
      'attempts that had to be repeated',
      tallies['retried'] ?? 0,
      operations - operations / parameters.workers,
    )
    mustEqual(
      'records that connections stored',
      transfers.stores,
      operations * parameters.objectsPerTransaction,
    )
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})

function planFor({ workers, objectsPerTransaction }: ScenarioParameters): DatasetPlan {
  return {
    scenario: 'conflict',
    perWorker: 0,
    shared: objectsPerTransaction,
    reservedBytes: workers * countBytes,
  }
}

async function changeTogether(context: ScenarioContext, state: Contested): Promise<void> {
  const { connection, items, random } = state
  // Everybody really reads: a worker's own memory of its last commit would hide that the storage lost it.
  connection.minimizeCache()
  const isCommitted = await collide(context, connection, random, () => change(context.worker, state))
  if (!isCommitted) return
  state.committed++
  // What was read last is what was written last, plus one; it still has its state.
  for (const [index, item] of items.entries()) checkUnchanged(state, item, index)
}

async function change(worker: number, { connection, items }: Contested): Promise<void> {
  for (const item of items) {
    const loaded = connection.activate(item)
    const { state } = isPromise(loaded) ? await loaded : loaded
    item.state = countChange(state, worker)
  }
}

function checkCounts(context: ScenarioContext, state: Contested, item: Item, index: number): void {
  checkSum(item.state, context.parameters.workers, index)
  const own = changesOf(item.state, context.worker)
  mustEqual(`shared object ${index}, changes of worker ${context.worker}`, own, state.committed)
  checkUnchanged(state, item, index)
}

function checkUnchanged({ payload }: Contested, item: Item, index: number): void {
  if (item.status === 'ghost') {
    throw new VerificationError(
      `the storage merged changes of shared object ${index}, which nobody told it how to`,
    )
  }
  checkFiller(payload, item.state, index)
}
