/**
 * Opens a disk cache in a folder of the real file system. One user at a time: a second one goes without, and says so.
 */

import { join } from 'node:path'
import { describeError, UsageError } from '../../../core/errors.ts'
import { realFileSystem } from '../../../core/file-system.ts'
import { acquireLock, type LockFile } from '../../../core/lock-file.ts'
import { makeFolder } from '../../../core/make-folder.ts'
import { formatBytes } from '../../../core/units.ts'
import { policyNamed } from '../policies/index.ts'
import { DiskCache } from './disk-cache.ts'

export interface OpenDiskCacheOptions {
  /** Made where it does not exist. */
  readonly folder: string
  readonly bytesLimit: number
  /** Name of an eviction policy. */
  readonly policy: string
  log(message: string): void
}

const bytesLimitMin = 1024 ** 2

/**
 * Undefined where the folder is in use, or cannot be used; it is reported.
 * @throws UsageError `cache-too-small`, `unknown-policy`
 */
export function openDiskCache({
  folder,
  bytesLimit,
  policy,
  log,
}: OpenDiskCacheOptions): DiskCache | undefined {
  const definition = policyNamed(policy)
  if (bytesLimit < bytesLimitMin) {
    throw new UsageError(
      'cache-too-small',
      `a disk cache of ${bytesLimit} bytes is too small; give at least ${formatBytes(bytesLimitMin)}`,
    )
  }
  let lock: LockFile
  try {
    makeFolder(folder)
    lock = acquireLock(join(folder, 'cache'), log)
  } catch (error) {
    log(`there is no disk cache in this process: ${describeError(error)}`)
    return undefined
  }
  return new DiskCache({
    files: realFileSystem,
    folder,
    bytesLimit,
    policy: definition,
    log,
    onEnd: () => lock.release(),
  })
}
