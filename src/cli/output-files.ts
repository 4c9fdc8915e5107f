/** Files that a command writes when it is done. Whether it may is found out before it begins. */

import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { UsageError } from '../core/errors.ts'

/**
 * @param flag the option that names the file: `--html`
 * @throws UsageError `output-unwritable`
 */
export function assertWritable(flag: string, path: string | undefined): void {
  if (path === undefined) return
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory()) throw new Error('it is a folder')
    accessSync(found === undefined ? dirname(resolve(path)) : path, constants.W_OK)
  } catch (cause) {
    throw new UsageError(
      'output-unwritable',
      `${flag}: ${path} cannot be written (${(cause as Error).message}); name a file in a folder that you may write to`,
      { cause },
    )
  }
}
