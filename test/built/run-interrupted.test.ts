/** `shootout run` that does not come to its end: Ctrl-C, a kill, and what comes after. */

import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readResults } from '../../src/results/reader.ts'
import type { SuiteLine } from '../../src/results/schema.ts'
import { fixture, forkLines, mainPath, newFolder, readLines, shootout } from './shootout.ts'

/** Resolves when the run has written so many forks. @throws Error when it ends before */
async function untilForks(run: ChildProcess, out: string, count: number): Promise<void> {
  while (!existsSync(out) || forkLines(out).length < count) {
    if (run.exitCode !== null) throw new Error(`the run ended with ${run.exitCode}`)
    await sleep(20)
  }
}

test('Ctrl-C keeps what is complete, says how to go on, and exits with 130', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const child = spawn(
    process.execPath,
    [mainPath, 'run', '--storage', 'memory,file', '--scenario', 'add', '--forks', '50', '--out', out],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  )
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.resume()
  await untilForks(child, out, 2)
  // As a terminal does it: to the whole process group, workers included.
  process.kill(-child.pid!, 'SIGINT')
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(code).toBe(130)
  expect(readLines(out).at(-1)).toMatchObject({ type: 'end', outcome: 'interrupted' })
  expect(forkLines(out).every((fork) => fork.status === 'completed')).toBe(true)
  expect(stdout).toContain('--resume')
  const used = (readLines(out)[0] as SuiteLine).environment.folder
  expect(existsSync(used)).toBe(false)
})

test('what a killed run left behind is removed by the next one', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const args = ['run', '--storage', 'file', '--scenario', 'add', '--folder', folder]
  const child = spawn(process.execPath, [mainPath, ...args, '--forks', '50', '--out', out], {
    cwd: folder,
    stdio: 'ignore',
  })
  await untilForks(child, out, 1)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  const leftovers = () => readdirSync(folder).filter((name) => name.startsWith('shootout-'))
  expect(leftovers()).toHaveLength(1)
  const ran = await shootout([...args, '--forks', '1', '--out', join(folder, 'y.jsonl')], folder)
  expect(ran.code).toBe(0)
  expect(leftovers()).toEqual([])
})

test('a run that was killed is completed by --resume, with the same work and nothing measured twice', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const grid = [
    '--storage',
    'memory,sqlite',
    '--scenario',
    'add,cold-read',
    '--objects',
    '1',
    '--concurrency',
    'async:1',
  ]
  const child = spawn(process.execPath, [mainPath, 'run', ...grid, '--forks', '3', '--out', out], {
    cwd: folder,
    stdio: 'ignore',
  })
  await untilForks(child, out, 5)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  appendFileSync(out, '{"type":"fork","sta')
  const before = readResults(out).forks.length
  const ran = await shootout(['run', '--resume', out], folder)
  expect(ran.stderr).not.toContain('shootout:')
  expect(ran.code).toBe(0)
  const { forks, end, warnings } = readResults(out)
  expect(before).toBeLessThan(12)
  expect(forks.length).toBe(12)
  expect(forkLines(out).length).toBe(12)
  expect(end).toMatchObject({ outcome: 'completed' })
  expect(warnings).toEqual([])
  const work = new Set(
    forks.map(
      (fork) =>
        fork.status === 'completed' && `${fork.scenario} ${fork.operationsPerBatch} ${fork.warmups.length}`,
    ),
  )
  expect(work.size).toBe(2)
  const again = await shootout(['run', '--resume', out, '--objects', '5'])
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('leave out --objects')])
})

test('Ctrl-C while a store is made ends the run there, and leaves a file that can be resumed', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  // The first store is for calibrating, the second for the first fork.
  const storage = `${fixture('interrupting.js')}?before=2`
  const cell = ['--storage', storage, '--scenario', 'add', '--objects', '1', '--concurrency', 'async:1']
  const ran = await shootout(['run', ...cell, '--forks', '3', '--out', out], folder)
  expect(ran.code).toBe(130)
  expect(readResults(out).forks.map(({ fork, status }) => [fork, status])).toEqual([[0, 'completed']])
})
