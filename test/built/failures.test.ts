/** Workers that fail in every way: their cell has a reason, its siblings go on, the file is valid, the exit code tells. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, forkLines, mainPath, newFolder, readLines, shootout } from './shootout.ts'

const quick = ['--scenario', 'update', '--objects', '1', '--forks', '1', '--batches', '2']
/** For those that hang: the others answer by then, however busy the machine. */
const impatient = ['--timeout', '12s']

interface Way {
  readonly fault: string
  readonly kind: string
  readonly code: string
  readonly message: string
}

const ways: readonly Way[] = [
  { fault: 'open', kind: 'async:1', code: 'unexpected', message: 'no such disk' },
  { fault: 'throw', kind: 'async:2', code: 'unexpected', message: 'the fault was ordered' },
  { fault: 'exit', kind: 'async:1', code: 'worker-died', message: 'exit code 3' },
  { fault: 'kill', kind: 'async:2', code: 'worker-died', message: 'SIGKILL' },
  { fault: 'throw', kind: 'threads:2', code: 'unexpected', message: 'the fault was ordered' },
  { fault: 'exit', kind: 'threads:2', code: 'worker-died', message: 'exit code 3' },
  { fault: 'throw', kind: 'processes:2', code: 'unexpected', message: 'the fault was ordered' },
  { fault: 'kill', kind: 'processes:2', code: 'worker-died', message: 'SIGKILL' },
  ...['async:2', 'threads:2', 'processes:2'].map((kind) => ({
    fault: 'close',
    kind,
    code: 'unexpected',
    message: 'the last of it was not written',
  })),
]
const hanging: readonly Way[] = ['async:2', 'threads:2', 'processes:2'].map((kind) => ({
  fault: 'hang',
  kind,
  code: 'worker-hung',
  message: 'no answer from a worker within 12.0 s',
}))

test.each(ways)('a storage that fails by $fault with $kind fails its own cell only', failsAlone)
// Most of their time is waiting.
test.concurrent.each(hanging)('a storage that hangs with $kind fails its own cell only', failsAlone)

async function failsAlone(way: Way): Promise<void> {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const good = way.kind.startsWith('async') ? 'memory' : 'sqlite'
  const contenders = `${good},bad=${fixture('faulty.js')}?fault=${way.fault}&base=${good}`
  const ran = await shootout(
    [
      ...['run', '--storage', contenders, '--concurrency', way.kind, ...quick, '--out', out],
      ...(way.fault === 'hang' ? impatient : []),
    ],
    folder,
  )
  expect(ran.code).toBe(4)
  const forks = forkLines(out)
  const failed = forks.filter((fork) => fork.status === 'failed')
  expect(failed).toHaveLength(1)
  expect(failed[0]).toMatchObject({ contender: 'bad', error: { code: way.code } })
  expect(failed[0]!.error.message).toContain(way.message)
  expect(forks.filter((fork) => fork.status === 'completed').map(({ contender }) => contender)).toEqual([
    good,
  ])
  expect(readLines(out).at(-1)).toMatchObject({ type: 'end', outcome: 'completed' })
  expect(ran.stdout).toContain(way.message)
}

test('a scenario that does not do what it says has no number', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const ran = await shootout(
    [
      'run',
      '--storage',
      'memory',
      '--scenario',
      fixture('lying-scenario.js'),
      '--objects',
      '1',
      '--concurrency',
      'async:1',
      '--forks',
      '1',
      '--out',
      out,
    ],
    folder,
  )
  expect(ran.code).toBe(4)
  expect(forkLines(out)).toMatchObject([{ status: 'failed', step: 'audit' }])
  expect(ran.stdout).toContain('only 0 loads')
})

test.each(['async:2', 'threads:2', 'processes:2'])(
  'workers of %s that time different things are told so',
  async (kind) => {
    const folder = newFolder()
    const out = join(folder, 'x.jsonl')
    const scenario = fixture('disagreeing-scenario.js')
    const cell = ['--storage', 'sqlite', '--scenario', scenario, '--objects', '1', '--concurrency', kind]
    const ran = await shootout(['run', ...cell, '--forks', '1', '--out', out], folder)
    expect(ran.code).toBe(4)
    expect(forkLines(out)).toMatchObject([{ status: 'failed', error: { code: 'barrier' } }])
    expect(ran.stdout).toContain('all must call time() equally often')
  },
)

test('a module with a syntax error is refused before anything is measured', async () => {
  const broken = join(newFolder(), 'broken.mjs')
  writeFileSync(broken, 'export default {')
  const ran = await shootout(['run', '--storage', broken])
  expect(ran.code).toBe(2)
  expect(ran.stderr).toContain('cannot be loaded')
})

const refused: readonly (readonly [args: string[], message: string])[] = [
  [['run', '--storage', 'sqlit'], 'Did you mean "sqlite"?'],
  [['run', '--scenario', 'ad'], 'there is no scenario "ad"'],
  [['run', '--storge', 'file'], "shootout: unknown option '--storge'\n(Did you mean --storage?)"],
  [['run', '--objects', 'many'], '--objects'],
  [['run', '--budget', '4 parsecs'], 'is not a duration'],
  [['run', '--folder', '/proc/nowhere'], 'name another folder with --folder'],
  [['run', '--out', '/proc/x.jsonl', '--scenario', 'add'], 'choose a file in a folder you may write to'],
  [['run', '--storage', 'memory?colour=red'], 'no option "colour"'],
  [['report', '/nowhere.jsonl'], 'cannot read results file'],
  [['rum'], 'run'],
]

test.each(refused)('%j exits with 2 and says what to do', async (args, message) => {
  const ran = await shootout(args)
  expect(ran.stderr).toContain(message)
  expect(ran.code).toBe(2)
  expect(ran.stderr).not.toContain('defect')
})

test('a matrix in which nothing can exist measures nothing, and says so with 4', async () => {
  const ran = await shootout(['run', '--storage', 'memory', '--concurrency', 'processes:2'])
  expect(ran.code).toBe(4)
  expect(ran.stderr).toContain('memory can be opened by one process at a time')
})

test('a worker that has reported may end long before its siblings report', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const scenario = ['--scenario', fixture('straggling-scenario.js'), '--objects', '1', '--forks', '1']
  const how = ['--storage', 'sqlite', ...scenario, '--concurrency', 'processes:2', '--out', out]
  const ran = await shootout(['run', ...how], folder)
  expect(forkLines(out)).toMatchObject([{ status: 'completed' }])
  expect(ran.code).toBe(0)
})

test('whoever stops reading does not stop the run', async () => {
  const folder = newFolder()
  const out = join(folder, 'x.jsonl')
  const how = [
    '--scenario',
    'add',
    '--objects',
    '1',
    '--concurrency',
    'async:1',
    '--forks',
    '2',
    '--out',
    out,
  ]
  const child = spawn(process.execPath, [mainPath, 'run', '--storage', 'memory', ...how], { cwd: folder })
  child.stdout.destroy()
  child.stderr.destroy()
  const [code] = (await once(child, 'close')) as [number | null]
  expect(code).toBe(0)
  expect(readLines(out).at(-1)).toMatchObject({ type: 'end', outcome: 'completed' })
})
