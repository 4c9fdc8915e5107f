/** Writers of several processes wait for the one write lock of a SQLite file, and all of them get their turn. */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { fixture, newFolder } from './shootout.ts'

const dist = fileURLToPath(new URL('../../dist', import.meta.url))

test('of five processes that commit all the time, none starves', async () => {
  const path = join(newFolder(), 'store.sqlite')
  const writers = Array.from({ length: 5 }, () => {
    const child = spawn(process.execPath, [fixture('committer.js'), dist, path, '1500'])
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  for (const { lines } of writers) await lines.next()
  for (const { child } of writers) child.stdin.write('go\n')
  const commits: number[] = []
  for (const { lines } of writers) {
    const { value } = (await lines.next()) as { readonly value: string }
    commits.push((JSON.parse(value) as { readonly commits: number }).commits)
  }
  const fair = commits.reduce((sum, one) => sum + one, 0) / commits.length
  // Far below what is measured (bench/sql/sqlite-waiting.js: half of a fair share), far above starving.
  for (const one of commits) expect(one).toBeGreaterThan(fair / 20)
})
