/** The memory storage, which refuses each commit after the first hundred. */

import memory from '../../../storages/memory.ts'
import { defineStorage, type StorageInstance } from '../../../storages/storage.ts'

export default defineStorage({
  ...memory,
  name: 'refusing',
  summary: 'memory that refuses commits',
  async open(options, context, shared) {
    const storage = await memory.open(options, context, shared as never)
    const newInstance = storage.newInstance.bind(storage)
    let commits = 0
    storage.newInstance = () => {
      const instance = newInstance() as StorageInstance
      const begin = instance.begin.bind(instance)
      instance.begin = (metadata) => {
        if (commits++ >= 100) throw new Error('this storage refuses, as the selftest ordered')
        return begin(metadata)
      }
      return instance
    }
    return storage
  },
})
