/**
 * `read-current-conflict`: each worker changes objects of its own, relying on objects of the next worker, which that one
 * is just changing. The workers form a ring, so in each round not all can be right.
 */

import { isPromise } from '../core/awaitable.ts'
import { counted } from '../core/units.ts'
import { auditRetries, type Contested, collide, openContested } from './collide.ts'
import { changesOf, checkFiller, checkSum, countBytes, countChange } from './counted-content.ts'
import { type DatasetPlan, fillDataset } from './dataset.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext, type ScenarioParameters } from './scenario.ts'

export default defineScenario<Contested>({
  name: 'read-current-conflict',
  summary: 'change N own objects while relying on N objects that another worker is changing',
  title: ({ objectsPerTransaction: n }) =>
    `update ${counted(n, 'object')}, relying on ${n} of another worker`,
  description:
    'Before each operation every worker begins a transaction, changes N objects that only it changes, and declares that ' +
    'the commit relies on the N objects of the next worker; the last one’s next is the first. Then all meet. Timed: ' +
    'commit, and after a conflict abort, wait a little (random, doubling from 0.5 ms to at most 50 ms) and do all of it ' +
    'again until it succeeds. Whoever commits breaks what the one before relies on, so in each round at least one attempt ' +
    'fails. Not timed: the first begin, read and change. Proven by attempts = operations + retried, by at least one ' +
    'repeated attempt per round, and by the objects, which count the changes of their worker. ' +
    'Sensitive to: how a storage checks and locks what was only read.',
  requires: { workersMin: 2 },

  populate: (context) => fillDataset(context, planFor(context.parameters)),

  prepare: (context) => openContested(context, planFor(context.parameters)),

  async run(context, state) {
    const { connection, random } = state
    for (let operation = 0; operation < context.operations; operation++) {
      connection.minimizeCache()
      if (await collide(context, connection, random, () => change(context, state))) state.committed++
    }
  },

  async verify(context, { connection, payload, items, committed }) {
    const { workers, objectsPerTransaction: each } = context.parameters
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    for (let index = context.worker * each; index < (context.worker + 1) * each; index++) {
      const item = await connection.activate(items[index]!)
      checkSum(item.state, workers, index)
      checkFiller(payload, item.state, index)
      mustEqual(`object ${index}, changes of its worker`, changesOf(item.state, context.worker), committed)
    }
    await connection.commit()
  },

  audit(totals) {
    const { parameters, operations, transfers, tallies } = totals
    auditRetries(totals)
    const rounds = operations / parameters.workers
    mustBeAtLeast('attempts that had to be repeated', tallies['retried'] ?? 0, rounds)
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
    scenario: 'read-current-conflict',
    perWorker: 0,
    shared: objectsPerTransaction * workers,
    reservedBytes: workers * countBytes,
  }
}

async function change(context: ScenarioContext, { connection, items }: Contested): Promise<void> {
  const { workers, objectsPerTransaction: each } = context.parameters
  const next = (context.worker + 1) % workers
  for (let index = 0; index < each; index++) {
    const own = connection.activate(items[context.worker * each + index]!)
    const item = isPromise(own) ? await own : own
    item.state = countChange(item.state, context.worker)
    const others = connection.activate(items[next * each + index]!)
    connection.readCurrent(isPromise(others) ? await others : others)
  }
}
