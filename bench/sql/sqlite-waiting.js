/**
 * How well processes share the one write lock of a SQLite file: five that commit all the time, beside the floor of the
 * same run, one process alone. `node bench/sql/sqlite-waiting.js [DIST …]`; several builds take turns.
 */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const builds = process.argv.length > 2 ? process.argv.slice(2) : ['dist']
const worker = fileURLToPath(new URL('../../test/built/fixtures/committer.js', import.meta.url))
const durationMs = 2000
const rounds = 4

/**
 * @param {string} dist
 * @param {number} count
 */
async function measure(dist, count) {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-waiting-'))
  const children = Array.from({ length: count }, () => {
    const child = spawn(
      process.execPath,
      [worker, resolve(dist), join(folder, 'store.sqlite'), String(durationMs)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  for (const { lines } of children) await lines.next()
  for (const { child } of children) child.stdin.write('go\n')
  const results = []
  for (const { lines } of children) results.push(JSON.parse((await lines.next()).value))
  rmSync(folder, { recursive: true, force: true })
  const commits = results.map((result) => result.commits)
  return {
    perSecond: (commits.reduce((sum, one) => sum + one, 0) * 1000) / durationMs,
    leastShare: (Math.min(...commits) * count) / commits.reduce((sum, one) => sum + one, 0),
    longestMs: Math.max(...results.map((result) => result.longestMs)),
  }
}

for (let round = 0; round < rounds; round++) {
  for (const dist of builds) {
    const alone = await measure(dist, 1)
    const five = await measure(dist, 5)
    console.log(
      `${dist}: 1 process ${alone.perSecond.toFixed(0)}/s, 5 processes ${five.perSecond.toFixed(0)}/s ` +
        `(× ${(five.perSecond / alone.perSecond).toFixed(2)}), least share ${five.leastShare.toFixed(2)}, ` +
        `longest commit ${five.longestMs.toFixed(0)} ms`,
    )
  }
}
