/** What audits say: a count that had to be so and was not. */

import { VerificationError } from '../core/errors.ts'

/** @throws VerificationError when they differ */
export function mustEqual(what: string, found: number, expected: number): void {
  if (found === expected) return
  throw new VerificationError(`${what}: ${found} where there had to be ${expected}`, {
    details: { found, expected },
  })
}

/** @throws VerificationError when there are fewer */
export function mustBeAtLeast(what: string, found: number, least: number): void {
  if (found >= least) return
  throw new VerificationError(`${what}: ${found} where there had to be at least ${least}`, {
    details: { found, least },
  })
}

/** @throws VerificationError when there are more */
export function mustBeAtMost(what: string, found: number, most: number): void {
  if (found <= most) return
  throw new VerificationError(`${what}: ${found} where there had to be at most ${most}`, {
    details: { found, most },
  })
}
