/** A storage that cannot be used here. */

import memory from '../../../storages/memory.ts'
import { defineStorage } from '../../../storages/storage.ts'

export default defineStorage({
  ...memory,
  name: 'absent',
  summary: 'a storage whose server is not there',
  provision: async () => ({ available: false, reason: 'no server answers, as the selftest ordered' }),
})
