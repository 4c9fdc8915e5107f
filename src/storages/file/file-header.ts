/** The first 64 bytes of a log: making a new one, and telling one from other files. */

import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { ShootoutError } from '../../core/errors.ts'
import { type FileSystem, readFully, writeFully } from '../../core/file-system.ts'
import { noTid, rootOid } from '../../core/ids.ts'
import { damage, notAccessible } from './file-errors.ts'
import {
  decodeFileHeader,
  encodeFileHeader,
  type FileHeader,
  fileHeaderBytes,
  fileIdBytes,
  formatVersion,
} from './format.ts'

/** The header of a log in which nothing has ever been. */
export function newFileHeader(clock: Clock): FileHeader {
  return {
    version: formatVersion,
    fileId: new Uint8Array(randomBytes(fileIdBytes)),
    createdUs: clock.wallUs(),
    // 0 is the root, and never given out.
    nextOid: rootOid + 1,
    lastTid: noTid,
    wholeSince: noTid,
  }
}

/** Creates an empty log. It appears under its name only when its header is on disk. */
export function createLog(files: FileSystem, path: string, clock: Clock): void {
  const unfinished = `${path}.new`
  if (files.exists(unfinished)) files.remove(unfinished)
  const file = files.open(unfinished, 'create')
  try {
    const header = encodeFileHeader(newFileHeader(clock))
    writeFully(files, file, header, 0, header.length, 0)
    files.sync(file)
  } finally {
    files.close(file)
  }
  files.rename(unfinished, path)
  files.syncFolder(dirname(path))
}

/** The first read of a log; a folder can be opened, but not read. */
function readStart(files: FileSystem, file: number, path: string, bytes: Buffer): number {
  try {
    return readFully(files, file, bytes, 0, fileHeaderBytes, 0)
  } catch (error) {
    throw notAccessible(path, error)
  }
}

/** Reads and checks the header of a log. @throws ShootoutError `log-not-accessible`, `log-version`, `not-a-log` */
export function readFileHeader(files: FileSystem, file: number, path: string): FileHeader {
  const bytes = Buffer.alloc(fileHeaderBytes)
  const got = readStart(files, file, path, bytes)
  const header = decodeFileHeader(bytes.subarray(0, got))
  if (typeof header === 'object') return header
  if (header === 'damaged') throw damage(path, 'the file header', 'its checksum is wrong')
  if (header === 'newer') {
    throw new ShootoutError(
      'log-version',
      `${path}: was written by a newer version of this program; use that one`,
      {
        details: { path },
      },
    )
  }
  throw new ShootoutError(
    'not-a-log',
    `${path}: is not a log of this storage; nothing was changed. Choose another path`,
    {
      details: { path },
    },
  )
}
