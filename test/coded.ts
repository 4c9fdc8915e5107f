/** What an error must be for those who handle it: its code, and what its message says. */

import { expect } from 'vitest'

export function coded(code: string, says: string | RegExp = ''): Error {
  return expect.objectContaining({
    code,
    message: typeof says === 'string' ? expect.stringContaining(says) : expect.stringMatching(says),
  }) as Error
}
