/** The selftest's machinery. What it finds by time depends on the machine, which is its purpose, and is not asserted. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Certificate } from '../../src/analysis/gate/certificate.ts'
import { fixture, newFolder, shootout } from './shootout.ts'

test.each(['memory', 'file'])(
  'extra work in %s is counted, and without time nothing is certified',
  async (storage) => {
    const folder = newFolder()
    const out = join(folder, 'certificate.json')
    const ran = await shootout(
      ['selftest', '--quick', '--storage', storage, '--budget', '1s', '--folder', folder, '--out', out],
      folder,
    )
    expect(ran.code).toBe(3)
    const certificate = JSON.parse(readFileSync(out, 'utf8')) as Certificate
    expect(certificate.verdict).toBe('undecided')
    expect(certificate.counted.map(({ extra, isRight }) => [extra, isRight])).toEqual([
      ['nothing', true],
      ['operations', true],
      ['record bytes', true],
      ['sync', true],
    ])
    expect(existsSync(join(folder, 'certificate.svg'))).toBe(true)
    expect(ran.stdout).toContain('UNDECIDED')
  },
)

test('a certificate is not overwritten', async () => {
  const folder = newFolder()
  const args = ['selftest', '--storage', 'memory', '--budget', '1s', '--folder', folder, '--out']
  const out = join(folder, 'certificate.json')
  await shootout([...args, out], folder)
  const { code, stderr } = await shootout([...args, out], folder)
  expect([code, stderr]).toEqual([2, expect.stringContaining('--force')])
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
