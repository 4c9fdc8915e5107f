/** `shootout bisect` on a real repository whose storage flushes to disk once more than before, from some commit on. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import type { BisectReport } from '../../src/cli/bisect/command.ts'
import { fixture, mainPath, newFolder, shootout } from './shootout.ts'

const library = pathToFileURL(join(mainPath, '../../index.js')).href
const careless = readFileSync(fixture('extra-sync.js'), 'utf8').replace(`'shootout'`, `'${library}'`)
const careful = careless.replace('fsyncSync(descriptor)', '').replace('extra++', '')

/** What each commit does to the storage. `dist` is what the build makes of it, so it is not in the repository. */
const commits = [
  ['start', careful],
  ['words', `// words\n${careful}`],
  ['broken in passing', 'export default ('],
  ['repaired', careful],
  ['careless', careless],
  ['more words', `// more words\n${careless}`],
] as const

function repository(): string {
  const folder = newFolder()
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: folder })
  git('init', '--quiet', '--initial-branch=main')
  for (const [subject, text] of commits) {
    writeFileSync(join(folder, 'storage.source'), text)
    git('add', '.')
    git('commit', '--quiet', '-m', subject)
    git('tag', subject.replaceAll(' ', '-'))
  }
  return folder
}

function arguments_(folder: string, temporary: string, build: string): readonly string[] {
  const cell = ['--scenario', 'update', '--objects', '1', '--concurrency', 'async:1', '--folder', temporary]
  const range = ['--good', 'start', '--bad', 'main', '--repository', folder]
  return [mainPath, 'bisect', ...range, '--storage', './storage.js', '--build', build, ...cell, '--json']
}

test('the commit with one more sync is found, past one that cannot be built', async () => {
  const folder = repository()
  const temporary = newFolder()
  const build = 'cp storage.source storage.js && node --check storage.js'
  const child = spawn(process.execPath, arguments_(folder, temporary, build), {
    cwd: folder,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  const [code] = (await once(child, 'close')) as [number]
  expect([code, stderr]).toEqual([0, expect.stringContaining('syncs 1 → 2')])
  const report = JSON.parse(stdout) as BisectReport
  expect(report.firstBad?.subject).toBe('careless')
  const outcomes = Object.fromEntries(report.steps.map(({ subject, answer }) => [subject, answer]))
  for (const [subject, answer] of Object.entries(outcomes)) {
    expect([subject, answer]).toEqual([
      subject,
      subject === 'careless' ? 'bad' : subject.startsWith('broken') ? 'skip' : 'good',
    ])
  }
  expect(outcomes['repaired']).toBe('good')
  // Nothing of ours is left, in the repository or elsewhere.
  expect(
    execFileSync('git', ['worktree', 'list'], { cwd: folder, encoding: 'utf8' }).trim().split('\n'),
  ).toHaveLength(1)
  expect(execFileSync('git', ['status', '--porcelain'], { cwd: folder, encoding: 'utf8' })).toBe('')
  expect(readdirSync(temporary)).toEqual([])
})

test('an end that cannot be built is named, with what the build said', async () => {
  const ran = await shootout(arguments_(repository(), newFolder(), 'echo no luck today >&2; exit 1').slice(1))
  expect([ran.code, ran.stderr]).toEqual([4, expect.stringMatching(/cannot be measured: .*no luck today/s)])
})

test('what the gate does not take is said as it says it', async () => {
  const words = arguments_(repository(), newFolder(), 'cp storage.source storage.js')
  const ran = await shootout([...words.slice(1), '--tau', 'much'])
  expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(/--tau.*\(gate-usage\)/s)])
})

test('a bisect that is killed leaves no folder and no process behind', async () => {
  const folder = repository()
  const temporary = newFolder()
  const mark = `mark-${process.pid}`
  const child = spawn(
    process.execPath,
    arguments_(
      folder,
      temporary,
      `cp storage.source storage.js; echo ${mark}; exec tail -f /dev/null ${mark}`,
    ),
    { cwd: folder, env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'ignore', 'ignore'] },
  )
  await expect.poll(() => processesWith(mark).length).toBeGreaterThan(0)
  child.kill('SIGKILL')
  await expect.poll(() => processesWith(mark)).toEqual([])
  await expect.poll(() => readdirSync(temporary)).toEqual([])
})

function processesWith(mark: string): readonly string[] {
  return execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(mark) && line.includes('tail -f'))
}
