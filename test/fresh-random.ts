/** Randomness that differs from run to run and can be had again: a test that fails prints the command that repeats it. */

import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFailed } from 'vitest'
import { Random } from '../src/core/random.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** For the test that runs. SHOOTOUT_TEST_SEED gives it the seed of an earlier run. */
export function freshRandom(): Random {
  const seed = process.env['SHOOTOUT_TEST_SEED'] ?? `${Date.now()}`
  const { currentTestName = '', testPath = '' } = expect.getState()
  const file = relative(root, testPath)
  const project = /^test\/(built|cluster|mysql)\//.exec(file)?.[1] ?? 'source'
  onTestFailed(() => {
    console.log(
      `${currentTestName}: seed ${seed}; again: SHOOTOUT_TEST_SEED=${seed} npx vitest run --project ${project} ${file}`,
    )
  })
  return new Random(seed).split(currentTestName)
}
