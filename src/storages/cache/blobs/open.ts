/** Opens a blob cache in a folder of the real file system. */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { describeError, ShootoutError, UsageError } from '../../../core/errors.ts'
import { realFileSystem, systemErrorCode } from '../../../core/file-system.ts'
import { makeFolder } from '../../../core/make-folder.ts'
import { option } from '../../../core/options.ts'
import { isGone, processMark } from '../../../core/process-mark.ts'
import { formatBytes } from '../../../core/units.ts'
import type { OpenContext } from '../../storage.ts'
import { BlobCache } from './blob-cache.ts'

export const blobCacheOptions = {
  blobCacheFolder: option.path({
    default: '',
    summary: 'keeps copies of blobs in this folder, for every process that names it (default: none)',
  }),
  blobBytesLimit: option.bytes({
    default: 1024 ** 3,
    summary: 'size of all files in blobCacheFolder; blobs of more than half of it are not kept',
  }),
}

export interface BlobCacheOptions {
  readonly blobCacheFolder: string
  readonly blobBytesLimit: number
}

const bytesLimitMin = 1024 ** 2

/**
 * Undefined where no folder is named.
 * @throws UsageError `cache-too-small`; ShootoutError `cannot-open`
 */
export function openBlobCache(
  { blobCacheFolder: path, blobBytesLimit: bytesLimit }: BlobCacheOptions,
  { clock, log }: OpenContext,
): BlobCache | undefined {
  if (path === '') return undefined
  if (bytesLimit < bytesLimitMin) {
    throw new UsageError(
      'cache-too-small',
      `a blob cache of ${bytesLimit} bytes is too small; give blobBytesLimit at least ${formatBytes(bytesLimitMin)}`,
    )
  }
  const processes = { mark: processMark(), isGone }
  try {
    makePrivateFolder(path)
    return new BlobCache({ files: realFileSystem, path, bytesLimit, clock, processes }, (line) => log(line))
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    throw new ShootoutError(
      'cannot-open',
      `blobCacheFolder ${path} cannot be used (${describeError(error)}); name a folder that this process may write to`,
      { cause: error, details: { path } },
    )
  }
}

/** Blobs are nobody else's business. Who wants to share the folder with other users makes it himself. */
function makePrivateFolder(path: string): void {
  makeFolder(dirname(path))
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
}
