/** Values of single flags: what is wrong with one is said with the name of the flag. */

import { UsageError } from '../core/errors.ts'
import { parseDuration, parseShare } from '../core/units.ts'

/** `5%`, `0.05`. @throws UsageError `bad-value` */
export function shareOf(flag: string, text: string): number {
  return named(flag, () => parseShare(text))
}

/** `30s`, in nanoseconds. @throws UsageError `bad-duration` */
export function durationOf(flag: string, text: string): number {
  return named(flag, () => parseDuration(text))
}

function named(flag: string, read: () => number): number {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    throw new UsageError(error.code, `${flag}: ${error.message}`, { cause: error })
  }
}
