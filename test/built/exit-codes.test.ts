/** What the process says by its exit code: a script may mend its command after 2, and try again after 4. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, newFolder, shootout } from './shootout.ts'

const folder = newFolder()
writeFileSync(join(folder, 'letter.txt'), 'Dear all,\n'.repeat(100))

test.each([
  ['a server that is gone', ['status', 'unix:./none'], 4, 'disconnected'],
  [
    'a server that is gone, as a source',
    ['copy', 'zeo?address=unix:./none', 'file:./new.log'],
    4,
    'disconnected',
  ],
  ['a storage that is not installed', ['check', fixture('absent.js')], 4, 'storage-unavailable'],
  ['a file that is no log', ['copy', 'file:./letter.txt', 'file:./new.log'], 2, 'not-a-log'],
  ['a log that is not there', ['file', 'verify', './none.log'], 2, 'log-not-found'],
  ['an unknown storage', ['check', 'fiel'], 2, 'unknown-storage'],
  ['a module that is none', ['check', './letter.txt'], 2, 'module-broken'],
] as const)('%s', async (_, args, expected, reason) => {
  const { code, stderr } = await shootout(args, folder)
  expect([code, stderr]).toEqual([expected, expect.stringContaining(`(${reason})`)])
})
