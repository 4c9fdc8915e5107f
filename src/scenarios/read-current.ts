/** `read-current`: a transaction that relies on N objects being current when it commits. Nobody changes them. */

import { isPromise } from '../core/awaitable.ts'
import { ShootoutError, VerificationError } from '../core/errors.ts'
import { counted } from '../core/units.ts'
import { fillDataset } from './dataset.ts'
import { ItemSet, itemSetPlan } from './item-set.ts'
import { Item } from './payload.ts'
import { mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext } from './scenario.ts'

export default defineScenario<ItemSet>({
  name: 'read-current',
  summary: 'commit that makes sure that N objects, only read, are still current',
  title: ({ objectsPerTransaction: n }) => `rely on ${counted(n, 'unchanged object')}`,
  description:
    'Timed: begin a transaction, declare of N live objects that the commit relies on them, commit. Nothing is stored, ' +
    'and nobody changes the objects. Not timed: loading them. Proven by the counters (no loads, no stores), and at the ' +
    'end by an attempt that must fail: an object that was relied on is changed by another connection before the commit. ' +
    'Sensitive to: the cost of a vote, and of checking N serials in it.',
  requires: {},

  populate: (context) => fillDataset(context, itemSetPlan('read-current', context.parameters)),
  prepare: (context) => ItemSet.open(context, itemSetPlan('read-current', context.parameters)),

  async run(context, set) {
    const { connection, items, groups, objectsPerTransaction: each } = set
    await connection.begin()
    await set.loadAll()
    await connection.commit()
    await context.time(context.operations, async (operation) => {
      const begun = connection.begin()
      if (isPromise(begun)) await begun
      const first = (operation % groups) * each
      for (let at = first; at < first + each; at++) connection.readCurrent(items[at]!)
      await connection.commit()
    })
    set.check(groups, () => 0)
  },

  verify: violate,

  audit({ transfers, counters }) {
    mustEqual('objects that connections loaded', transfers.loads, 0)
    mustEqual('objects that connections stored', transfers.stores, 0)
    mustEqual('objects that the storage handed out', counters.loads, 0)
    mustEqual('records that the storage committed', counters.stores, 0)
    mustEqual('conflicts', counters.conflicts, 0)
  },

  dispose: (_context, set) => set.close(),
})

/** A check that never fails would be fast. @throws VerificationError when a broken reliance is committed */
async function violate(context: ScenarioContext, set: ItemSet): Promise<void> {
  const { connection, payload, items, indexes } = set
  await connection.begin()
  const item = await connection.activate(items[0]!)
  await context.database.transact(async (other) => {
    const same = await other.get(item.oid!)
    if (!(same instanceof Item)) throw new VerificationError(`object ${item.oid} is not an item`)
    same.state = payload.make(set.worker, indexes[0]!, 1)
  })
  connection.readCurrent(item)
  try {
    await connection.commit()
  } catch (error) {
    await connection.abort()
    // By its code: an error that came from another process has lost its class.
    if (error instanceof ShootoutError && error.code === 'read-conflict') return
    throw error
  }
  throw new VerificationError(
    `the storage committed a transaction that relied on object ${item.oid} being current, which it was not`,
  )
}
