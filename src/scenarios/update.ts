/** `update`: a transaction that changes existing objects which are already live in the connection. */

import { isPromise } from '../core/awaitable.ts'
import { recordBytesMean, recordBytesMin } from '../core/record-sizes.ts'
import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext } from './scenario.ts'

interface State {
  readonly set: ItemSet
  /** Version of each group's objects: how often the group was updated. */
  readonly versions: Uint32Array
  /** The group whose turn it is. */
  next: number
}

/** Content is made before the clock starts; this much at a time, for each worker. */
const preparedBytesMax = 8 * 1024 ** 2

export default defineScenario<State>({
  name: 'update',
  summary: 'change N existing objects and commit',
  title: ({ objectsPerTransaction: n }) => `update ${counted(n, 'object')}`,
  description:
    'Timed: begin a transaction, give N objects of the worker’s own new content that was prepared before, commit. The ' +
    'objects are live in the connection, so nothing is loaded; the next operation takes the next N of the worker’s set. ' +
    'Not timed: loading the objects, making the content. Proven by the number of records and bytes the storage counted, ' +
    'and by reading all objects again: each has the version of its last update, and every byte of it. ' +
    'Sensitive to: the cost of a durable commit; at large N, of replacing records.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('update', context.parameters)),

  async prepare(context) {
    const set = await ItemSet.open(context, itemSetPlan('update', context.parameters))
    return { set, versions: new Uint32Array(set.groups), next: 0 }
  },

  async run(context, state) {
    const { objectsPerTransaction, dataset } = context.parameters
    const step = Math.max(
      1,
      Math.floor(preparedBytesMax / (objectsPerTransaction * recordBytesMean(dataset.recordBytes))),
    )
    for (let done = 0; done < context.operations; done += step) {
      await updateSection(context, state, Math.min(step, context.operations - done))
    }
  },

  async verify(context, { set, versions }) {
    await context.database.storage.cache?.clear()
    set.connection.minimizeCache()
    await set.connection.begin()
    await set.loadAll()
    set.check(set.groups, (at) => versions[Math.floor(at / set.objectsPerTransaction)]!)
    await set.connection.commit()
  },

  audit({ parameters, operations, transfers, counters }) {
    const { objectsPerTransaction, dataset } = parameters
    mustEqual('records that connections stored', transfers.stores, operations * objectsPerTransaction)
    mustEqual('records that connections loaded', transfers.loads, 0)
    mustEqual('records that the storage committed', counters.stores, transfers.stores)
    mustEqual('commits', counters.commits, operations)
    mustBeAtLeast(
      'bytes committed',
      counters.storedBytes,
      transfers.stores * recordBytesMin(dataset.recordBytes),
    )
  },

  dispose: (_context, { set }) => set.close(),
})

async function updateSection(context: ScenarioContext, state: State, operations: number): Promise<void> {
  const { set, versions } = state
  const { connection, items, indexes, payload, groups, objectsPerTransaction: each } = set
  const firstGroup = state.next
  const contents: Uint8Array[] = []
  for (let operation = 0; operation < operations; operation++) {
    const group = (firstGroup + operation) % groups
    const version = ++versions[group]!
    for (let at = group * each; at < (group + 1) * each; at++) {
      contents.push(payload.make(set.worker, indexes[at]!, version))
    }
  }
  state.next = (firstGroup + operations) % groups
  await connection.begin()
  await set.loadAll()
  await connection.commit()

  await context.time(operations, async (operation) => {
    const begun = connection.begin()
    if (isPromise(begun)) await begun
    const first = ((firstGroup + operation) % groups) * each
    for (let index = 0; index < each; index++) {
      items[first + index]!.state = contents[operation * each + index]!
    }
    await connection.commit()
  })
}
