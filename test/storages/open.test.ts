import { expect, test } from 'vitest'
import memory from '../../src/storages/memory.ts'
import { openStorage } from '../../src/storages/open.ts'
import { defineStorage } from '../../src/storages/storage.ts'

test('what the threads of a process share is ended also where the storage cannot be closed', async () => {
  let ended = 0
  const module = defineStorage({
    ...memory,
    share: () => ({
      state: undefined,
      close: () => {
        ended++
      },
    }),
    async open(_options, context) {
      const storage = await openStorage(memory, { history: false }, context)
      storage.close = () => Promise.reject(new Error('the disk is full'))
      return storage
    },
  })
  const storage = await openStorage(module, { history: false })
  await expect(storage.close()).rejects.toThrow('the disk is full')
  expect(ended).toBe(1)
})
