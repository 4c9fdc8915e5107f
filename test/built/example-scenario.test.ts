/** The example of a scenario in one file, run as its page says. */

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { forkLines, newFolder, shootout } from './shootout.ts'

const example = fileURLToPath(new URL('../../examples/zipfian-read.js', import.meta.url))

test('examples/zipfian-read.js runs over tasks and threads', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const ran = await shootout(
    [
      ...['run', '--scenario', example, '--storage', 'memory,file', '--objects', '5'],
      ...['--concurrency', 'async:2,threads:2', '--forks', '1', '--batches', '2', '--out', out],
    ],
    folder,
  )
  expect(ran.code).toBe(0)
  const forks = forkLines(out).filter((fork) => fork.status === 'completed')
  expect(forks.map(({ contender, concurrency }) => `${contender} ${concurrency.kind}`).sort()).toStrictEqual([
    'file async',
    'file threads',
    'memory async',
  ])
})
