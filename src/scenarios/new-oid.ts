/** `new-oid`: asks the storage for object ids. */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import type { Oid } from '../core/ids.ts'
import { counted } from '../core/units.ts'
import type { StorageInstance } from '../storages/storage.ts'
import { mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext } from './scenario.ts'

interface State {
  readonly instance: StorageInstance
  /** What this worker was given so far. */
  readonly seen: OidBits
}

/** Ids are looked at after the clock has stopped; so many are kept until then. */
const idsPerSectionMax = 1_000_000

const oidsPerPage = 1 << 16

export default defineScenario<State>({
  name: 'new-oid',
  summary: 'get N new object ids from the storage',
  title: ({ objectsPerTransaction: n }) => `get ${counted(n, 'object id')}`,
  description:
    'Timed: one request for N object ids. Not timed: the snapshot that is open meanwhile, and looking at what came. ' +
    'Proven by the ids, after each batch: as many as asked for, ascending, and none that this worker had before. ' +
    'Sensitive to: how many ids a storage takes from its backend at a time; most requests are answered from such a range, ' +
    'so the mean says more than the median.',
  requires: {},

  async prepare(context) {
    return { instance: await context.database.storage.newInstance(), seen: new OidBits() }
  },

  async run(context, state) {
    const step = Math.max(1, Math.floor(idsPerSectionMax / context.parameters.objectsPerTransaction))
    for (let done = 0; done < context.operations; done += step) {
      await takeSection(context, state, Math.min(step, context.operations - done))
    }
  },

  audit({ counters, transfers }) {
    mustEqual('objects that the storage handed out', counters.loads, 0)
    mustEqual('objects that connections stored', transfers.stores, 0)
  },

  dispose: (_context, { instance }) => instance.release(),
})

async function takeSection(
  context: ScenarioContext,
  { instance, seen }: State,
  operations: number,
): Promise<void> {
  const count = context.parameters.objectsPerTransaction
  const received: (readonly Oid[])[] = new Array<readonly Oid[]>(operations).fill([])
  await instance.pollInvalidations()
  await context.time(operations, (operation) => {
    const oids = instance.newOids(count)
    if (!isPromise(oids)) {
      received[operation] = oids
      return
    }
    return oids.then((arrived) => {
      received[operation] = arrived
    })
  })
  await instance.afterCompletion()
  for (const oids of received) check(oids, count, seen)
}

function check(oids: readonly Oid[], count: number, seen: OidBits): void {
  mustEqual('object ids given', oids.length, count)
  let last = 0
  for (const oid of oids) {
    if (oid <= last) throw new VerificationError(`object id ${oid} came after ${last}`)
    if (!seen.add(oid)) throw new VerificationError(`object id ${oid} was given twice`)
    last = oid
  }
}

/** A set of oids that takes a bit for each, since a fast storage gives out many millions in a run. */
class OidBits {
  readonly #pages = new Map<number, Uint32Array>()

  /** False when it was there already. */
  add(oid: Oid): boolean {
    const number = Math.floor(oid / oidsPerPage)
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = new Uint32Array(oidsPerPage / 32)
      this.#pages.set(number, page)
    }
    const place = oid % oidsPerPage
    const bit = 1 << (place & 31)
    if ((page[place >>> 5]! & bit) !== 0) return false
    page[place >>> 5]! |= bit
    return true
  }
}
