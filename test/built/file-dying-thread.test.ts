/** A worker thread that is terminated takes nothing with it: the others go on, or are told at once what to do. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../storages/file/support.ts'
import { dist } from './processes.ts'

const script = fileURLToPath(new URL('./file-dying-thread.js', import.meta.url))

async function survivorsOf(holds: string): Promise<unknown> {
  const job = { dist: dist.href, path: join(temporaryFolder(), 'data.log'), holds }
  // Less than the 20 s that a vote would wait for another one, and than the minute for the mutex.
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(job)], {
    timeout: 15_000,
  })
  return JSON.parse(stdout)
}

// The system tells whether a thread still runs only here.
const onLinux = test.skipIf(process.platform !== 'linux')

for (const holds of ['vote', 'readCurrent', 'snapshot', 'leader', 'pack']) {
  onLinux(`a thread that is terminated with a ${holds} of its own is no hindrance`, async () => {
    expect(await survivorsOf(holds)).toEqual({
      value: 'c',
      removedRevisions: 3,
      isHeld: false,
      blobFiles: [],
    })
  })
}

onLinux('the blob of a terminated thread is removed', async () => {
  expect(await survivorsOf('blob')).toEqual({ value: 'c', removedRevisions: 3, isHeld: false, blobFiles: [] })
})

onLinux(
  'after a thread was terminated in the middle of a change, reading goes on and opening anew helps',
  async () => {
    expect(await survivorsOf('mutex')).toEqual({
      value: 'a',
      code: 'log-failed',
      isHeld: false,
      blobFiles: [],
    })
  },
)
