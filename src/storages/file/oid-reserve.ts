/**
 * Which object ids may have been given out, for a process that is killed before they are stored: `NAME.oids` has an id
 * above all of them. It is written before the ids are given out, for so many at once that it costs next to nothing, and
 * goes on a clean closing, whose checkpoint knows the exact number.
 */

import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { type FileSystem, readFully, writeFully } from '../../core/file-system.ts'
import { readPosition, writePosition } from './format.ts'

/** A kill costs so many ids of 2⁵³, and giving out as many costs one flush. */
const reserveCount = 1 << 16
const fileBytes = 16

function oidReservePath(path: string): string {
  return `${path}.oids`
}

/** Under which name it is written. */
export function unfinishedReservePath(path: string): string {
  return `${path}.oids-new`
}

/** Makes `next` and a good many after it safe to give out. Returns the first id that is not. */
export function reserveOids(files: FileSystem, path: string, next: number, durable: boolean): number {
  const limit = Math.min(next + reserveCount, Number.MAX_SAFE_INTEGER)
  const bytes = Buffer.alloc(fileBytes)
  writePosition(bytes, limit, 0)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 12)), 12)
  const unfinished = unfinishedReservePath(path)
  if (files.exists(unfinished)) files.remove(unfinished)
  const file = files.open(unfinished, 'create')
  try {
    writeFully(files, file, bytes, 0, fileBytes, 0)
    if (durable) files.sync(file)
  } finally {
    files.close(file)
  }
  files.rename(unfinished, oidReservePath(path))
  if (durable) files.syncFolder(dirname(path))
  return limit
}

/** The smallest id that was certainly not given out, as far as this file knows; 0 when it is not there. */
export function reservedOids(files: FileSystem, path: string, log: (message: string) => void): number {
  const name = oidReservePath(path)
  if (!files.exists(name)) return 0
  const file = files.open(name, 'read')
  const bytes = Buffer.alloc(fileBytes)
  try {
    const got = readFully(files, file, bytes, 0, fileBytes, 0)
    if (got === fileBytes && crc32(bytes.subarray(0, 12)) === bytes.readUInt32BE(12)) {
      return readPosition(bytes, 0)
    }
  } finally {
    files.close(file)
  }
  log(`${name}: is damaged; object ids that were given out and not stored may be given out again`)
  return 0
}

/** The exact number is known elsewhere. */
export function forgetReserve(files: FileSystem, path: string): void {
  if (files.exists(oidReservePath(path))) files.remove(oidReservePath(path))
}
