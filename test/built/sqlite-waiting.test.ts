/** Writers of several processes wait for the one write lock of a SQLite file, and all of them get their turn. */

import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { fixture, newFolder } from './shootout.ts'

const dist = fileURLToPath(new URL('../../dist', import.meta.url))

test('of five processes that commit all the time, none starves', async () => {
  const commits = await commitAtOnce(join(newFolder(), 'store.sqlite'), { durationMs: 1500 })
  const fair = commits.reduce((sum, one) => sum + one, 0) / commits.length
  // Far below what is measured (bench/sql/sqlite-waiting.js: half of a fair share), far above starving.
  for (const one of commits) expect(one).toBeGreaterThan(fair / 20)
})

test('the log of five processes that commit all the time is emptied, though somebody always waits with a snapshot', async () => {
  const path = join(newFolder(), 'store.sqlite')
  const sizes: number[] = []
  const watching = setInterval(
    () => sizes.push(statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0),
    10,
  )
  const commits = await commitAtOnce(path, { durationMs: 3000, added: 20 }).finally(() =>
    clearInterval(watching),
  )
  expect(Math.min(...commits)).toBeGreaterThan(0)
  // 32 MB are long; then it takes some commits until the log is emptied. It was nearly all that was written.
  expect(Math.max(...sizes)).toBeLessThan(64e6)
})

/** Commits of each of five processes, which write to one store. */
async function commitAtOnce(
  path: string,
  { durationMs, added = 0 }: { readonly durationMs: number; readonly added?: number },
): Promise<readonly number[]> {
  const writers = Array.from({ length: 5 }, () => {
    const child = spawn(process.execPath, [fixture('committer.js'), dist, path, `${durationMs}`, `${added}`])
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  for (const { lines } of writers) await lines.next()
  for (const { child } of writers) child.stdin.write('go\n')
  const commits: number[] = []
  for (const { lines } of writers) {
    const { value } = (await lines.next()) as { readonly value: string }
    commits.push((JSON.parse(value) as { readonly commits: number }).commits)
  }
  return commits
}
