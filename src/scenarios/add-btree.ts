/** `add-btree`: as `add`, but the container is a BTree, and the keys come in random order. */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { recordBytesMean, recordBytesMin } from '../core/record-sizes.ts'
import { counted } from '../core/units.ts'
import { BTree } from '../database/b-tree.ts'
import type { Connection } from '../database/connection.ts'
import { type DatasetPlan, fillDataset, groupOf, openPayload } from './dataset.ts'
import { Item, type Payload } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext } from './scenario.ts'

interface State {
  readonly connection: Connection
  readonly payload: Payload
  readonly tree: BTree
  /** Objects in the tree. */
  count: number
  readonly random: Random
}

const plan: DatasetPlan = { scenario: 'add-btree', perWorker: 0, shared: 0 }

/** Content is made before the clock starts; this much at a time, for each worker. */
const preparedBytesMax = 8 * 1024 ** 2

/** Objects that are read again at the end, for each worker. */
const objectsChecked = 500

export default defineScenario<State>({
  name: 'add-btree',
  summary: 'commit of N new objects into the worker’s own BTree, under keys in random order',
  title: ({ objectsPerTransaction: n }) => `add ${counted(n, 'object')} to a BTree`,
  description:
    'Timed: begin a transaction, make N objects around content that was prepared before, set them in the worker’s BTree, ' +
    'commit. Keys are spread evenly, so nearly every object rewrites a bucket of its own, and its commit relies on the ' +
    'nodes above it; now and then a bucket is split. The tree grows with every operation, so later ones are dearer, by ' +
    'its depth. Not timed: making the content. Proven by the number of records and bytes the storage counted, by the ' +
    'number of entries at the end, and by reading a random sample again, every byte. ' +
    'Sensitive to: what `add` is, and the cost of replacing records and of checking those that were only read.',
  requires: {},

  async populate(context) {
    await fillDataset(context, plan)
    await context.database.transact(async (connection) => {
      for (let worker = 0; worker < context.parameters.workers; worker++) {
        ;(await groupOf(connection, `worker ${worker}`)).set('tree', new BTree())
      }
    })
  },

  async prepare(context) {
    const connection = await context.database.openConnection()
    await connection.begin()
    const payload = await openPayload(context, connection, plan)
    const tree = (await groupOf(connection, `worker ${context.worker}`)).get('tree')
    if (!(tree instanceof BTree)) throw new VerificationError('the worker’s BTree is missing from the store')
    await connection.commit()
    return { connection, payload, tree, count: 0, random: context.random.split('check') }
  },

  async run(context, state) {
    const { objectsPerTransaction, dataset } = context.parameters
    const step = Math.max(
      1,
      Math.floor(preparedBytesMax / (objectsPerTransaction * recordBytesMean(dataset.recordBytes))),
    )
    for (let done = 0; done < context.operations; done += step) {
      await addSection(context, state, Math.min(step, context.operations - done))
    }
  },

  async verify(context, { connection, payload, tree, count, random }) {
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    await connection.activate(tree)
    mustEqual(`entries of the BTree of worker ${context.worker}`, await tree.count(), count)
    for (let check = 0; check < Math.min(count, objectsChecked); check++) {
      const index = random.integer(count)
      const item = await tree.get(keyOf(index))
      if (!(item instanceof Item)) throw new VerificationError(`object ${index} is missing from the BTree`)
      await connection.activate(item)
      payload.check(item.state, context.worker, index, 0, `worker ${context.worker}, BTree`)
    }
    await connection.commit()
  },

  audit({ parameters, operations, transfers, counters }) {
    const objects = operations * parameters.objectsPerTransaction
    mustBeAtLeast('records that connections stored', transfers.stores, objects + operations)
    mustEqual('records that the storage committed', counters.stores, transfers.stores)
    mustEqual('commits', counters.commits, operations)
    mustBeAtLeast(
      'bytes committed',
      counters.storedBytes,
      objects * recordBytesMin(parameters.dataset.recordBytes),
    )
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})

/** Multiplying by an odd number reorders the 32-bit integers: no key comes twice, and neighbours come far apart. */
function keyOf(index: number): number {
  return Math.imul(index, 0x9e_37_79_b1) >>> 0
}

async function addSection(context: ScenarioContext, state: State, operations: number): Promise<void> {
  const { connection, payload, tree } = state
  const each = context.parameters.objectsPerTransaction
  const first = state.count
  const contents: Uint8Array[] = []
  for (let index = first; index < first + operations * each; index++) {
    contents.push(payload.make(context.worker, index, 0))
  }
  await context.time(operations, async (operation) => {
    const begun = connection.begin()
    if (isPromise(begun)) await begun
    const live = connection.activate(tree)
    if (isPromise(live)) await live
    for (let place = operation * each; place < (operation + 1) * each; place++) {
      const set = tree.set(keyOf(first + place), new Item(contents[place]))
      if (isPromise(set)) await set
    }
    await connection.commit()
  })
  state.count += operations * each
}
