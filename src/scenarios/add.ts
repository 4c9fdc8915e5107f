/**
 * `add`: a transaction that stores new objects.
 *
 * Where do the new objects hang? In a map that grew with every operation, the last operation would cost more than the
 * first. So each operation hangs its objects into a page of its own, each page refers to the one before, and the worker's
 * head refers to the newest: everything is reachable from the root, and each operation writes N + 2 records.
 */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import type { Oid } from '../core/ids.ts'
import type { Random } from '../core/random.ts'
import { recordBytesMean, recordBytesMin } from '../core/record-sizes.ts'
import { counted } from '../core/units.ts'
import type { Connection } from '../database/connection.ts'
import { PersistentMap } from '../database/persistent-map.ts'
import { type DatasetPlan, fillDataset, groupOf, loadedMap, openPayload } from './dataset.ts'
import { Item, type Payload } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext, type ScenarioParameters } from './scenario.ts'

interface State {
  readonly connection: Connection
  readonly payload: Payload
  readonly head: PersistentMap
  /** Oids of the pages written so far, one per operation. */
  readonly pages: Oid[]
  readonly random: Random
}

const plan: DatasetPlan = { scenario: 'add', perWorker: 0, shared: 0 }

/** Content is made before the clock starts; this much at a time, for each worker. */
const preparedBytesMax = 8 * 1024 ** 2

/** Pages that are read again at the end, for each worker. */
const pagesChecked = 20

/** Records of one operation besides its objects: the page and the head. */
const recordsBesides = 2

export default defineScenario<State>({
  name: 'add',
  summary: 'commit of N new objects into the worker’s own container',
  title: ({ objectsPerTransaction: n }) => `add ${counted(n, 'object')}`,
  description:
    'Timed: begin a transaction, make N objects around content that was prepared before, hang them into a new page of ' +
    'the worker’s container, commit. That includes what an application’s commit includes: oids, records, store, vote, ' +
    'finish. Each operation writes N + 2 records (the page, and the container’s head), however many came before. ' +
    'Not timed: making the content. Proven by the number of records and bytes the storage counted, and by reading the ' +
    'head, the newest page and a random sample of pages again, every byte of their objects. ' +
    'Sensitive to: the cost of a durable commit; at large N, the cost of writing.',
  requires: {},

  populate: (context) => fillDataset(context, plan),

  async prepare(context) {
    const connection = await context.database.openConnection()
    await connection.begin()
    const payload = await openPayload(context, connection, plan)
    const head = await groupOf(connection, `worker ${context.worker}`)
    await connection.commit()
    return { connection, payload, head, pages: [], random: context.random.split('check') }
  },

  async run(context, state) {
    const step = operationsPerSection(context.parameters)
    for (let done = 0; done < context.operations; done += step) {
      await addSection(context, state, Math.min(step, context.operations - done))
    }
  },

  async verify(context, state) {
    await context.database.storage.cache?.clear()
    state.connection.minimizeCache()
    await state.connection.begin()
    const head = await state.connection.activate(state.head)
    if (state.pages.length > 0) {
      mustEqual(`worker ${context.worker}, pages`, Number(head.get('count')), state.pages.length)
      await checkPage(context, state, state.pages.length - 1)
      for (let check = 0; check < pagesChecked; check++) {
        await checkPage(context, state, state.random.integer(state.pages.length))
      }
    }
    await state.connection.commit()
  },

  audit({ parameters, operations, transfers, counters }) {
    const { objectsPerTransaction, dataset } = parameters
    mustEqual(
      'records that connections stored',
      transfers.stores,
      operations * (objectsPerTransaction + recordsBesides),
    )
    mustEqual('records that the storage committed', counters.stores, transfers.stores)
    mustEqual('commits', counters.commits, operations)
    mustBeAtLeast(
      'bytes committed',
      counters.storedBytes,
      operations * objectsPerTransaction * recordBytesMin(dataset.recordBytes),
    )
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})

function operationsPerSection({ objectsPerTransaction, dataset }: ScenarioParameters): number {
  return Math.max(
    1,
    Math.floor(preparedBytesMax / (objectsPerTransaction * recordBytesMean(dataset.recordBytes))),
  )
}

async function addSection(context: ScenarioContext, state: State, operations: number): Promise<void> {
  const { connection, payload, head, pages } = state
  const each = context.parameters.objectsPerTransaction
  const first = pages.length
  const contents: Uint8Array[] = []
  for (let index = first * each; index < (first + operations) * each; index++) {
    contents.push(payload.make(context.worker, index, 0))
  }
  // What was added before is of no use to this section, and would only fill the object cache.
  connection.minimizeCache()
  await connection.begin()
  await connection.activate(head)
  await connection.commit()

  const added: PersistentMap[] = []
  await context.time(operations, async (operation) => {
    const begun = connection.begin()
    if (isPromise(begun)) await begun
    const live = connection.activate(head)
    if (isPromise(live)) await live
    const page = new PersistentMap()
    for (let index = 0; index < each; index++) page.set(index, new Item(contents[operation * each + index]))
    page.set('previous', head.get('newest') ?? null)
    head.set('newest', page)
    head.set('count', first + operation + 1)
    await connection.commit()
    added.push(page)
  })
  for (const page of added) pages.push(page.oid!)
}

async function checkPage(context: ScenarioContext, state: State, number: number): Promise<void> {
  const { connection, payload, pages } = state
  const each = context.parameters.objectsPerTransaction
  const page = await loadedMap(connection, await connection.get(pages[number]!))
  mustEqual(`entries of page ${number}`, page.size, each + 1)
  const items: Item[] = []
  for (let index = 0; index < each; index++) {
    const item = page.get(index)
    if (!(item instanceof Item)) throw new VerificationError(`object ${index} of page ${number} is missing`)
    items.push(item)
  }
  await connection.activateMany(items)
  for (const [index, item] of items.entries()) {
    const where = `worker ${context.worker}, page ${number}`
    payload.check(item.state, context.worker, number * each + index, 0, where)
  }
}
