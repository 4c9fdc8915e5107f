/** The policies there are, by name. The first is the default. */

import { closestName, UsageError } from '../../../core/errors.ts'
import type { PolicyDefinition } from '../policy.ts'
import { arc } from './arc.ts'
import { clock } from './clock.ts'
import { fifo } from './fifo.ts'
import { lru } from './lru.ts'
import { s3Fifo } from './s3-fifo.ts'
import { sieve } from './sieve.ts'
import { slru } from './slru.ts'
import { twoQueue } from './two-queue.ts'

const policies: readonly PolicyDefinition[] = [s3Fifo, slru, lru, fifo, clock, sieve, twoQueue, arc]

export const policyNames: readonly string[] = policies.map((policy) => policy.name)

export const defaultPolicy = s3Fifo.name

/** @throws UsageError `unknown-policy` */
export function policyNamed(name: string): PolicyDefinition {
  const found = policies.find((policy) => policy.name === name)
  if (found !== undefined) return found
  const close = closestName(name, policyNames)
  const hint = close === undefined ? `there are: ${policyNames.join(', ')}` : `did you mean ${close}?`
  throw new UsageError('unknown-policy', `there is no cache policy "${name}"; ${hint}`, {
    details: { name, policies: policyNames },
  })
}
