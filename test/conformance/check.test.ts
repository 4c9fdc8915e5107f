/** `shootout check` as a function: what it prints, and its exit code. */

import { expect, test } from 'vitest'
import { runCheck } from '../../src/cli/check.ts'
import { planChecks } from '../../src/conformance/index.ts'
import { storageUrl } from '../../src/storages/registry.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { coded } from '../coded.ts'
import { mutant } from './mutants/mutate.ts'

const broken = new URL('./mutants/keeps-data-through-zap.ts', import.meta.url).href

async function check(url: string, options: { only?: string; json?: boolean; given?: object } = {}) {
  let text = ''
  const code = await runCheck(
    url,
    { ...options.given },
    {
      json: options.json ?? false,
      seed: '7',
      color: false,
      ...(options.only === undefined ? {} : { only: [options.only] }),
      write: (part) => {
        text += part
      },
    },
  )
  return { code, text }
}

test('a sound storage passes with exit code 0, topic by topic', async () => {
  const { code, text } = await check(storageUrl('memory'), { only: 'zap' })
  expect(code).toBe(0)
  expect(text).toMatch(/^memory: \d+ behaviours, seed 7\n/)
  expect(text).toMatch(/\nzap\n {2}✓ everything is gone \d+ ms\n/)
  expect(text).toMatch(/\n(\d+) of \1 behaviours hold, 0 do not, \d+ do not apply\n$/)
})

test('what does not apply is listed with its reason', async () => {
  const { text } = await check(storageUrl('memory'), { only: 'undo' })
  expect(text).toContain('undo: needs undo and history, which the storage does not claim (22 behaviours)')
})

test('a broken storage fails with exit code 1, the reason, and the command that repeats it', async () => {
  const { code, text } = await check(broken, { only: 'zap', given: { history: true } })
  expect(code).toBe(1)
  expect(text).toContain('  ✗ everything is gone')
  expect(text).toMatch(/✗ zap: everything is gone\n {4}lastTid is \d+, should be 0\n {4}\(seed 7\)\n {4}at /)
  expect(text).toContain(
    "repeat: shootout check './test/conformance/mutants/keeps-data-through-zap.ts?history=true' --seed 7 --only 'everything is gone'",
  )
})

test('as JSON it is one document with every behaviour', async () => {
  const { code, text } = await check(broken, { only: 'zap', json: true })
  expect(code).toBe(1)
  const document = JSON.parse(text) as { behaviours: { status: string }[]; failed: number; held: number }
  expect(document.failed).toBeGreaterThan(0)
  expect(document.behaviours.filter((one) => one.status === 'failed')).toHaveLength(document.failed)
  expect(document.behaviours).toHaveLength(document.failed + document.held)
})

test('a misspelt topic is refused with a suggestion', async () => {
  await expect(check(storageUrl('memory'), { only: 'snapshotz' })).rejects.toThrow(
    coded('unknown-check', 'did you mean "snapshots"?'),
  )
})

test('a storage that keeps its data is not checked in a store that may be somebody’s', async () => {
  const module = mutant('keeping', { capabilities: { persistent: true } })
  await expect(planChecks({ module })).rejects.toThrow(coded('cannot-make-stores', 'Add `provision`'))
})

test('a storage that is not there is said with its reason', async () => {
  const provision = () => ({ available: false as const, reason: 'its server is not installed' })
  const module: StorageModule = { ...mutant('absent', {}), provision }
  await expect(planChecks({ module })).rejects.toThrow(
    coded('storage-unavailable', 'its server is not installed'),
  )
})
