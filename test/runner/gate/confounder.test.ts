import { existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Confounder } from '../../../src/runner/gate/confounder.ts'

/** Processes of ours that run now; undefined where the system does not say. */
function children(): number | undefined {
  const path = `/proc/${process.pid}/task/${process.pid}/children`
  return existsSync(path) ? readFileSync(path, 'utf8').split(' ').filter(Boolean).length : undefined
}

test('a disturbance is real, can come and go, and leaves no process behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const file = join(folder, 'confounder')
  const before = children()
  const confounder = new Confounder(folder)
  confounder.set(true)
  confounder.set(true)
  if (before !== undefined) expect(children()).toBe(before + availableParallelism() + 1)
  while (!existsSync(file) || statSync(file).size === 0) await pause(10)
  confounder.set(false)
  confounder.set(true)
  await confounder.close()
  expect(children()).toBe(before)
})
