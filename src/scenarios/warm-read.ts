/** `warm-read`: reads what another connection of the same process has just committed. */

import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { mustEqual } from './prove.ts'
import { defineScenario } from './scenario.ts'

interface State {
  /** What the timed connection reads. */
  readonly reader: ItemSet
  /** The same objects in another connection, which writes them. */
  readonly writer: ItemSet
  /** Passes so far: the version that all objects have. */
  passes: number
}

/** Objects in one of the writer's transactions. */
const objectsPerCommit = 500

export default defineScenario<State>({
  name: 'warm-read',
  summary: 'read N objects that another connection of the process has just committed',
  title: ({ objectsPerTransaction: n }) => `read ${counted(n, 'object')} just committed`,
  description:
    'Before each pass another connection of the same worker gives every object new content and commits; the reading ' +
    'connection then begins a transaction. Timed: load N objects one after the other, and look into each. Not timed: the ' +
    'writing, the begin. Whether the storage’s cache took in what was committed, or has to fetch it, is what this ' +
    'scenario shows: compare it with `cached-read` and `cold-read`, and see the loads that reached the backend. ' +
    'Proven by N loads per operation, and by every byte, checked after each pass: nobody read an older version. ' +
    'Sensitive to: the cache of the storage, and how it learns of commits.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('warm-read', context.parameters)),

  async prepare(context) {
    const plan = itemSetPlan('warm-read', context.parameters)
    const reader = await ItemSet.open(context, plan)
    try {
      return { reader, writer: await ItemSet.open(context, plan), passes: 0 }
    } catch (error) {
      await reader.close()
      throw error
    }
  },

  async run(context, state) {
    const { reader } = state
    for (let done = 0; done < context.operations; done += reader.groups) {
      const operations = Math.min(reader.groups, context.operations - done)
      await writePass(state)
      reader.connection.minimizeCache()
      // A new snapshot shows whatever was committed through this storage before.
      await reader.connection.begin()
      await context.time(operations, (operation) => reader.readGroup(operation))
      reader.check(operations, () => state.passes)
      await reader.connection.commit()
    }
  },

  audit({ parameters, operations, transfers, counters }) {
    const expected = operations * parameters.objectsPerTransaction
    mustEqual('objects that connections loaded', transfers.loads, expected)
    mustEqual('objects that the storage handed out', counters.loads, expected)
    mustEqual('objects stored', transfers.stores, 0)
  },

  async dispose(_context, { reader, writer }) {
    await reader.close()
    await writer.close()
  },
})

async function writePass(state: State): Promise<void> {
  const { writer } = state
  const { connection, items, indexes, payload, worker } = writer
  const version = ++state.passes
  for (let first = 0; first < items.length; first += objectsPerCommit) {
    const part = items.slice(first, first + objectsPerCommit)
    await connection.begin()
    await connection.activateMany(part)
    for (const [offset, item] of part.entries()) {
      item.state = payload.make(worker, indexes[first + offset]!, version)
    }
    await connection.commit()
  }
}
