/** The suite notices what is broken: each mutant fails, in the right topic, with a message that names the promise. */

import { expect, test } from 'vitest'
import { planChecks } from '../../src/conformance/index.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { mutantModule, mutants } from './mutants/mutants.ts'
import { mutant } from './mutants/mutate.ts'

async function failuresOf(module: StorageModule, topic: string, options = {}): Promise<Map<string, string>> {
  const plan = await planChecks({ module, only: [topic], seed: 'mutants', options })
  const failures = new Map<string, string>()
  for (const check of plan.checks) {
    if (check.topic !== topic) continue
    try {
      await check.run()
    } catch (error) {
      failures.set(check.claim, error instanceof Error ? error.message : String(error))
    }
  }
  await plan.dispose()
  return failures
}

for (const one of mutants) {
  test(`a storage that ${one.name} fails in the topic ${one.topic}`, async () => {
    const failures = await failuresOf(mutantModule(one), one.topic, one.options)
    expect([...failures.keys()]).toContain(one.claim)
    expect(failures.get(one.claim)).toMatch(one.message)
    expect(failures.get(one.claim)).toMatch(/\(seed mutants\)$/)
  })
}

test('the wrapping that makes mutants breaks nothing by itself', async () => {
  const module = mutant('unbroken', {})
  for (const topic of new Set(mutants.map((one) => one.topic))) {
    expect(await failuresOf(module, topic, { history: topic === 'undo' }), topic).toEqual(new Map())
  }
})
