/** The selftest's machinery. What it finds by time depends on the machine, which is its purpose, and is not asserted. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Certificate } from '../../src/analysis/gate/certificate.ts'
import { fixture, newFolder, shootout } from './shootout.ts'

test('extra work is counted, nothing that measured nothing passes, kills are survived, and without time nothing is certified', async () => {
  const folder = newFolder()
  const out = join(folder, 'certificate.json')
  const ran = await shootout(
    ['selftest', '--quick', '--storage', 'memory,file', '--budget', '1s', '--folder', folder, '--out', out],
    folder,
  )
  const { verdict, counted, conduct, trials, untried } = JSON.parse(readFileSync(out, 'utf8')) as Certificate
  expect(counted.map(({ storage, extra, isRight }) => [storage, extra, isRight])).toEqual(
    ['memory', 'file'].flatMap((storage) => [
      [storage, 'nothing', true],
      [storage, 'operations', true],
      [storage, 'record bytes', true],
      [storage, 'sync', true],
    ]),
  )
  expect(conduct.filter(({ isRight }) => !isRight)).toEqual([])
  expect(conduct.filter(({ kind }) => kind === 'vacuity')).toHaveLength(9)
  expect(conduct.filter(({ kind }) => kind === 'kill')).toHaveLength(process.platform === 'linux' ? 4 : 0)
  expect(untried).toHaveLength(process.platform === 'linux' ? 0 : 1)
  expect([verdict, trials, ran.code]).toEqual(['undecided', [], 3])
  expect(existsSync(join(folder, 'certificate.svg'))).toBe(true)
  expect(ran.stdout).toContain('UNDECIDED')
  expect(readdirSync(folder).filter((name) => name.startsWith('shootout-'))).toEqual([])
})

test('a certificate is not overwritten', async () => {
  const folder = newFolder()
  const out = join(folder, 'certificate.json')
  const journal = join(folder, 'certificate.jsonl')
  writeFileSync(journal, '')
  const { code, stderr } = await shootout(
    ['selftest', '--storage', 'memory', '--folder', folder, '--out', out],
    folder,
  )
  expect([code, stderr]).toEqual([2, expect.stringContaining('--force')])
  expect(existsSync(out)).toBe(false)
})

test('a storage that cannot do the work is named, with the reason', async () => {
  const folder = newFolder()
  const storage = fixture('faulty.js')
  const { code, stderr } = await shootout(
    ['selftest', '--storage', storage, '--scenario', 'update', '--folder', folder],
    folder,
  )
  expect([code, stderr]).toEqual([4, expect.stringMatching(/cannot be tried: .*the fault was ordered/)])
})
