/** Cache files on disk: known by the application id in their header, so that no other file is ever touched. */

import { closeSync, openSync, readSync, rmSync } from 'node:fs'
import { ShootoutError } from '../../core/errors.ts'
import { CacheFile } from '../cache/cache-file.ts'
import { zeroCounters } from '../storage.ts'
import { isBusy, loadDriver } from './sqlite/driver.ts'

/** 'SHOC'. */
const applicationId = 0x53484f43
const applicationIdAt = 68
const headerBytes = 100
const magic = 'SQLite format 3\0'

/** How long making the file, which happens once, may wait for another process that is just making it. */
const joinMs = 2000

export type OpenCacheFile = (identity: string) => CacheFile

/** @throws ShootoutError `foreign-file`, `driver-missing` */
export async function cacheFileAt(path: string, log: (line: string) => void): Promise<OpenCacheFile> {
  const driver = await loadDriver()
  assertOurs(path)
  return (identity) =>
    new CacheFile({
      connect() {
        const connection = driver.connect(path, {
          readOnly: false,
          counters: zeroCounters(),
          waitMs: joinMs,
        })
        try {
          // Before anything else, while it is written to the file itself and not to a log beside it.
          if (connection.pragma('application_id') === 0)
            connection.pragma(`application_id = ${applicationId}`)
        } catch (error) {
          connection.close()
          throw error
        }
        return connection
      },
      // From here on nobody waits: waiting would stop the event loop, and a save that is missed is made up for.
      made: (connection) => connection.execute('PRAGMA busy_timeout = 0'),
      remove() {
        for (const ending of ['', '-wal', '-shm']) rmSync(path + ending, { force: true })
      },
      isBusy,
      identity,
      log,
    })
}

function assertOurs(path: string): void {
  const header = headerOf(path)
  if (header.length === 0) return
  const isOurs =
    header.length === headerBytes &&
    header.toString('latin1', 0, magic.length) === magic &&
    header.readUInt32BE(applicationIdAt) === applicationId
  if (isOurs) return
  throw new ShootoutError(
    'foreign-file',
    `${path} is not a cache file of shootout; nothing was changed. Remove it, or name another file with cacheFile`,
    { details: { path } },
  )
}

/** Empty where there is no file. */
function headerOf(path: string): Buffer {
  const header = Buffer.alloc(headerBytes)
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw new ShootoutError(
      'cannot-open',
      `the cache file ${path} cannot be read (${(error as Error).message}); remove it, or name another file with cacheFile`,
      {
        cause: error,
      },
    )
  }
  try {
    return header.subarray(0, readSync(file, header, 0, headerBytes, 0))
  } finally {
    closeSync(file)
  }
}
