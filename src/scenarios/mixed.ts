/**
 * `mixed`: what an application does: transactions that read a few objects of a shared set, some objects more often than
 * others, and now and then change one; caches as they are.
 */

import { isPromise } from '../core/awaitable.ts'
import type { Random } from '../core/random.ts'
import { counted } from '../core/units.ts'
import type { Connection } from '../database/connection.ts'
import { withRetries } from '../database/retry.ts'
import { changesOf, checkFiller, checkSum, countBytes, countChange } from './counted-content.ts'
import { type DatasetPlan, fillDataset, openPayload, sharedItems } from './dataset.ts'
import { itemsPerWorker } from './item-set.ts'
import { type Item, indexOf, type Payload } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioParameters } from './scenario.ts'

interface State {
  readonly connection: Connection
  readonly payload: Payload
  readonly items: readonly Item[]
  /** How often this worker changed each object. */
  readonly changes: Uint32Array
  readonly choices: Random
  readonly backOff: Random
}

/** One in so many transactions writes: the order of read-mostly web applications. */
const readsPerWrite = 10

const retriesMax = 1000

export default defineScenario<State>({
  name: 'mixed',
  summary: 'transactions that read N objects of a shared set, one in ten of them changing one',
  title: ({ objectsPerTransaction: n }) => `mixed transactions over ${counted(n, 'object')}`,
  description:
    'Timed: begin, read N objects of a set that all workers share, in every tenth transaction change the last of them, ' +
    'commit; after a conflict abort, wait a little and do it again. A tenth of the set gets nine tenths of the accesses. ' +
    'Caches stay as they are, so after the first batches most reads are of live objects, and each write makes the other ' +
    'workers load that object again. Which objects, and which transactions write, follows from the seed. Not timed: ' +
    'choosing them. Proven by attempts = operations + retried, by one stored record per writing transaction, by the ' +
    'identity of each object read, and at the end by the objects, which count the changes of every worker. ' +
    'Sensitive to: everything; use it to see a sum, not a cause.',
  requires: {},

  populate: (context) => fillDataset(context, planFor(context.parameters)),

  async prepare(context) {
    const connection = await context.database.openConnection()
    await connection.begin()
    const payload = await openPayload(context, connection, planFor(context.parameters))
    const items = await sharedItems(connection)
    await connection.commit()
    return {
      connection,
      payload,
      items,
      changes: new Uint32Array(items.length),
      choices: context.random.split('choices'),
      backOff: context.random.split('back-off'),
    }
  },

  async run(context, state) {
    const { connection, backOff, changes } = state
    const each = context.parameters.objectsPerTransaction
    const chosen = choose(state, context.operations * each)
    const writes = Array.from(
      { length: context.operations },
      () => state.choices.integer(readsPerWrite) === 0,
    )
    let attempts = 0
    await context.time(context.operations, async (operation) => {
      await withRetries(
        { retries: retriesMax, random: backOff },
        async () => {
          attempts++
          const begun = connection.begin()
          if (isPromise(begun)) await begun
          const last = await readItems(state, chosen, operation * each, each)
          if (writes[operation]) last.state = countChange(last.state, context.worker)
          await connection.commit()
        },
        () => connection.abort(),
      )
    })
    let written = 0
    for (let operation = 0; operation < context.operations; operation++) {
      if (!writes[operation]) continue
      written++
      changes[chosen[(operation + 1) * each - 1]!]!++
    }
    context.tally('attempts', attempts)
    context.tally('retried', attempts - context.operations)
    context.tally('writes', written)
  },

  async verify(context, { connection, payload, items, changes }) {
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    for (let first = 0; first < items.length; first += 500) {
      await connection.activateMany(items.slice(first, first + 500))
    }
    for (const [index, item] of items.entries()) {
      checkSum(item.state, context.parameters.workers, index)
      checkFiller(payload, item.state, index)
      const own = changesOf(item.state, context.worker)
      mustEqual(`object ${index}, changes of worker ${context.worker}`, own, changes[index]!)
    }
    await connection.commit()
  },

  audit({ operations, transfers, tallies }) {
    const { attempts = 0, retried = 0, writes = 0 } = tallies
    mustEqual('attempts', attempts, operations + retried)
    mustEqual('objects that connections stored', transfers.stores, writes)
    mustBeAtLeast('operations', operations, writes)
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})

function planFor(parameters: ScenarioParameters): DatasetPlan {
  return {
    scenario: 'mixed',
    perWorker: 0,
    shared: itemsPerWorker(parameters),
    reservedBytes: parameters.workers * countBytes,
  }
}

/** Indexes of objects: nine in ten of the first tenth, the others of all. */
function choose({ items, choices }: State, count: number): Uint32Array {
  const few = Math.max(1, Math.floor(items.length / 10))
  const chosen = new Uint32Array(count)
  for (let at = 0; at < count; at++)
    chosen[at] = choices.integer(choices.integer(10) === 0 ? items.length : few)
  return chosen
}

/** Returns the object read last. */
async function readItems(state: State, chosen: Uint32Array, first: number, count: number): Promise<Item> {
  const { connection, items } = state
  for (let at = first; ; at++) {
    const loaded = connection.activate(items[chosen[at]!]!)
    const item = isPromise(loaded) ? await loaded : loaded
    mustEqual('object read', indexOf(item.state), chosen[at]!)
    if (at === first + count - 1) return item
  }
}
