import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { fixture, newFolder } from './shootout.ts'

/** Four processes that open and close one store at once. @returns why some could not */
async function failures(path: string, times: number, query: string, flags: readonly string[] = []) {
  const opened = await Promise.allSettled(
    Array.from({ length: 4 }, () =>
      promisify(execFile)(process.execPath, [
        ...flags,
        fixture('open-and-close.js'),
        path,
        String(times),
        query,
      ]),
    ),
  )
  return opened.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))
}

test('processes that open and close one SQLite store at once never find it locked', async () => {
  expect(await failures(join(newFolder(), 'store.sqlite'), 60, '')).toEqual([])
})

// Its signals end every sleep after a tenth of a millisecond, so SQLite's own patience of seconds lasts no time.
test('nor do they while they are profiled', async () => {
  const folder = newFolder()
  const flags = ['--cpu-prof', '--cpu-prof-interval', '100', '--cpu-prof-dir', folder]
  for (let round = 0; round < 3; round++) {
    expect(await failures(join(folder, `store-${round}.sqlite`), 60, '', flags)).toEqual([])
  }
})

test.each(['', 'history=true', 'cacheFile=', 'history=true&cacheFile='])(
  'processes that make one fresh SQLite store at once all find it theirs, with "%s"',
  async (query) => {
    const folder = newFolder()
    for (let round = 0; round < 4; round++) {
      const path = join(folder, `fresh-${round}.sqlite`)
      const given = query.endsWith('=') ? `${query}${encodeURIComponent(`${path}.cache`)}` : query
      expect(await failures(path, 1, given)).toEqual([])
    }
  },
)
