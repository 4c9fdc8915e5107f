import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { fixture, newFolder } from './shootout.ts'

test('processes that open and close one SQLite store at once never find it locked', async () => {
  const path = join(newFolder(), 'store.sqlite')
  const opened = await Promise.allSettled(
    Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, [fixture('open-and-close.js'), path, '60']),
    ),
  )
  expect(opened.filter(({ status }) => status === 'rejected')).toEqual([])
})

test('processes that make one fresh SQLite store at once all find it theirs', async () => {
  const folder = newFolder()
  for (let round = 0; round < 12; round++) {
    const path = join(folder, `fresh-${round}.sqlite`)
    const opened = await Promise.allSettled(
      Array.from({ length: 4 }, () =>
        promisify(execFile)(process.execPath, [fixture('open-and-close.js'), path, '1']),
      ),
    )
    expect(opened.filter(({ status }) => status === 'rejected')).toEqual([])
  }
})
