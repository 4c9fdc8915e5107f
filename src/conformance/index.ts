/**
 * `shootout/conformance`: does a storage keep the promises of the storage contract?
 *
 * Framework-free. In a test file of your own:
 *
 *     import { afterAll, test } from 'vitest'        // or: import { after, test } from 'node:test'
 *     import { checkStorage } from 'shootout/conformance'
 *     import myStorage from './my-storage.js'
 *
 *     await checkStorage({ module: myStorage }, { test, after: afterAll, skip: test.skip })
 *
 * or with no framework at all: `shootout check ./my-storage.js`.
 */

import { type Check, type CheckPlan, planChecks, type Target } from './plan.ts'

export { givenUpCode, timeoutCode } from './conduct.ts'
export { type Check, type CheckPlan, planChecks, type SkippedCheck, type Target } from './plan.ts'
export type { CreateStore } from './stores.ts'

/** What the suite wants of a test framework. */
export interface TestFramework {
  /** Registers a test. Where the framework limits its time, `timeoutMs` should be less: its message says what hangs. */
  test(name: string, body: () => Promise<void>): unknown
  /** Registers what is to be done after all tests of the file. */
  after(body: () => Promise<void>): unknown
  /** Registers a test that is not run. Without it the reasons are printed. */
  skip?(name: string, body: () => Promise<void>): unknown
}

/**
 * Registers the whole suite with a test framework: one test for each behaviour, named `topic: behaviour`.
 * @returns the plan, for whoever wants to look at it
 * @throws UsageError when the options are wrong or no stores can be made
 */
export async function checkStorage(target: Target, framework: TestFramework): Promise<CheckPlan> {
  const plan = await planChecks(target)
  const nameOf = ({ topic, claim }: Pick<Check, 'topic' | 'claim'>) => `${topic}: ${claim}`
  for (const check of plan.checks) framework.test(nameOf(check), () => check.run())
  for (const skipped of plan.skipped) {
    const name = `${nameOf(skipped)} (skipped: ${skipped.reason})`
    if (framework.skip !== undefined) framework.skip(name, async () => {})
    else console.log(name)
  }
  framework.after(() => plan.dispose())
  return plan
}
