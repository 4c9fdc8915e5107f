/** Checks a folder that a person named, before anything is made in it. */

import { accessSync, constants, statSync } from 'node:fs'
import { describeError, UsageError } from '../../core/errors.ts'

/** @throws UsageError `folder-not-found`, `folder-not-writable` */
export function assertFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UsageError(
      'folder-not-found',
      `file: there is no folder ${folder}; create it, or choose another`,
    )
  }
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new UsageError(
      'folder-not-writable',
      `file: folder ${folder} cannot be written to (${describeError(cause)}); choose another`,
      { cause },
    )
  }
}
