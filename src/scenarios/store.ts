/** `store`: new records straight into the storage, without the object layer. */

import { isPromise } from '../core/awaitable.ts'
import { noTid, type Oid } from '../core/ids.ts'
import { recordBytesMean, recordBytesMin } from '../core/record-sizes.ts'
import { counted } from '../core/units.ts'
import { encodeRecord } from '../database/record-encoder.ts'
import type { StorageInstance } from '../storages/storage.ts'
import { type DatasetPlan, fillDataset } from './dataset.ts'
import { Item, Payload } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { finishTransaction } from './raw-transaction.ts'
import { defineScenario, type ScenarioContext } from './scenario.ts'

interface State {
  readonly instance: StorageInstance
  readonly payload: Payload
  /** Oids of everything that this worker stored; the place is the index in the content. */
  readonly oids: Oid[]
}

const plan: DatasetPlan = { scenario: 'store', perWorker: 0, shared: 0 }

/** Records are made before the clock starts; this much at a time, for each worker. */
const preparedBytesMax = 8 * 1024 ** 2

/** Records that are read again at the end, for each worker. */
const recordsChecked = 500

export default defineScenario<State>({
  name: 'store',
  summary: 'N new records straight into the storage, in one transaction',
  title: ({ objectsPerTransaction: n }) => `store ${counted(n, 'raw record')}`,
  description:
    'Timed: open a snapshot, begin, store N new records, vote, finish, end the snapshot; calls of the storage and nothing ' +
    'else. Not timed: making the records and getting their oids. It is `add` without the object layer and without a ' +
    'container: nothing refers to the records. Proven by the number of records and bytes that the storage counted, and ' +
    'by loading the newest records again, every byte. Sensitive to: the cost of a durable commit; at large N, of writing.',
  requires: {},

  populate: (context) => fillDataset(context, plan),

  async prepare(context) {
    const payload = new Payload(context.random.split('records').uint32(), context.parameters.dataset)
    return { instance: await context.database.storage.newInstance(), payload, oids: [] }
  },

  async run(context, state) {
    const { objectsPerTransaction, dataset } = context.parameters
    const step = Math.max(
      1,
      Math.floor(preparedBytesMax / (objectsPerTransaction * recordBytesMean(dataset.recordBytes))),
    )
    for (let done = 0; done < context.operations; done += step) {
      await storeSection(context, state, Math.min(step, context.operations - done))
    }
  },

  async verify(context, { instance, payload, oids }) {
    await context.database.storage.cache?.clear()
    await instance.pollInvalidations()
    const first = Math.max(0, oids.length - recordsChecked)
    const revisions = await instance.loadMany(oids.slice(first))
    for (const [offset, revision] of revisions.entries()) {
      const index = first + offset
      const expected = encodeRecord(Item.className, payload.make(context.worker, index, 0))
      const same = revision !== undefined && Buffer.compare(revision.data, expected) === 0
      mustEqual(`worker ${context.worker}, equal records at place ${index}`, Number(same), 1)
    }
    await instance.afterCompletion()
  },

  audit({ parameters, operations, transfers, counters }) {
    const records = operations * parameters.objectsPerTransaction
    mustEqual('records that the storage committed', counters.stores, records)
    mustEqual('commits', counters.commits, operations)
    mustBeAtLeast(
      'bytes committed',
      counters.storedBytes,
      records * recordBytesMin(parameters.dataset.recordBytes),
    )
    mustEqual('objects that connections stored', transfers.stores, 0)
  },

  dispose: (_context, { instance }) => instance.release(),
})

async function storeSection(context: ScenarioContext, state: State, operations: number): Promise<void> {
  const { instance, payload, oids } = state
  const each = context.parameters.objectsPerTransaction
  const first = oids.length
  const records: Uint8Array[] = []
  for (let index = first; index < first + operations * each; index++) {
    records.push(encodeRecord(Item.className, payload.make(context.worker, index, 0)))
  }
  await instance.pollInvalidations()
  for (const oid of await instance.newOids(records.length)) oids.push(oid)
  await instance.afterCompletion()

  await context.time(operations, async (operation) => {
    const polled = instance.pollInvalidations()
    if (isPromise(polled)) await polled
    const transaction = instance.begin()
    for (let place = operation * each; place < (operation + 1) * each; place++) {
      const stored = transaction.store(oids[first + place]!, noTid, records[place]!)
      if (isPromise(stored)) await stored
    }
    const finished = finishTransaction(transaction)
    if (isPromise(finished)) await finished
    const ended = instance.afterCompletion()
    if (isPromise(ended)) await ended
  })
}
