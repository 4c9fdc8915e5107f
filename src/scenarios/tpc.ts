/** `tpc`: the storage's two-phase commit with nothing in it. */

import { isPromise } from '../core/awaitable.ts'
import { noTid, type Tid } from '../core/ids.ts'
import type { StorageInstance } from '../storages/storage.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { finishTransaction } from './raw-transaction.ts'
import { defineScenario } from './scenario.ts'

interface State {
  readonly instance: StorageInstance
  lastTid: Tid
}

export default defineScenario<State>({
  name: 'tpc',
  summary: 'begin, vote and finish of the storage, with nothing stored',
  title: () => 'two-phase commit of nothing',
  description:
    'Timed: open a snapshot, begin, vote, finish, end the snapshot. Nothing is stored; the object count does not matter. ' +
    'Not timed: nothing besides. Proven by the counters (no loads, no stores), and by the tids that finish returned, ' +
    'which never go back. Sensitive to: locks, round trips and whether a storage makes durable what is empty: some do, ' +
    'some rightly do nothing, so compare with care.',
  requires: {},

  async prepare(context) {
    return { instance: await context.database.storage.newInstance(), lastTid: noTid }
  },

  async run(context, state) {
    const { instance } = state
    await context.time(context.operations, async () => {
      const polled = instance.pollInvalidations()
      if (isPromise(polled)) await polled
      const finished = finishTransaction(instance.begin())
      const tid = isPromise(finished) ? await finished : finished
      mustBeAtLeast('tid of a commit', tid, state.lastTid)
      state.lastTid = tid
      const ended = instance.afterCompletion()
      if (isPromise(ended)) await ended
    })
  },

  audit({ counters, transfers }) {
    mustEqual('records that the storage committed', counters.stores, 0)
    mustEqual('objects that the storage handed out', counters.loads, 0)
    mustEqual('objects that connections stored', transfers.stores, 0)
  },

  dispose: (_context, { instance }) => instance.release(),
})
