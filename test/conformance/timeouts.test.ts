/** A storage that hangs does not hang the suite: what takes too long fails, and says what it waits for. */

import { expect, test } from 'vitest'
import { planChecks } from '../../src/conformance/index.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { type Mutation, mutant } from './mutants/mutate.ts'

const never = () => new Promise<never>(() => {})

async function firstFailure(mutation: Mutation, only: string): Promise<unknown> {
  const plan = await planChecks({
    module: mutant('hanging', mutation),
    only: [only],
    seed: '7',
    timeoutMs: 1000,
  })
  try {
    for (const check of plan.checks) await check.run()
    return undefined
  } catch (error) {
    return error
  } finally {
    await plan.dispose()
  }
}

test.each([
  ['transaction.vote', 'basics', { transaction: () => ({ vote: never }) }],
  ['voted.finish', 'basics', { voted: () => ({ finish: never }) }],
  ['instance.pollInvalidations', 'snapshots', { instance: () => ({ pollInvalidations: never }) }],
  [
    'iterate.next',
    'iteration',
    { storage: () => ({ iterate: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }) }) },
  ],
  ['instance.release', 'basics', { instance: () => ({ release: never }) }],
  ['storage.newInstance', 'zap', { storage: () => ({ newInstance: never }) }],
] as [string, string, Mutation][])(
  'a call of %s that is never answered is named',
  async (call, topic, mutation) => {
    expect(await firstFailure(mutation, topic)).toMatchObject({
      code: 'check-timeout',
      message: expect.stringMatching(
        new RegExp(`did not end within 1\\.00 s; waiting for ${call} \\([\\d.]+ m?s\\)`),
      ),
      details: { limitMs: 1000 },
    })
  },
)

test('after three that ran out of time the rest is refused at once', async () => {
  const module = mutant('hanging', { transaction: () => ({ vote: never }) })
  const plan = await planChecks({ module, only: ['two-phase commit'], seed: '7', timeoutMs: 500 })
  const codes: unknown[] = []
  for (const check of plan.checks) {
    await check.run().catch((error: { readonly code?: string }) => codes.push(error.code))
  }
  await plan.dispose()
  expect(codes.filter((code) => code === 'check-timeout')).toHaveLength(3)
  expect(codes.slice(codes.lastIndexOf('check-timeout') + 1)).not.toEqual([])
  expect(new Set(codes.slice(codes.lastIndexOf('check-timeout') + 1))).toEqual(new Set(['check-given-up']))
})

test('a storage that cannot be opened in time is said before any behaviour', async () => {
  const module: StorageModule = { ...mutant('closed', {}), open: never }
  await expect(planChecks({ module, timeoutMs: 500 })).rejects.toMatchObject({
    code: 'check-timeout',
    message: expect.stringMatching(/^opening the storage did not end within 500 ms; waiting for open/),
  })
})
