/** What a user can get wrong on the command line: refused before anything is done, with a code that scripts can go by. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { mainPath, newFolder, shootout } from './shootout.ts'

/** A folder with all that the calls below name. */
function prepared(): string {
  const folder = newFolder()
  mkdirSync(join(folder, 'folder'))
  writeFileSync(join(folder, 'text'), 'not what is expected\n')
  writeFileSync(join(folder, 'ids'), '1\n2\n3\n')
  return folder
}

test.each([
  ['run --preset nothing', 'unknown-preset'],
  ['run --forks none', 'bad-value'],
  ['run --forks 3 --quick', 'bad-value'],
  ['run --record-bytes 10', 'bad-value'],
  ['run --budget soon', 'bad-duration'],
  ['run --storage memory --html missing/report.html', 'output-unwritable'],
  ['gate --baseline memory --candidate memory --junit folder', 'output-unwritable'],
  ['run --storage ?history=true', 'bad-contender'],
  ['run --storage memory --reference nobody', 'unknown-reference'],
  ['run --storage memory?history=perhaps', 'bad-options'],
  ['check postgres?url=nonsense', 'bad-option-value'],
  ['run --storage memory --scenario addd', 'unknown-scenario'],
  ['run --storage memory --scenario add --folder text/below', 'folder-unwritable'],
  ['gate --baseline memory --candidate memory --tau 5% --delta 2%', 'bad-limits'],
  ['gate --baseline memory --candidate memory --tau much', 'bad-value'],
  ['gate --baseline memory --candidate memory --allow-mismatch dataset', 'unknown-field'],
  ['gate --baseline memory --candidate memory --resume text --seed 1', 'resume-options'],
  ['report text --details --format md', 'bad-value'],
  ['plan --detect 0 --storage memory', 'bad-value'],
  ['cache simulate missing --bytes 1mb', 'trace-file'],
  ['cache simulate text --bytes 1mb', 'unknown-trace-format'],
  ['cache simulate ids --format nothing --bytes 1mb', 'unknown-trace-format'],
  ['cache simulate text --format lirs --entries 10', 'bad-trace'],
  ['cache simulate ids --format lirs', 'cache-size'],
  ['cache simulate ids --format lirs --entries 0', 'bad-capacity'],
  ['cache simulate ids --format lirs --entries 10 --policy nothing', 'unknown-policy'],
  ['check memory --only snapshotz', 'unknown-check'],
  ['check memory --timeout 0s', 'bad-value'],
  ['file recover text ids', 'file-exists'],
  ['serve memory --listen unix:socket --log folder', 'log-file'],
  ['serve memory --listen unix:missing/socket', 'address-unusable'],
  [`serve memory --listen unix:${'long'.repeat(30)}`, 'socket-path-too-long'],
  ['serve file --listen unix:socket', 'missing-option'],
  ['serve file:text/data.log --listen unix:socket', 'folder-not-writable'],
  ['serve file:folder --listen unix:socket', 'log-not-accessible'],
] as const)('%s: %s', async (words, code) => {
  const ran = await shootout(words.split(' '), prepared())
  expect([ran.stderr, ran.code]).toEqual([
    expect.stringMatching(new RegExp(`^shootout: .* \\(${code}\\)\\n$`, 's')),
    2,
  ])
})

test.skipIf(!existsSync('/dev/full'))(
  'output that cannot be written is no success, and no defect (skipped: no /dev/full)',
  async () => {
    const full = openSync('/dev/full', 'w')
    const child = spawn(process.execPath, [mainPath, 'list'], { stdio: ['ignore', full, 'pipe'] })
    const [stderr, [code]] = await Promise.all([text(child.stderr!), once(child, 'exit')])
    closeSync(full)
    expect([stderr, code]).toEqual([
      expect.stringMatching(/^shootout: .*ENOSPC.* \(output-unwritable\)\n$/),
      4,
    ])
  },
)

test('bisect --good HEAD --bad HEAD: bad-range', async () => {
  const folder = newFolder()
  const git = (...words: readonly string[]) => execFileSync('git', words, { cwd: folder, stdio: 'ignore' })
  git('init')
  git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '--allow-empty', '-m', 'first')
  const words = ['bisect', '--good', 'HEAD', '--bad', 'HEAD', '--storage', 'memory']
  const ran = await shootout(words, folder)
  expect([ran.stderr, ran.code]).toEqual([expect.stringMatching(/\(bad-range\)/), 2])
})
