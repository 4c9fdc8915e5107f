/**
 * The memory storage with loads of known length: each lets a virtual clock go on by what it costs. It says that each
 * is a round trip, so that processor time, which is not virtual, has no say.
 */

import memory from '../../../src/storages/memory.ts'
import { defineStorage, type StorageInstance } from '../../../src/storages/storage.ts'

/** As the test puts it into an assignment, which never leaves the process. */
export interface TimedOptions {
  /** Lets one load pass. */
  readonly pass: () => void
}

export default defineStorage({
  ...memory,
  name: 'timed',
  summary: 'loads of known length',
  open: async (options, context, shared) => {
    const { pass } = options as unknown as TimedOptions
    const storage = await memory.open({ history: false }, context, shared as never)
    const counters = storage.counters.bind(storage)
    storage.counters = () => ({ ...counters(), roundTrips: counters().loads })
    const newInstance = storage.newInstance.bind(storage)
    storage.newInstance = () => {
      const instance = newInstance() as StorageInstance
      const load = instance.load.bind(instance)
      instance.load = (oid) => {
        pass()
        return load(oid)
      }
      return instance
    }
    return storage
  },
})
